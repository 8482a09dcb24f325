//! An OpenTelemetry collector that keeps the requests it receives.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

/// The URL of an OpenTelemetry collector that accepts every request; the bodies are in the channel.
pub fn collector() -> (String, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (bodies, received) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let bodies = bodies.clone();
            std::thread::spawn(move || serve(stream, &bodies));
        }
    });
    (url, received)
}

fn serve(mut stream: TcpStream, bodies: &mpsc::Sender<Vec<u8>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).is_ok_and(|n| n > 0) {
        head.push(byte[0]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
        let len = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; len.unwrap().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        // Sent before the response.
        let _ = bodies.send(body);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}
