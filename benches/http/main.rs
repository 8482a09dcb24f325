//! Requests a second for `/debug/vars` with 200 variables over 16 kept connections.
//!
//! Both servers run all the time as separate processes; `wrk` queries them in turns. The result is
//! the median of the ratio within a round.

mod attacks;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use expvar::Counter;
use expvar_benches::{Go, print_machine, print_table};

const VARIABLES: usize = 200;
const CONNECTIONS: usize = 16;
/// Requests a second, at least so many times Go's.
const MUST: f64 = 6.0;

/// A server in a process of its own, killed with this value.
struct Peer {
    process: Child,
    url: String,
}

impl Peer {
    /// Starts a program that prints its address first.
    fn start(command: &mut Command) -> Result<Self, String> {
        let mut process =
            command.stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
        let mut addr = String::new();
        let output = process.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut addr).map_err(|error| error.to_string())?;
        Ok(Self { process, url: format!("http://{}/debug/vars", addr.trim()) })
    }

    /// Requests a second, by `wrk`.
    fn turn(&self, seconds: u32) -> Result<f64, String> {
        let connections = format!("-c{CONNECTIONS}");
        let output = Command::new("wrk")
            .args(["-t1", &connections, &format!("-d{seconds}s"), &self.url])
            .output()
            .map_err(|error| {
                format!("`wrk` does not run ({error}); on Debian `apt-get install wrk`")
            })?;
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(!report.contains("Non-2xx") && !report.contains("Socket errors"), "{report}");
        let rate = report.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
        rate.and_then(|rate| rate.trim().parse().ok()).ok_or(report.into_owned())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the child of this program does.
fn serve() {
    for at in 0..VARIABLES {
        let name = format!("service.requests.{at:03}");
        expvar::publish(&name, Counter::new()).expect("a free name").add(at as u64 * 1234);
    }
    let server = expvar_http::spawn("127.0.0.1:0").expect("a free port");
    println!("{}", server.local_addr());
    loop {
        std::thread::park();
    }
}

fn measure() -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let ours = Peer::start(Command::new(program).arg("serve"))?;
    let go = Peer::start(&mut Command::new(Go::build("server", env!("CARGO_TARGET_TMPDIR"))?))?;
    // Outside `cargo bench` one short round, as a test.
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let (rounds, seconds) = if is_bench { (5, 3) } else { (1, 1) };
    let mut rates = Vec::new();
    for _ in 0..rounds {
        rates.push((ours.turn(seconds)?, go.turn(seconds)?));
    }
    let median = |of: &dyn Fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = rates.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    let rate = |rate: f64| format!("{rate:.0}");
    let ratio = median(&|(ours, go)| ours / go);
    print_table(vec![
        row(["server", "requests/s", "of Go's"]),
        row(["expvar-http", &rate(median(&|r| r.0)), &format!("{ratio:.1}")]),
        row(["Go's net/http and expvar", &rate(median(&|r| r.1)), "1.0"]),
    ]);
    let verdict = if ratio >= MUST { "met" } else { "missed" };
    println!("must be at least {MUST} times Go's: {verdict}\n");
    Ok(())
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => return serve(),
        Some("attacked") => return attacks::serve(),
        _ => {}
    }
    print_machine("http");
    if let Err(missing) = measure() {
        println!("not measured: {missing}\n");
    }
    if std::env::args().any(|arg| arg == "--bench") {
        attacks::measure();
    }
}
