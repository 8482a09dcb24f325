//! Ten lines: two variables, and a server that shows them.

use std::time::Duration;

expvar::vars! {
    /// Turns of the loop.
    static TURNS: Counter = "turns";
    /// How long a turn took.
    static TURN: Histogram = "turn", unit: Nanoseconds;
}

fn main() -> std::io::Result<()> {
    let server = expvar_http::spawn("127.0.0.1:8123")?;
    println!("{}/debug/vars", server.url());
    loop {
        let _timer = TURN.start();
        TURNS.inc();
        std::thread::sleep(Duration::from_millis(10));
    }
}
