//! The README's first program: two variables, and a server that shows them.

expvar::vars! {
    /// Requests answered.
    static REQUESTS: Map = "requests", labels: ["method", "status"], counter;
    /// How long an answer took.
    static TOOK: Histogram = "took", unit: Nanoseconds;
}

fn main() -> std::io::Result<()> {
    let server = expvar_http::spawn("127.0.0.1:8123")?;
    println!("{}", server.url());
    loop {
        let _timer = TOOK.start();
        REQUESTS.add_at(["GET", "200"], 1);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
