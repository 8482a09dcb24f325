//! Simulated clients with the traffic of a day, sped up.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const CLIENTS: u64 = 4;
/// The duration of a simulated day.
const DAY_SECS: f64 = 60.0;

/// Sends requests to the service at `addr` for as long as the program runs.
pub(crate) fn start(addr: SocketAddr) {
    for client in 0..CLIENTS {
        tokio::spawn(async move {
            let mut dice = Dice(client + 1);
            loop {
                // Reconnects after an error; the last one occurs when the service stops.
                let _ = requests(addr, &mut dice).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
}

/// Requests on one connection, until it ends.
async fn requests(addr: SocketAddr, dice: &mut Dice) -> io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(addr).await?);
    let (started, mut body) = (Instant::now(), Vec::new());
    loop {
        let request = request(dice);
        stream.write_all(request.as_bytes()).await?;
        skip_response(&mut stream, &mut body).await?;
        let phase = started.elapsed().as_secs_f64() / DAY_SECS * std::f64::consts::TAU;
        // Between 2 and 18 ms, depending on the time of day.
        let pause_ms = 10.0 - 8.0 * phase.sin();
        let pause = Duration::from_secs_f64(pause_ms / 1000.0);
        tokio::time::sleep(pause * dice.below(4) as u32 / 2).await;
    }
}

fn request(dice: &mut Dice) -> String {
    let name = format!("note-{}", dice.below(200));
    let (method, path, body) = match dice.below(100) {
        0..60 => ("GET", format!("/notes/{name}"), String::new()),
        60..80 => ("PUT", format!("/notes/{name}"), "word ".repeat(dice.below(400))),
        80..90 => ("DELETE", format!("/notes/{name}"), String::new()),
        90..95 => ("GET", "/report".to_owned(), String::new()),
        95..99 => ("GET", "/".to_owned(), String::new()),
        _ => ("GET", "/nothing/here".to_owned(), String::new()),
    };
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")
}

async fn skip_response(stream: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> io::Result<()> {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().map_err(io::Error::other)?,
            None if line == "\r\n" => break,
            _ => {}
        }
    }
    body.resize(length, 0);
    stream.read_exact(body).await.map(drop)
}

/// Reproducible pseudo-random numbers (xorshift64, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound
    }
}
