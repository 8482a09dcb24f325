//! How a server or a service is set up.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::ToSocketAddrs;
use std::time::Duration;

use expvar::Registry;
use tokio::net::TcpListener;

use crate::auth::Credentials;
use crate::host::Hosts;
use crate::limits::Limits;
use crate::pages::{Page, Pages};
use crate::{Prometheus, Server, Service, accept};

/// Sets up a server or a service; each setting has a safe default.
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
/// Bounds that are not settings: a request's line and headers take at most 16 KiB (431 past
/// that), a filter expression at most 1,024 bytes and 256 KiB compiled (400), and at most 8
/// documents are rendered while at most 1,024 requests wait for them (503). A render that has
/// taken 100 ms frees its place, up to 32 in all, of which at most 4 wait for one variable's
/// function (a fifth may where several documents came to it at once). At most 256 live pages are
/// told of at most 20,000 values each; a page that has not read 16 messages is cut off.
///
/// **Memory.** A rendered document is shared by all who wait for it together. All those that are
/// being sent hold at most 64 MiB: past that the ones whose clients have read nothing for longest
/// are given up, and their connections end early (`given_up` in `expvar.http`); the newest is
/// always kept. A connection itself holds at most 16 KiB of a request and 80 KiB of a response;
/// the kernel takes 32 KiB more than it has sent.
#[derive(Clone, Debug)]
pub struct Builder {
    settings: Settings,
}

/// What was set.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) registry: Registry,
    pub(crate) prometheus: Prometheus,
    pub(crate) hosts: Hosts,
    pub(crate) credentials: Credentials,
    pub(crate) limits: Limits,
    pub(crate) history: bool,
    pub(crate) pages: Pages,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings {
                registry: expvar::global().clone(),
                prometheus: Prometheus::new(),
                hosts: Hosts::of_this_machine(),
                credentials: Credentials::default(),
                limits: Limits::default(),
                history: false,
                pages: Pages::none(),
            },
        }
    }

    /// The variables to show; [`expvar::global`] unless told.
    #[must_use]
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.settings.registry = registry.clone();
        self
    }

    /// How variables become metrics at `/metrics`; as declared unless told.
    #[must_use]
    pub fn prometheus(mut self, prometheus: Prometheus) -> Self {
        self.settings.prometheus = prometheus;
        self
    }

    /// Names that the server goes by, besides `localhost`, names under it, IP addresses, and the
    /// name of this machine.
    ///
    /// A request whose `Host` header names anything else gets 421, and the first with that name a
    /// line on the standard error stream (for up to 16 names; `refused_hosts` in `expvar.http`
    /// counts all). A container is often reached by a name that is not its machine's: a service's
    /// name in Compose or Kubernetes must be given here. Without this check any web
    /// page could make its own name resolve to this server (DNS rebinding) and read variables
    /// through its visitor's browser.
    #[must_use]
    pub fn hosts<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        for name in names {
            self.settings.hosts.allow(name.as_ref());
        }
        self
    }

    /// Answers whatever name the `Host` header gives; for servers behind a proxy that checks.
    #[must_use]
    pub fn any_host(mut self) -> Self {
        self.settings.hosts.allow_any();
        self
    }

    /// Lets in clients that authenticate with this user and password (basic authentication).
    ///
    /// Credentials given by several calls, basic or bearer, are each accepted. They are compared
    /// in constant time. There is no TLS here: across machines, put a proxy or a tunnel between.
    #[must_use]
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        self.settings.credentials.basic(user, password);
        self
    }

    /// Lets in clients that send this token (bearer authentication); see
    /// [`basic_auth`](Self::basic_auth).
    #[must_use]
    pub fn bearer_auth(mut self, token: &str) -> Self {
        self.settings.credentials.bearer(token);
        self
    }

    /// Most connections at one time; 256 unless told.
    ///
    /// Past that a connection is closed for the newest one (`evicted` in `expvar.http`): the oldest
    /// of those that have sent no whole request, else of those that are idle between two, else of
    /// live pages, else of those whose client has taken no byte for a second. When all are busy the
    /// newest one is closed (`refused`). Live pages take at most half of the connections; with one
    /// more the oldest page is closed. Where the system has no file descriptor for a new
    /// connection, one is closed for it in the same order.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.settings.limits.connections = connections.max(1);
        self
    }

    /// How long a client may take to send a request's line and headers; 10 s unless told.
    ///
    /// This timeout and the next two are checked ten times in each of their durations, though not
    /// more often than every 5 ms and not more rarely than every second; connections that they
    /// close are counted as `timed_out` in `expvar.http`.
    #[must_use]
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.header_timeout = timeout;
        self
    }

    /// How long a connection may be idle between requests; 60 s unless told.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.idle_timeout = timeout;
        self
    }

    /// How long a client may take no byte of a response; 10 s unless told.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.write_timeout = timeout;
        self
    }

    /// How long rendering a document may take, all functions of variables included, before the
    /// client gets 503; 30 s unless told.
    #[must_use]
    pub fn render_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.render_timeout = timeout;
        self
    }

    /// How long a shutdown waits for requests in flight; 10 s unless told.
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.settings.limits.shutdown_timeout = timeout;
        self
    }

    /// Whether the past is kept from the start on; otherwise it begins when the live page is first
    /// opened, and is forgotten five minutes after the last one was closed.
    ///
    /// Once a second a thread of its own then reads all variables, and keeps for each number the
    /// last 60 seconds, 60 minutes, 24 hours and 30 days: 174 points in 1,176 bytes. Minutes,
    /// hours and days have a minimum, a mean and a maximum each. A counter's points are rates, and
    /// say how much it went up. `GET /debug/vars/history?name=NAME` answers them (up to 64 names,
    /// and one of the spans `second`, `minute`, `hour`, `day` with `&span=`); without a name it
    /// lists what there is. While no page is open and this is off, nothing runs.
    ///
    /// Seconds are exact for whole numbers, else to six digits. Extremes have four digits, totals
    /// are exact up to 134 million a point.
    #[must_use]
    pub fn history(mut self, always: bool) -> Self {
        self.settings.history = always;
        self
    }

    /// Most series whose past is kept; 5,000 unless told. A number is one series, a histogram
    /// four.
    ///
    /// Past that variables come before keys of maps, and the first 64 keys of each map before the
    /// rest of large ones. Within those the series that changed least recently go
    /// (`history_evicted` in `expvar.http`). The answers say how many are `kept` `of` how many.
    #[must_use]
    pub fn max_series(mut self, series: usize) -> Self {
        self.settings.limits.series = series;
        self
    }

    /// Adds pages of the program's own.
    ///
    /// `find` is asked with the address of each `GET` and `HEAD` before the server's own routes;
    /// what it leaves to them is `None`. The checks of host and credentials come first, and the
    /// pages may do no more than the live page: load files and ask questions of this server. Where a
    /// page takes long and its client goes away, what `find` returned is dropped a second later.
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
    ///
    /// When `addr` is no address, cannot be listened on, or the credentials cannot protect
    /// anything.
    pub fn spawn(self, addr: impl ToSocketAddrs + Debug) -> io::Result<Server> {
        Server::spawn(self.checked()?, addr)
    }

    /// Serves on `listener` until `shutdown` completes; see [`serve`](crate::serve).
    ///
    /// # Errors
    ///
    /// When the credentials cannot protect anything.
    pub async fn serve<F: Future>(self, listener: TcpListener, shutdown: F) -> io::Result<()> {
        accept::run(self.checked()?, listener, shutdown).await;
        Ok(())
    }

    /// A service to mount in a router.
    ///
    /// Limits on connections do not apply to it. Credentials that cannot protect anything (an
    /// empty password or token) let nobody in.
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

impl Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("hosts", &self.hosts)
            .field("credentials", &self.credentials)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
