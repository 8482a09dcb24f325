//! A library that only knows `metrics`, in a service that shows variables.
//!
//! `cargo run --example metrics`, then `curl http://127.0.0.1:8123/debug/vars` or `/metrics`.

use std::time::Duration;

/// Stands for a library that depends on the crate `metrics` alone.
mod library {
    use metrics::{Unit, counter, describe_counter, describe_histogram, gauge, histogram};
    use std::time::Instant;

    pub(crate) fn describe() {
        describe_counter!("mail_sent", "Mails that were sent.");
        describe_histogram!("mail_time", Unit::Seconds, "Time to send a mail.");
    }

    pub(crate) fn send(domain: &str) {
        let start = Instant::now();
        gauge!("mail_connections").increment(1);
        std::thread::sleep(std::time::Duration::from_millis(2));
        gauge!("mail_connections").decrement(1);
        histogram!("mail_time").record(start.elapsed());
        counter!("mail_sent", "domain" => domain.to_owned()).increment(1);
    }
}

expvar::vars! {
    /// Turns of the service's own loop.
    static TURNS: Counter = "turns";
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    expvar_metrics::install()?;
    library::describe();
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8123".to_owned());
    let server = expvar_http::spawn(addr.as_str())?;
    println!("http://{0}/debug/vars\nhttp://{0}/metrics", server.local_addr());
    for domain in ["example.org", "example.net", "example.com"].into_iter().cycle() {
        TURNS.inc();
        library::send(domain);
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
