//! Fetches documents over HTTP/1.1, keeping the connection.
//!
//! A [`Client`] belongs to one endpoint. A request is a plain GET. Its total time, from resolving
//! the name to the last byte, is bounded, and so is the body. The connection is kept for the next
//! request, for 90 s at most; if the peer has closed it meanwhile, a new one is opened. Hosts with
//! several addresses are tried as in RFC 8305, and proxies come from the environment.

mod body;
mod caller;
mod connection;
mod dial;
mod exchange;
mod failure;
mod gunzip;
mod pace;
mod proxy;
mod target;
mod tls;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, Request, Uri};
use http_body_util::Full;
use rustls::ClientConfig;
use tokio::time::Instant;

pub use body::Body;
pub(crate) use caller::{Caller, Reply, Told};
pub use failure::Failure;
pub use http::header::{HeaderName, HeaderValue};
pub use target::{DEFAULT_PATH, Target};
pub use tls::{Trust, reread_trust, trust};

use connection::Connection;
use exchange::{Answer, Question, Unanswered};
use proxy::{Proxies, Proxy};

/// The most redirects that are followed.
const MAX_REDIRECTS: usize = 10;

/// The largest bearer token.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// How long an idle connection is kept. Load balancers and address translation silently drop
/// connections that are idle for longer.
pub const IDLE: Duration = Duration::from_secs(90);

/// The largest body of a redirect that is read to keep the connection.
const REDIRECT_BYTES: usize = 64 << 10;

/// How an endpoint is polled.
#[derive(Clone, Debug)]
pub struct Options {
    /// For the whole request, redirects included.
    pub timeout: Duration,
    /// The largest body, compressed or not.
    pub max_body_bytes: usize,
    /// Sent with each request, to this host only.
    pub headers: HeaderMap,
    /// A file whose content, trimmed, is the bearer token; read for each request.
    pub bearer_token_file: Option<PathBuf>,
    /// Whether to follow redirects to other hosts.
    pub leaves_host: bool,
    /// From [`trust`].
    pub tls: Trust,
}

impl Options {
    /// Default: 3 s, 16 MiB, no headers, all redirects, the system's roots.
    ///
    /// # Errors
    /// Errors of [`trust`].
    pub fn new() -> std::io::Result<Options> {
        Ok(Options {
            timeout: Duration::from_secs(3),
            max_body_bytes: 16 << 20,
            headers: HeaderMap::new(),
            bearer_token_file: None,
            leaves_host: true,
            tls: trust(None)?,
        })
    }
}

/// Polls one endpoint repeatedly.
pub struct Client {
    target: Target,
    options: Options,
    kept: Option<Kept>,
}

/// An idle connection.
struct Kept {
    connection: Connection,
    since: Instant,
    /// The trust that it was made with.
    tls: Arc<ClientConfig>,
}

impl Client {
    /// Creates a client that has not connected yet.
    pub fn new(target: Target, options: Options) -> Client {
        Client { target, options, kept: None }
    }

    /// The endpoint.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Closes the connection unless it may stay idle for this long.
    pub fn rest(&mut self, until_next: Duration) {
        self.kept.take_if(|_| until_next > IDLE);
    }

    /// Fetches the current document.
    ///
    /// # Errors
    /// A [`Failure`]; the connection is then closed.
    pub async fn get(&mut self) -> Result<Body, Failure> {
        let timeout = self.options.timeout;
        // Boxed, so that a task holds this state only during a request.
        let asked = tokio::time::timeout(timeout, Box::pin(self.follow())).await;
        asked.unwrap_or(Err(Failure::Timeout(timeout)))
    }

    async fn follow(&mut self) -> Result<Body, Failure> {
        let tls = self.options.tls.current();
        let mut redirected: Option<Target> = None;
        for _ in 0..=MAX_REDIRECTS {
            let target = redirected.as_ref().unwrap_or(&self.target);
            let home = target.place == self.target.place;
            // Taken out: a cancelled request leaves no partly read connection.
            let kept = if home { self.kept.take() } else { None };
            let kept = kept.filter(|kept| {
                let is_trusted = !target.is_secured() || Arc::ptr_eq(&kept.tls, &tls);
                kept.since.elapsed() < IDLE && is_trusted
            });
            let began = Instant::now();
            let asking = Asking { options: &self.options, home: &self.target, target, tls: &tls };
            let answer = asking.answer(kept.map(|kept| kept.connection)).await?;
            // A slow endpoint looks like a dropped connection: it gets a new one each time, which
            // is known to be open.
            let keeps = home && began.elapsed() < self.options.timeout / 2;
            let keep = |connection: Option<Connection>| {
                let connection = connection.filter(|_| keeps)?;
                Some(Kept { connection, since: Instant::now(), tls: tls.clone() })
            };
            let status = answer.status().as_u16();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                if !(200..300).contains(&status) {
                    return Err(Failure::Status(status));
                }
                let (body, connection) = answer.body(self.options.max_body_bytes).await?;
                self.kept = keep(connection);
                return Ok(body);
            }
            let location = answer.location().ok_or(Failure::Redirect("it has no location"))?;
            let next = target.redirected(location).map_err(Failure::Redirect)?;
            if !self.options.leaves_host && next.host() != self.target.host() {
                return Err(Failure::Redirect(
                    "it leads to another host, and RedirectsToOtherHosts is false",
                ));
            }
            // A short body is worth reading to keep the connection.
            if next.place == self.target.place && answer.is_within(REDIRECT_BYTES as u64) {
                let (_, connection) = answer.body(REDIRECT_BYTES).await?;
                self.kept = keep(connection);
            }
            redirected = Some(next);
        }
        Err(Failure::Redirect("there were ten before it"))
    }
}

/// One request of a client.
struct Asking<'a> {
    options: &'a Options,
    home: &'a Target,
    target: &'a Target,
    tls: &'a Arc<ClientConfig>,
}

impl Asking<'_> {
    /// The response's head, on the kept connection if that still works.
    async fn answer(&self, kept: Option<Connection>) -> Result<Answer, Failure> {
        let proxy = Proxies::of_environment().leading_to(&self.target.place);
        let question = self.question(proxy).await?;
        if let Some(mut connection) = kept
            && connection.is_quiet().await
        {
            let mut kept = pin!(exchange::begin(connection, question.clone()));
            match tokio::time::timeout(self.options.timeout / 2, &mut kept).await {
                Ok(Err(Unanswered { silent: true, .. })) => {}
                Ok(answer) => return answer.map_err(|unanswered| unanswered.failure),
                // Dropped by a middlebox, or slow: use whichever answers first.
                Err(_) => {
                    let fresh = pin!(self.fresh(question, proxy));
                    return match select(kept, fresh).await {
                        Either::Left((Ok(answer), _)) => Ok(answer),
                        Either::Left((Err(_), fresh)) => fresh.await,
                        Either::Right((Ok(answer), _)) => Ok(answer),
                        Either::Right((Err(failure), kept)) => kept.await.map_err(|_| failure),
                    };
                }
            }
        }
        self.fresh(question, proxy).await
    }

    async fn fresh(&self, question: Question, proxy: Option<&Proxy>) -> Result<Answer, Failure> {
        let limit = self.options.timeout;
        let connection = dial::open(&self.target.place, proxy, self.tls, limit).await;
        let connection = connection.map_err(Failure::Connect)?;
        exchange::begin(connection, question).await.map_err(|unanswered| unanswered.failure)
    }

    /// The request; secrets are only sent to the endpoint's own host.
    async fn question(&self, proxy: Option<&Proxy>) -> Result<Question, Failure> {
        let Asking { options, home, target, .. } = self;
        let bad = |error: http::Error| Failure::Broken(error.to_string());
        let host = HeaderValue::try_from(&target.authority);
        let host = host.map_err(|error| Failure::Broken(error.to_string()))?;
        let mut request = Request::new(Full::default());
        let (path, authority) = (target.path.as_str(), target.authority.as_str());
        let asked_itself = proxy.filter(|proxy| proxy.is_asked_itself(target.is_secured()));
        *request.uri_mut() = match asked_itself {
            Some(_) => Uri::builder().scheme("http").authority(authority).path_and_query(path),
            None => Uri::builder().path_and_query(path),
        }
        .build()
        .map_err(bad)?;
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        for (name, value) in DEFAULTS {
            headers.insert(name, value);
        }
        if let Some(authorization) = asked_itself.and_then(Proxy::authorization) {
            headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        if target.place == home.place {
            for name in options.headers.keys() {
                headers.remove(name);
            }
            for (name, value) in &options.headers {
                headers.append(name, value.clone());
            }
            if let Some(path) = &options.bearer_token_file {
                let token = bearer(path).await.map_err(Failure::Token)?;
                headers.insert(AUTHORIZATION, token);
            } else if let Some(basic) = &target.basic
                && !options.headers.contains_key(AUTHORIZATION)
            {
                headers.insert(AUTHORIZATION, basic.clone());
            }
        }
        Ok(request)
    }
}

/// Sent unless the endpoint's headers override them.
const DEFAULTS: [(HeaderName, HeaderValue); 2] = [
    (USER_AGENT, HeaderValue::from_static(concat!("samlare/", env!("CARGO_PKG_VERSION")))),
    (ACCEPT, HeaderValue::from_static("application/json, */*;q=0.1")),
];

async fn bearer(path: &std::path::Path) -> std::io::Result<HeaderValue> {
    use std::io::{Error, ErrorKind};
    use tokio::io::AsyncReadExt;
    let mut token = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(MAX_TOKEN_BYTES as u64 + 1).read_to_end(&mut token).await?;
    let token = token.trim_ascii();
    if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
        return Err(Error::new(ErrorKind::InvalidData, "it is empty or larger than 16 KiB"));
    }
    let mut value = HeaderValue::try_from([b"Bearer ", token].concat())
        .map_err(|_| Error::new(ErrorKind::InvalidData, "it does not fit a header"))?;
    value.set_sensitive(true);
    Ok(value)
}
