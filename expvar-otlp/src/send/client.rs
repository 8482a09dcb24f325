//! Sends one request at a time, and tells whether a failed one may have arrived.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body::Body;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

use crate::send::answer::Answer;
use crate::send::body::Whole;
use crate::send::endpoint::Endpoint;

/// The longest response that is read.
const ANSWER_BYTES: usize = 64 << 10;

/// Sends requests to one endpoint, over a connection that is kept between them.
pub(crate) struct Client {
    endpoint: Endpoint,
    headers: HeaderMap,
    timeout: Duration,
    #[cfg(feature = "tls")]
    identity: Option<expvar_push::Identity>,
    open: Option<Open>,
}

/// An idle connection.
struct Open {
    sender: SendRequest<Whole>,
    connection: Pin<Box<Connection<TokioIo<Counted>, Whole>>>,
    /// Bytes accepted by the system.
    written: Arc<AtomicU64>,
    is_closed: bool,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) error: String,
    /// Whether the whole request may have arrived: all of it was written.
    pub(crate) may_have_arrived: bool,
}

impl Client {
    pub(crate) fn new(endpoint: Endpoint, mut headers: HeaderMap, timeout: Duration) -> Self {
        let agent = concat!("expvar-otlp/", env!("CARGO_PKG_VERSION"));
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(agent));
        if let Ok(host) = HeaderValue::from_str(endpoint.authority()) {
            headers.insert(header::HOST, host);
        }
        Self {
            endpoint,
            headers,
            timeout,
            #[cfg(feature = "tls")]
            identity: None,
            open: None,
        }
    }

    /// Trust and client identity.
    #[cfg(feature = "tls")]
    pub(crate) fn identify(&mut self, identity: expvar_push::Identity) {
        self.identity = Some(identity);
    }

    /// Sends a request and waits for the response, both within the timeout.
    pub(crate) async fn post(&mut self, body: Bytes) -> Result<Answer, Failure> {
        let deadline = Instant::now() + self.timeout;
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        let mut open = match self.open.take().filter(|open| !open.is_closed) {
            Some(open) => open,
            None => {
                let opened = timeout_at(deadline, self.dial().connect()).await;
                opened.map_err(late).and_then(|opened| opened).map_err(|error| Failure {
                    error: format!("cannot connect: {error}"),
                    may_have_arrived: false,
                })?
            }
        };
        let before = open.written.load(Relaxed);
        let len = body.len() as u64;
        let answered = match timeout_at(deadline, open.exchange(self.request(body))).await {
            Ok(answered) => answered,
            Err(_) => Err("no answer in time".to_owned()),
        };
        match answered {
            Ok(answer) => {
                self.open = (!open.is_closed).then_some(open);
                Ok(answer)
            }
            // The head is written before the body.
            Err(error) => {
                let written = open.written.load(Relaxed) - before;
                Err(Failure { error, may_have_arrived: written >= len })
            }
        }
    }

    fn dial(&self) -> Dial<'_> {
        Dial {
            endpoint: &self.endpoint,
            timeout: self.timeout,
            #[cfg(feature = "tls")]
            identity: self.identity.clone(),
        }
    }

    fn request(&self, body: Bytes) -> Request<Whole> {
        let mut request = Request::new(Whole::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.target();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Closes the connection, if there is one.
    pub(crate) fn close(&mut self) {
        self.open = None;
    }

    /// Waits until the peer closes the connection; forever without one.
    pub(crate) async fn closed(&mut self) {
        match &mut self.open {
            Some(open) => {
                let _ = open.connection.as_mut().await;
                self.open = None;
            }
            None => std::future::pending().await,
        }
    }
}

/// The parts of a client needed for connecting.
struct Dial<'c> {
    endpoint: &'c Endpoint,
    timeout: Duration,
    #[cfg(feature = "tls")]
    identity: Option<expvar_push::Identity>,
}

impl Dial<'_> {
    async fn connect(self) -> io::Result<Open> {
        let Endpoint { host, port, is_tls, .. } = self.endpoint;
        let tcp = expvar_push::connect(host, *port, self.timeout).await?;
        tcp.set_nodelay(true)?;
        let io: Box<dyn Io> = if *is_tls { self.secure(tcp).await? } else { Box::new(tcp) };
        let written = Arc::new(AtomicU64::new(0));
        let io = TokioIo::new(Counted { io, written: written.clone() });
        let (sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
        Ok(Open { sender, connection: Box::pin(connection), written, is_closed: false })
    }

    #[cfg(feature = "tls")]
    async fn secure(self, tcp: tokio::net::TcpStream) -> io::Result<Box<dyn Io>> {
        let Some(identity) = self.identity else {
            return Err(io::Error::other("there are no certificates to trust"));
        };
        Ok(Box::new(identity.connector().connect(&self.endpoint.host, tcp).await?))
    }

    #[cfg(not(feature = "tls"))]
    async fn secure(self, _: tokio::net::TcpStream) -> io::Result<Box<dyn Io>> {
        Err(io::Error::other("https needs the feature \"tls\" of expvar-otlp"))
    }
}

impl Open {
    async fn exchange(&mut self, request: Request<Whole>) -> Result<Answer, String> {
        let ready = {
            let (sender, connection) = (&mut self.sender, &mut self.connection);
            let is_closed = &mut self.is_closed;
            poll_fn(|cx| {
                drive(connection, is_closed, cx);
                sender.poll_ready(cx)
            })
        };
        ready.await.map_err(|error| explain(&error))?;
        let mut response = pin!(self.sender.send_request(request));
        let (connection, is_closed) = (&mut self.connection, &mut self.is_closed);
        let response = poll_fn(|cx| {
            drive(connection, is_closed, cx);
            response.as_mut().poll(cx)
        });
        let (head, mut body) = response.await.map_err(|error| explain(&error))?.into_parts();
        let mut answer = Answer::new(head.status, &head.headers);
        while answer.body.len() < ANSWER_BYTES {
            let (connection, is_closed) = (&mut self.connection, &mut self.is_closed);
            let frame = poll_fn(|cx| {
                drive(connection, is_closed, cx);
                Pin::new(&mut body).poll_frame(cx)
            });
            match frame.await {
                None => return Ok(answer),
                Some(Ok(frame)) => {
                    answer.body.extend(frame.into_data().iter().flat_map(|data| &data[..]));
                }
                // The head is enough; the connection is not reused.
                Some(Err(_)) => break,
            }
        }
        answer.body.truncate(ANSWER_BYTES);
        self.is_closed = true;
        Ok(answer)
    }
}

/// Drives a connection's input and output.
fn drive(
    connection: &mut Pin<Box<Connection<TokioIo<Counted>, Whole>>>,
    is_closed: &mut bool,
    cx: &mut Context<'_>,
) {
    if !*is_closed && connection.as_mut().poll(cx).is_ready() {
        *is_closed = true;
    }
}

/// An error with its causes and a hint.
fn explain(error: &hyper::Error) -> String {
    use std::error::Error;
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    if error.is_parse() {
        text.push_str(" (is this the collector's port for gRPC? HTTP is on 4318)");
    }
    text
}

/// A byte stream.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Counts what is written.
struct Counted {
    io: Box<dyn Io>,
    written: Arc<AtomicU64>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        if let Poll::Ready(Ok(n)) = written {
            self.written.fetch_add(n as u64, Relaxed);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(n)) = written {
            self.written.fetch_add(n as u64, Relaxed);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::send::endpoint::For;

    /// More than sockets buffer.
    const LARGE: usize = 64 << 20;

    async fn post(address: std::net::SocketAddr, len: usize) -> Failure {
        let url = format!("http://{address}");
        let endpoint = Endpoint::parse("endpoint", &url, For::All).unwrap();
        let mut client = Client::new(endpoint, HeaderMap::new(), Duration::from_secs(60));
        client.post(vec![0; len].into()).await.unwrap_err()
    }

    /// The client's view of a server that closes after so many bytes of the request.
    async fn closed_after(read: usize, len: usize) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut some = vec![0; read];
            stream.read_exact(&mut some).await.unwrap();
        };
        tokio::join!(post(address, len), serve).0.may_have_arrived
    }

    #[tokio::test]
    async fn what_was_not_written_whole_has_not_arrived() {
        assert!(!closed_after(1, LARGE).await);
        // The head takes some more.
        assert!(closed_after(1_010, 1_000).await);
    }

    #[tokio::test]
    async fn what_nobody_listened_to_has_not_arrived() {
        let address = ([127, 0, 0, 1], expvar_peers::free_port()).into();
        assert!(!post(address, 1_000).await.may_have_arrived);
    }
}
