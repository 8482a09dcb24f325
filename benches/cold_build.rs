//! A release build of `expvar` with all dependencies, from scratch.

use std::process::Command;
use std::time::Instant;

use expvar_benches::print_machine;

fn main() {
    print_machine("cold_build");
    let scratch = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("cold-build");
    // Outside `cargo bench` nothing is built: there is no claim to measure.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    println!("| features | crates | seconds | at most |\n|---|--:|--:|--:|");
    for (features, options, most) in
        [("default", &[][..], 12), ("none", &["--no-default-features"], 12)]
    {
        let _ = std::fs::remove_dir_all(&scratch);
        let start = Instant::now();
        let build = Command::new(env!("CARGO"))
            .args(["build", "--release", "--offline", "--package", "expvar", "--target-dir"])
            .arg(&scratch)
            .args(options)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        let elapsed = start.elapsed().as_secs_f64();
        let progress = String::from_utf8_lossy(&build.stderr);
        assert!(build.status.success(), "{progress}");
        let crates = progress.lines().filter(|line| line.contains("Compiling")).count();
        println!("| {features} | {crates} | {elapsed:.1} | {most} |");
    }
    let _ = std::fs::remove_dir_all(&scratch);
}
