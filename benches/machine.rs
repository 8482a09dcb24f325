//! What a measurement ran on.

use std::fs;

/// Prints the machine and the command, which every published number goes with.
pub fn print_machine(bench: &str) {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    println!("\n{model}, {cores} cores, {} {}", std::env::consts::OS, kernel.trim());
    println!("`cargo bench --bench {bench}`\n");
}
