//! Configures a server or a service.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::ToSocketAddrs;
use std::time::Duration;

use expvar::Registry;
use tokio::net::TcpListener;

use crate::pages::{Page, Pages};
use crate::settings::Settings;
use crate::{Prometheus, Server, Service, accept};

/// Configures a server or a service. Every setting has a safe default.
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// let server = expvar_http::Server::builder()
///     .hosts(["web-1.example"])
///     .bearer_auth("correct-horse-battery-staple")
///     .spawn("0.0.0.0:8123")?;
/// # Ok(())
/// # }
/// ```
///
/// Fixed limits: a request's line and headers take at most 16 KiB (otherwise 431), a filter
/// expression at most 1,024 bytes and 256 KiB compiled (otherwise 400). At most 8 documents are
/// rendered at the same time, and at most 1,024 requests wait for them (otherwise 503). A render
/// slower than 100 ms no longer counts among the 8; at most 32 run in all, and at most 4 of them
/// wait for the same variable's function (5 if several documents reached it at the same time). At
/// most 256 live pages are open, with at most 20,000 values each. A page that falls 16 messages
/// behind is disconnected.
///
/// **Memory.** A rendered document is shared by all requests that wait for it. Documents being sent
/// take at most 64 MiB. Beyond that, the ones unread for longest are dropped and their connections
/// end early (`given_up` in `expvar.http`); the newest is always kept. A connection holds at most
/// 16 KiB of a request and 80 KiB of a response, and the kernel at most 32 KiB of unsent bytes.
#[derive(Clone, Debug)]
pub struct Builder {
    settings: Settings,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self { settings: Settings::default() }
    }

    /// Sets the registry to show. Default: [`expvar::global`].
    #[must_use]
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.settings.registry = registry.clone();
        self
    }

    /// Sets how variables become metrics at `/metrics`. Default: as declared.
    #[must_use]
    pub fn prometheus(mut self, prometheus: Prometheus) -> Self {
        self.settings.prometheus = prometheus;
        self
    }

    /// Adds names of this server. Always accepted: `localhost` and names under it, IP addresses,
    /// and this machine's host name.
    ///
    /// A request with any other name in its `Host` header gets 421. The first request with each of
    /// up to 16 such names is logged to standard error; `rejected_hosts` in `expvar.http` counts
    /// all. A container's host name often differs from the name it is reached by: the name of a
    /// service in Compose or Kubernetes must be given here. This check prevents DNS rebinding,
    /// where a web page points its own name at this server and reads variables through a visitor's
    /// browser.
    #[must_use]
    pub fn hosts<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        for name in names {
            self.settings.hosts.allow(name.as_ref());
        }
        self
    }

    /// Accepts every `Host` header. For servers behind a proxy that checks it.
    #[must_use]
    pub fn any_host(mut self) -> Self {
        self.settings.hosts.allow_any();
        self
    }

    /// Requires authentication, and accepts this user and password (basic authentication).
    ///
    /// Several calls add credentials, basic or bearer; each is accepted. They are compared in
    /// constant time. The server has no TLS: across machines, use a proxy or a tunnel.
    #[must_use]
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        self.settings.credentials.basic(user, password);
        self
    }

    /// Requires authentication, and accepts this token (bearer authentication). See
    /// [`basic_auth`](Self::basic_auth).
    #[must_use]
    pub fn bearer_auth(mut self, token: &str) -> Self {
        self.settings.credentials.bearer(token);
        self
    }

    /// Sets the maximum number of connections. Default: 256.
    ///
    /// At the limit, a new connection replaces an existing one (`evicted` in `expvar.http`), in
    /// this order: the oldest without a complete request, an idle one between requests, a live
    /// page, one whose client has read nothing for a second. If all are busy, the new connection is
    /// closed (`rejected`). Live pages take at most half of the connections; one more closes the
    /// oldest page. If there is no file descriptor for a new connection, one is freed in the same
    /// order.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.settings.limits.connections = connections.max(1);
        self
    }

    /// Sets the timeout for receiving a request's line and headers. Default: 10 s.
    ///
    /// This timeout and the next two are checked ten times within their duration, but at least
    /// every second and at most every 5 ms. `timed_out` in `expvar.http` counts the connections
    /// that they close.
    #[must_use]
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.header_timeout = timeout;
        self
    }

    /// Sets how long a connection may be idle between requests. Default: 60 s.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.idle_timeout = timeout;
        self
    }

    /// Sets how long a client may read nothing of a response. Default: 10 s.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.write_timeout = timeout;
        self
    }

    /// Sets the timeout for rendering a document, including the variables' functions; then the
    /// client gets 503. Default: 30 s.
    #[must_use]
    pub fn render_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.render_timeout = timeout;
        self
    }

    /// Sets how long a shutdown waits for requests in flight. Default: 10 s.
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.shutdown_timeout = timeout;
        self
    }

    /// Sets whether history is recorded from the start. Default: false; recording then starts when
    /// the live page is opened, and history is dropped five minutes after the last page was closed.
    ///
    /// While recording, a thread reads all variables once a second. For each number it keeps the
    /// last 60 seconds, 60 minutes, 24 hours and 30 days: 174 points in 1,176 bytes. Minutes, hours
    /// and days have minimum, mean and maximum. A counter's points are rates, with the increase.
    /// `GET /debug/vars/history?name=NAME` returns them (up to 64 names, and with `&span=` one of
    /// `second`, `minute`, `hour`, `day`); without a name it lists what is recorded. With no page
    /// open and this setting off, nothing runs.
    ///
    /// Seconds are exact for whole numbers, else to six digits. Minimum and maximum have four
    /// digits; increases are exact up to 134 million a point.
    #[must_use]
    pub fn history(mut self, always: bool) -> Self {
        self.settings.history = always;
        self
    }

    /// Sets the maximum number of series with history. Default: 5,000. A number is one series, a
    /// histogram four.
    ///
    /// Beyond the limit, variables take precedence over keys of maps, and the first 64 keys of each
    /// map over its other keys. Within a rank, the series that changed least recently are evicted
    /// (`history_evicted` in `expvar.http`). Responses say how many are `kept` `of` how many.
    #[must_use]
    pub fn max_series(mut self, series: usize) -> Self {
        self.settings.limits.series = series;
        self
    }

    /// Adds pages of the program's own.
    ///
    /// `find` is called with the URI of each `GET` and `HEAD`, before the server's routes; return
    /// `None` to pass. The checks of host and credentials come first. The content security policy
    /// of the live page applies: pages may load files from this server and query it. If the client
    /// disconnects, the future that `find` returned is dropped a second later.
    #[must_use]
    pub fn pages<F, A>(mut self, find: F) -> Self
    where
        F: Fn(http::Uri) -> A + Send + Sync + 'static,
        A: Future<Output = Option<Page>> + Send + 'static,
    {
        self.settings.pages = Pages::new(find);
        self
    }

    /// Serves at `addr` on a thread of the server's own; see [`spawn`](crate::spawn).
    ///
    /// # Errors
    /// `addr` is not an address or cannot be listened on, or the credentials are invalid.
    pub fn spawn(self, addr: impl ToSocketAddrs + Debug) -> io::Result<Server> {
        Server::spawn(self.checked()?, addr)
    }

    /// Serves on `listener` until `shutdown` completes; see [`serve`](crate::serve).
    ///
    /// # Errors
    /// The credentials are invalid.
    pub async fn serve<F: Future>(self, listener: TcpListener, shutdown: F) -> io::Result<()> {
        accept::run(self.checked()?, listener, shutdown).await;
        Ok(())
    }

    /// Builds a service to mount in a router.
    ///
    /// Limits on connections do not apply to it. Invalid credentials (an empty password or token)
    /// admit no request.
    #[must_use]
    pub fn service(self) -> Service {
        Service::with(self.settings, true)
    }

    fn checked(self) -> io::Result<Settings> {
        match self.settings.credentials.invalid() {
            Some(why) => Err(io::Error::new(io::ErrorKind::InvalidInput, why)),
            None => Ok(self.settings),
        }
    }
}
