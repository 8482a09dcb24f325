//! An HTTP server in the test's own runtime, on its clock.
#![allow(dead_code, unreachable_pub)]

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};

/// A good answer: the document `{"a": 1}`.
pub const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"a\": 1}";

/// Passes the head of each request, and its connection, to `answer`, which returns the connection
/// for the next request or an error to close it.
pub async fn serve<F, A>(listener: TcpListener, answer: F)
where
    F: Fn(String, TcpStream) -> A + Clone + Send + 'static,
    A: Future<Output = io::Result<TcpStream>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(converse(stream, answer.clone()));
    }
}

/// The same for one connection, TLS or not.
pub async fn converse<S, A>(mut stream: S, answer: impl Fn(String, S) -> A) -> io::Result<()>
where
    S: AsyncRead + Unpin,
    A: Future<Output = io::Result<S>>,
{
    let mut head = Vec::new();
    while stream.read_buf(&mut head).await? > 0 {
        if head.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8(std::mem::take(&mut head)).unwrap();
            stream = answer(head, stream).await?;
        }
    }
    Ok(())
}

/// The path of a request.
pub fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}
