//! Opens connections: directly or through a proxy, with TLS if the URL requires it.

use std::future::{Ready, ready};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use expvar_push::Connector;
use http::Uri;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::connection::Connection;
use super::proxy::{Proxy, Speaks};
use super::target::Place;

/// Connects to a place, through `proxy` if given. `limit` applies to the lookup and to each
/// address.
pub(super) async fn open(
    place: &Place,
    proxy: Option<&Proxy>,
    tls: &Arc<ClientConfig>,
    limit: Duration,
) -> io::Result<Connection> {
    let (host, port, secured) = match place {
        Place::Unix(path) => return Ok(Connection::Unix(UnixStream::connect(path).await?)),
        Place::Tcp { host, port, tls } => (host, *port, *tls),
    };
    let connection = match proxy {
        None => tcp(host, port, limit).await?,
        Some(proxy) => {
            let through = |error: io::Error| {
                let text = format!("through the proxy {}:{}: {error}", proxy.host, proxy.port);
                io::Error::new(error.kind(), text)
            };
            let reached = async {
                let connection = tcp(&proxy.host, proxy.port, limit).await?;
                let connection = match proxy.speaks {
                    Speaks::Https => secure(connection, &proxy.host, tls).await?,
                    Speaks::Http | Speaks::Socks5 => connection,
                };
                if proxy.is_asked_itself(secured) {
                    return Ok(connection);
                }
                tunnel(proxy, connection, host, port).await
            };
            reached.await.map_err(through)?
        }
    };
    if secured { secure(connection, host, tls).await } else { Ok(connection) }
}

async fn tcp(host: &str, port: u16, limit: Duration) -> io::Result<Connection> {
    let stream = expvar_push::connect(host, port, limit).await?;
    stream.set_nodelay(true)?;
    Ok(Connection::Tcp(stream))
}

async fn secure(
    connection: Connection,
    host: &str,
    tls: &Arc<ClientConfig>,
) -> io::Result<Connection> {
    let connector = Connector { connector: TlsConnector::from(tls.clone()), name: None };
    Ok(Connection::Tls(Box::new(connector.connect(host, connection).await?)))
}

/// Opens a tunnel to the host through a connection to a proxy.
async fn tunnel(
    proxy: &Proxy,
    connection: Connection,
    host: &str,
    port: u16,
) -> io::Result<Connection> {
    let authority =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let to = Uri::builder().scheme("https").authority(authority).path_and_query("/").build();
    let to = to.map_err(io::Error::other)?;
    let opened = Opened(Some(TokioIo::new(connection)));
    let tunnel = match proxy.speaks {
        Speaks::Socks5 => {
            let mut socks = SocksV5::new(to.clone(), opened);
            if let Some((user, password)) = &proxy.login {
                socks = socks.with_auth(user.clone(), password.clone());
            }
            socks.call(to).await.map_err(io::Error::other)?
        }
        Speaks::Http | Speaks::Https => {
            let mut tunnel = Tunnel::new(to.clone(), opened);
            if let Some(authorization) = proxy.authorization() {
                tunnel = tunnel.with_auth(authorization);
            }
            tunnel.call(to).await.map_err(io::Error::other)?
        }
    };
    Ok(tunnel.into_inner())
}

/// The connection to a proxy, for code that connects through a service.
struct Opened(Option<TokioIo<Connection>>);

impl Service<Uri> for Opened {
    type Response = TokioIo<Connection>;
    type Error = io::Error;
    type Future = Ready<io::Result<TokioIo<Connection>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}
