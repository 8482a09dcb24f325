//! A connection that is kept from one request to the next.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::target::Place;

/// What a connection holds while it is idle: one read buffer, which also bounds the head of an
/// answer. Thousands of connections are idle at a time, so it is small.
const READ_BUFFER_BYTES: usize = 8 << 10;

/// An HTTP/1.1 connection, driven by whoever waits for its answer: it needs no task of its own.
pub(super) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: Driver,
    pub(super) used: bool,
}

type Driver = Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>;

impl Connection {
    pub(super) async fn open(place: &Place, tls: &Arc<ClientConfig>) -> io::Result<Connection> {
        match place {
            Place::Unix(path) => Connection::over(UnixStream::connect(path).await?).await,
            Place::Tcp { host, port, tls: secured } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                if !secured {
                    return Connection::over(stream).await;
                }
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let stream = TlsConnector::from(tls.clone()).connect(name, stream).await?;
                Connection::over(stream).await
            }
        }
    }

    async fn over<S>(stream: S) -> io::Result<Connection>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, driver) = http1::Builder::new()
            .read_buf_exact_size(Some(READ_BUFFER_BYTES))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        Ok(Connection { sender, driver: Some(Box::pin(driver)), used: false })
    }

    /// Whether the next request can go out: false once the other side has closed.
    pub(super) async fn ready(&mut self) -> bool {
        drive(&mut self.driver, self.sender.ready()).await.is_ok()
    }

    pub(super) async fn send(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        self.used = true;
        drive(&mut self.driver, self.sender.send_request(request)).await
    }

    /// Waits for something that the connection must be driven for.
    pub(super) async fn while_driven<T>(&mut self, work: impl Future<Output = T>) -> T {
        drive(&mut self.driver, work).await
    }
}

async fn drive<T>(driver: &mut Driver, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        let Some(running) = driver else { return Poll::Pending };
        if running.as_mut().poll(cx).is_ready() {
            *driver = None;
        }
        // What the driver has just read may be what the work waits for.
        work.as_mut().poll(cx)
    })
    .await
}
