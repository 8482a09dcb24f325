//! One connection to one server.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpStream, UdpSocket};

use crate::send::address::Scheme;
use crate::send::pickle;

/// The longest datagram, in bytes: fits an Ethernet frame.
pub(crate) const DATAGRAM_MAX_BYTES: usize = 1_400;
/// Datagrams sent in one burst; more could overflow a receiver's usual buffer of 208 KiB.
const BURST_DATAGRAMS: u32 = 32;
/// The pause after a burst; limits the rate to 4.5 MB/s.
const BURST_PAUSE: Duration = Duration::from_millis(10);

/// How long to wait for a TLS server's alert after a failed write; it came before the failure.
#[cfg(feature = "tls")]
const ALERT: Duration = Duration::from_millis(100);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Scheme {
    /// Appends lines to `out` as this protocol transmits them.
    pub(crate) fn frame(self, lines: &[u8], out: &mut Vec<u8>) {
        match self {
            Scheme::Pickle => pickle::encode(lines, pickle::FRAME_MAX_BYTES, out),
            Scheme::Tcp | Scheme::Udp | Scheme::Tls | Scheme::Unix => out.extend_from_slice(lines),
        }
    }
}

/// A step that waits while a server takes nothing. It can be cancelled and restarted.
#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    Write(&'a [u8]),
    Flush,
    Shutdown,
}

/// One connection to one server.
pub(crate) enum Connection {
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    #[cfg(unix)]
    Unix(UnixStream),
    /// With the number of datagrams since the last pause.
    Udp(UdpSocket, u32),
    #[cfg(test)]
    Memory(tokio::io::DuplexStream),
}

impl Connection {
    fn stream(&mut self) -> Result<&mut dyn Stream, &mut UdpSocket> {
        match self {
            Connection::Tcp(stream) => Ok(stream),
            #[cfg(feature = "tls")]
            Connection::Tls(stream) => Ok(stream.as_mut()),
            #[cfg(unix)]
            Connection::Unix(stream) => Ok(stream),
            Connection::Udp(socket, _) => Err(socket),
            #[cfg(test)]
            Connection::Memory(stream) => Ok(stream),
        }
    }

    /// The underlying TCP connection, if any.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Connection::Tcp(stream) => Some(stream),
            #[cfg(feature = "tls")]
            Connection::Tls(stream) => Some(stream.get_ref().0),
            _ => None,
        }
    }

    /// Whether the peer has closed. Asks the kernel, because the runtime may not have been notified
    /// yet.
    pub(crate) fn is_closed(&self) -> Option<io::Error> {
        #[cfg(unix)]
        let unix = match self {
            Connection::Unix(stream) => Some(SockRef::from(stream)),
            _ => None,
        };
        #[cfg(not(unix))]
        let unix = None;
        let socket = self.tcp().map(SockRef::from).or(unix)?;
        match socket.peek(&mut [MaybeUninit::uninit()]) {
            Ok(0) => Some(closed()),
            Ok(_) => None,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
            Err(e) => Some(e),
        }
    }

    /// Waits until the peer has closed or the connection has failed. Ignores received data.
    pub(crate) async fn until_closed(&mut self) -> io::Error {
        let mut ignored = [0; 512];
        loop {
            let read = match self.stream() {
                Ok(stream) => match stream.read(&mut ignored).await {
                    Ok(0) => Err(closed()),
                    other => other,
                },
                Err(socket) => socket.recv(&mut ignored).await,
            };
            if let Err(error) = read {
                return error;
            }
        }
    }

    /// The reason of a failed write. A TLS server that rejects a client says so and closes; the
    /// kernel knows only of the close.
    pub(crate) async fn reason(&mut self, error: io::Error) -> io::Error {
        #[cfg(feature = "tls")]
        if matches!(self, Connection::Tls(_)) && error.kind() != io::ErrorKind::TimedOut {
            let read = tokio::time::timeout(ALERT, self.until_closed()).await;
            return read.ok().filter(|e| e.kind() == io::ErrorKind::InvalidData).unwrap_or(error);
        }
        error
    }

    /// Performs a step; returns the number of bytes of a write.
    pub(crate) async fn step(&mut self, step: Step<'_>) -> io::Result<usize> {
        match step {
            Step::Write(bytes) => self.write(bytes).await,
            Step::Flush => self.flush().await.map(|()| 0),
            Step::Shutdown => self.shutdown().await.map(|()| 0),
        }
    }

    /// Writes a prefix of `bytes`, which are whole lines or frames, and returns its length. Over
    /// UDP one datagram, or an error of kind [`InvalidInput`](io::ErrorKind::InvalidInput) if the
    /// first line does not fit into one.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Connection::Udp(socket, burst) = self else {
            return match self.stream() {
                Ok(stream) => stream.write(bytes).await,
                Err(_) => Ok(0),
            };
        };
        let datagram = datagram(bytes);
        if datagram.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if *burst == BURST_DATAGRAMS {
            *burst = 0;
            tokio::time::sleep(BURST_PAUSE).await;
        }
        *burst += 1;
        socket.send(datagram).await
    }

    /// Flushes the connection's own buffer.
    async fn flush(&mut self) -> io::Result<()> {
        match self.stream() {
            Ok(stream) => stream.flush().await,
            Err(_) => Ok(()),
        }
    }

    /// Closes the sending side. The peer closes its own when it has read everything.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        match self.stream() {
            Ok(stream) => stream.shutdown().await,
            Err(_) => Ok(()),
        }
    }

    /// Waits for the peer to close its side. Datagrams count as read when they are sent.
    ///
    /// Many TLS servers close without a `close_notify`. They have read everything all the same: the
    /// kernel resets a connection that is closed with unread data.
    pub(crate) async fn until_read(&mut self) -> io::Result<()> {
        if let Ok(stream) = self.stream() {
            let mut ignored = [0; 512];
            loop {
                match stream.read(&mut ignored).await {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the server")
}

/// As many whole lines as fit into a datagram.
fn datagram(lines: &[u8]) -> &[u8] {
    let most = &lines[..lines.len().min(DATAGRAM_MAX_BYTES)];
    let end = most.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    &most[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_end_where_lines_end() {
        let line = b"a.name.of.some.length 12345 1700000000\n";
        let lines = line.repeat(100);
        assert_eq!(datagram(&lines).len(), 1_400 / line.len() * line.len());
        assert_eq!(datagram(line), line);
        let exact = [[b'x'; 1_399].as_slice(), b"\nnext 1 2\n"].concat();
        assert_eq!(datagram(&exact).len(), 1_400);
        let long = [[b'x'; 1_400].as_slice(), b"\nnext 1 2\n"].concat();
        assert_eq!(datagram(&long).len(), 0);
    }
}
