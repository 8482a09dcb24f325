//! Connects to servers: tries all addresses of a host, and adds TLS.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use expvar_push::race;
#[cfg(any(target_os = "linux", target_os = "android"))]
use socket2::SockRef;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

use crate::send::address::{Address, Scheme};
use crate::send::connection::Connection;
#[cfg(feature = "tls")]
use expvar_push::Identity;

/// A way to connect.
pub(crate) trait Dial: Send + Sync {
    /// Connects to `address`, each step within `timeout`.
    fn dial(
        &self,
        address: &Address,
        timeout: Duration,
    ) -> impl Future<Output = io::Result<Connection>> + Send;

    /// Changes when certificates are reloaded: earlier connections must then be renewed.
    fn generation(&self) -> u64 {
        0
    }
}

/// The real network.
#[derive(Clone, Default)]
pub(crate) struct Network {
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Identity>,
}

impl Dial for Network {
    async fn dial(&self, address: &Address, limit: Duration) -> io::Result<Connection> {
        #[cfg(unix)]
        if address.scheme() == Scheme::Unix {
            let stream = timeout(limit, UnixStream::connect(address.host())).await??;
            return Ok(Connection::Unix(stream));
        }
        // Resolved each time, because servers move.
        let found = lookup_host((address.host(), address.port()));
        race(timeout(limit, found).await??, |ip| async move {
            match address.scheme() {
                Scheme::Udp => datagrams(ip).await,
                _ => {
                    let stream = timeout(limit, TcpStream::connect(ip)).await??;
                    self.over(stream, address, limit).await
                }
            }
        })
        .await
    }

    #[cfg(feature = "tls")]
    fn generation(&self) -> u64 {
        self.tls.as_ref().map_or(0, Identity::generation)
    }
}

impl Network {
    /// Keeps the current certificates if the files are unchanged, so that connections need no
    /// renewal.
    #[cfg_attr(not(feature = "tls"), allow(clippy::needless_pass_by_ref_mut, unused_variables))]
    pub(crate) fn join(&mut self, present: &Network) {
        #[cfg(feature = "tls")]
        if let (Some(fresh), Some(present)) = (&self.tls, &present.tls)
            && fresh.is_same(present)
        {
            self.tls = Some(present.clone());
        }
    }

    async fn over(
        &self,
        stream: TcpStream,
        address: &Address,
        limit: Duration,
    ) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        SockRef::from(&stream).set_tcp_user_timeout(Some(limit))?;
        match address.scheme() {
            #[cfg(feature = "tls")]
            Scheme::Tls => {
                let unset = || io::Error::other("TLS is not set up");
                let tls = self.tls.as_ref().ok_or_else(unset)?.connector();
                let stream = timeout(limit, tls.connect(address.host(), stream)).await??;
                Ok(Connection::Tls(Box::new(stream)))
            }
            _ => Ok(Connection::Tcp(stream)),
        }
    }
}

async fn datagrams(to: SocketAddr) -> io::Result<Connection> {
    let any: std::net::IpAddr = match to {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    Ok(Connection::Udp(socket, 0))
}
