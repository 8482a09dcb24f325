//! The cost of `samlare watch`: `cargo bench --bench watch`.
//!
//! Ten services of 200 moving variables each, with Go's memory statistics, are
//! watched every second in a real pseudo-terminal of 200x60, by a process of
//! its own whose CPU time and memory are read from the system. The floor is
//! the same program printing a few of the values instead of drawing them.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use expvar_benches::{memstats, print_machine};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};

const SERVICES: usize = 10;
const VARIABLES: u64 = 200;
const WARM_UP: Duration = Duration::from_secs(5);
/// Longer than 240 polls, so that every history is full at its end.
const FILL: Duration = Duration::from_secs(250);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("watch", rest)) = arguments.split_first().map(|(a, rest)| (a.as_str(), rest)) {
        return samlare::watch::run(rest);
    }
    let seconds = arguments.iter().position(|a| a == "--secs").map(|at| &arguments[at + 1]);
    let span = seconds.map_or(FILL, |text| Duration::from_secs(text.parse().expect("seconds")));
    let services: Vec<_> = (0..SERVICES).map(serve).collect();
    print_machine("watch");
    println!("{SERVICES} services of {VARIABLES} variables and memstats, every second, {span:?}");
    let drawn = measure(&services, &[], span);
    let empty = measure(&services, &["-vars=none"], WARM_UP + span / 5);
    let floor = measure(&services, &["-dummy"], WARM_UP + span / 5);
    for (name, cost) in
        [("drawn", &drawn), ("drawn, one variable that no service has", &empty), ("-dummy", &floor)]
    {
        println!(
            "{name}: {:.2} % of one core, {:.1} MiB resident at most, {:.1} KiB/s written",
            cost.core * 100.0,
            cost.resident_mib,
            cost.written_kib
        );
    }
    println!("drawn beside -dummy: {:.1} times the CPU", drawn.core / floor.core);
    println!("limits: 3 % of one core, 30 MiB");
    ExitCode::SUCCESS
}

struct Cost {
    core: f64,
    resident_mib: f64,
    written_kib: f64,
}

/// Watches the services for so long; the start does not count.
fn measure(services: &[SocketAddr], flags: &[&str], span: Duration) -> Cost {
    let size = PtySize { rows: 60, cols: 200, pixel_width: 0, pixel_height: 0 };
    let pty = native_pty_system().openpty(size).expect("a terminal");
    let mut command = CommandBuilder::new(std::env::current_exe().expect("this bench"));
    command.args(["watch", "-i=1s"]);
    command.args(flags);
    command.args(services.iter().map(SocketAddr::to_string));
    command.env("TERM", "xterm-256color");
    let mut child = pty.slave.spawn_command(command).expect("it starts");
    let written = Arc::new(AtomicUsize::new(0));
    let mut output = pty.master.try_clone_reader().expect("its output");
    let counted = written.clone();
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            counted.fetch_add(count, Relaxed);
        }
    });
    let process = child.process_id().expect("it runs");
    sleep(WARM_UP);
    let (start, cpu, bytes) = (Instant::now(), cpu_secs(process), written.load(Relaxed));
    sleep(span);
    let elapsed = start.elapsed().as_secs_f64();
    let cost = Cost {
        core: (cpu_secs(process) - cpu) / elapsed,
        resident_mib: peak_resident_kib(process) as f64 / 1024.0,
        written_kib: (written.load(Relaxed) - bytes) as f64 / 1024.0 / elapsed,
    };
    child.kill().expect("it ends");
    child.wait().expect("it has ended");
    cost
}

/// User and system time, in seconds; the kernel counts hundredths.
fn cpu_secs(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let after_name = stat.rsplit(')').next().expect("a name");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|t| t.parse::<f64>().expect("ticks")).sum();
    ticks / 100.0
}

fn peak_resident_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

/// A service whose variables move with every request, on kept connections.
fn serve(number: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let mut polls = 0;
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 4096];
            while let Ok(1..) = stream.read(&mut request) {
                polls += 1;
                let body = document(number, polls);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let answer = [head.as_bytes(), body.as_bytes()].concat();
                if stream.write_all(&answer).is_err() {
                    break;
                }
            }
        }
    });
    address
}

/// Half of the variables count, half go up and down.
fn document(number: usize, polls: u64) -> String {
    let mut text = format!("{{\n\"cmdline\": [\"/bin/service{number}\"]");
    for i in 0..VARIABLES {
        let value = if i % 2 == 0 { polls * (i + 1) } else { (polls * 7919 + i * 31) % 1000 };
        text.push_str(&format!(",\n\"app.part{}.variable{i}\": {value}", i % 10));
    }
    text.push_str(&format!(",\n\"memstats\": {}\n}}\n", memstats(polls)));
    text
}
