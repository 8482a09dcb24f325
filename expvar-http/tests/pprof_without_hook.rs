//! Without the allocator hook, the response says which lines to add.

use std::io::{Read, Write};

#[test]
fn not_found_with_the_remedy() {
    let server = expvar_http::spawn("127.0.0.1:0").unwrap();
    let mut stream = std::net::TcpStream::connect(server.local_addr()).unwrap();
    let request = "GET /debug/pprof/heap HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 404 Not Found\r\n"), "{reply}");
    let lines = "#[global_allocator]\n\
                 static ALLOC: expvar::alloc::Counting = expvar::alloc::Counting::new();\n";
    assert!(reply.ends_with(lines), "{reply}");
    assert!(expvar::heap::profile().is_none());
    assert!(expvar::global().get("heap.top").is_none(), "the page would offer a profile");
}
