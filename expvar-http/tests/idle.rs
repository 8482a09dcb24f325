//! Nothing runs without readers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use expvar::Registry;
use expvar_http::Server;

fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
    };
    tasks.filter_map(name).map(|name| name.trim_end().to_owned()).collect()
}

/// Alone in its file, so that no other test's threads are seen.
#[test]
#[cfg(target_os = "linux")]
fn the_sampler_starts_with_the_first_page() {
    let server = Server::builder().registry(&Registry::new()).spawn("127.0.0.1:0").unwrap();
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(server.local_addr()).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut first = [0; 64];
        stream.read_exact(&mut first).unwrap();
        assert!(first.starts_with(b"HTTP/1.0 200 OK"), "{}", first.escape_ascii());
        stream
    };
    for path in ["/", "/debug/vars", "/debug/vars/ui", "/debug/vars/history?name=x"] {
        ask(path);
        assert!(!threads().contains(&"expvar-sampler".to_owned()), "{path} started it");
    }
    let _open = ask("/debug/vars/events");
    // A thread has its parent's name until it has set its own.
    let began = Instant::now();
    while !threads().contains(&"expvar-sampler".to_owned()) {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", threads());
        std::thread::sleep(Duration::from_millis(1));
    }
}
