//! A server on a thread of its own.

use std::fmt::Debug;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use crate::accept;
use crate::builder::Builder;
use crate::settings::Settings;

/// A running server, made by [`spawn`](crate::spawn) or [`Builder::spawn`].
///
/// Dropping it does not stop the server: a service shows its variables for as long as it runs. Only
/// [`shutdown`](Self::shutdown) stops it.
///
/// ```
/// let server = expvar_http::Server::builder().spawn("127.0.0.1:0")?;
/// assert!(server.url().starts_with("http://127.0.0.1:"));
/// server.shutdown();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping it leaves the server running, and nothing can stop it: \
              bind it, `let _server = …`, if that is intended"]
pub struct Server {
    local_addr: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Configures a server with other settings than the defaults.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn spawn(settings: Settings, addr: impl ToSocketAddrs + Debug) -> io::Result<Self> {
        let listener = bind(&addr)?;
        listener.set_nonblocking(true)?;
        let local_addr = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (shutdown, stop) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("expvar-http".to_owned()).spawn(move || {
            runtime.block_on(async {
                // Fails only without a runtime or for a closed socket.
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                let stop = async {
                    if stop.await.is_err() {
                        // A dropped handle does not stop the server.
                        std::future::pending::<()>().await;
                    }
                };
                accept::run(settings, listener, stop).await;
            });
        })?;
        Ok(Self { local_addr, shutdown: Some(shutdown), thread: Some(thread) })
    }

    /// The address that the server listens on, with the actual port if 0 was requested.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The server's URL on this machine, such as `http://127.0.0.1:8123`.
    #[must_use]
    pub fn url(&self) -> String {
        let mut addr = self.local_addr;
        match addr {
            SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
                addr.set_ip(Ipv4Addr::LOCALHOST.into())
            }
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
                addr.set_ip(Ipv6Addr::LOCALHOST.into())
            }
            _ => {}
        }
        format!("http://{addr}")
    }

    /// Stops the server: accepts no new connections, finishes requests in flight (for at most
    /// [`shutdown_timeout`](Builder::shutdown_timeout)), then closes all.
    ///
    /// Blocks the thread until then; in async code use [`serve`](crate::serve) with a shutdown
    /// future.
    pub fn shutdown(mut self) {
        if let Some(shutdown) = self.shutdown.take() {
            let _ = shutdown.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bind(addr: &(impl ToSocketAddrs + Debug)) -> io::Result<TcpListener> {
    let explain = |err: io::Error, remedy: &str| {
        io::Error::new(err.kind(), format!("cannot listen on {addr:?}: {err}; {remedy}"))
    };
    let form = "give an address and a port, for example 127.0.0.1:8123";
    let addrs: Vec<SocketAddr> =
        addr.to_socket_addrs().map_err(|err| explain(err, form))?.collect();
    if addrs.is_empty() {
        let none = io::Error::new(io::ErrorKind::InvalidInput, "it names no address");
        return Err(explain(none, form));
    }
    TcpListener::bind(&addrs[..]).map_err(|err| {
        let remedy = match err.kind() {
            io::ErrorKind::AddrInUse => "stop what listens there, or use another port (0 for any)",
            io::ErrorKind::PermissionDenied => "use a port from 1024 on, or grant the privilege",
            io::ErrorKind::AddrNotAvailable => "use an address of this machine, or 127.0.0.1",
            _ => form,
        };
        explain(err, remedy)
    })
}
