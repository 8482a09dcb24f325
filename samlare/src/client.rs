//! Fetches documents over HTTP/1.1, keeping the connection.
//!
//! One [`Client`] belongs to one endpoint. A request is a plain GET; its whole time, from
//! resolving the name to the last byte, is bounded, and so is the body. The connection is kept
//! for the next request; when the other side has closed it meanwhile, a new one is opened.

mod body;
mod connection;
mod failure;
mod target;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST, LOCATION, USER_AGENT};
use hyper::{HeaderMap, Request, Response};
use rustls::ClientConfig;

pub use body::Body;
pub use failure::Failure;
pub use hyper::header::{HeaderName, HeaderValue};
pub use target::{DEFAULT_PATH, Target};
pub use tls::trust;

use connection::Connection;

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 10;

/// The largest token that is sent.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// How an endpoint is asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// For the whole request, redirects included.
    pub timeout: Duration,
    /// Of the body, compressed or not.
    pub max_body_bytes: usize,
    /// Sent with each request, to this host only.
    pub headers: HeaderMap,
    /// A file whose content, trimmed, is the bearer token; read for each request.
    pub bearer_token_file: Option<PathBuf>,
    /// From [`trust`].
    pub tls: Arc<ClientConfig>,
}

impl Options {
    /// Three seconds, 16 MiB, no headers, the system's roots.
    ///
    /// # Errors
    /// Those of [`trust`].
    pub fn new() -> std::io::Result<Options> {
        Ok(Options {
            timeout: Duration::from_secs(3),
            max_body_bytes: 16 << 20,
            headers: HeaderMap::new(),
            bearer_token_file: None,
            tls: trust(None)?,
        })
    }
}

/// Asks one endpoint, again and again.
pub struct Client {
    target: Target,
    options: Options,
    kept: Option<Connection>,
}

impl Client {
    /// A client that has not connected yet.
    pub fn new(target: Target, options: Options) -> Client {
        Client { target, options, kept: None }
    }

    /// What is asked.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The document as it is now.
    ///
    /// # Errors
    /// A [`Failure`]; after one the connection is not kept.
    pub async fn get(&mut self) -> Result<Body, Failure> {
        let timeout = self.options.timeout;
        // Boxed so that a task holds this state only while it asks.
        let asked = tokio::time::timeout(timeout, Box::pin(self.follow())).await;
        asked.unwrap_or(Err(Failure::Timeout(timeout)))
    }

    async fn follow(&mut self) -> Result<Body, Failure> {
        let mut target = self.target.clone();
        for _ in 0..=MAX_REDIRECTS {
            // Taken out: a request that is cancelled midway leaves no half-read connection.
            let kept = if target.place == self.target.place { self.kept.take() } else { None };
            let (response, mut connection) =
                ask(&self.options, &self.target, &target, kept).await?;
            let status = response.status();
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                if !status.is_success() {
                    return Err(Failure::Status(status.as_u16()));
                }
                let body =
                    Body::read(response, &mut connection, self.options.max_body_bytes).await?;
                if target.place == self.target.place {
                    self.kept = Some(connection);
                }
                return Ok(body);
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let location = location.ok_or(Failure::Redirect("it has no location"))?;
            target = target.redirected(location).map_err(Failure::Redirect)?;
            if target.place == self.target.place && small(&response) {
                Body::read(response, &mut connection, self.options.max_body_bytes).await?;
                self.kept = Some(connection);
            }
        }
        Err(Failure::Redirect("there were ten before it"))
    }
}

async fn ask(
    options: &Options,
    home: &Target,
    target: &Target,
    kept: Option<Connection>,
) -> Result<(Response<Incoming>, Connection), Failure> {
    let headers = headers(options, home, target).await?;
    let request = || {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = target.path.parse().unwrap_or_default();
        *request.headers_mut() = headers.clone();
        request
    };
    // Closed since it was last used: that is no failure of the endpoint.
    if let Some(mut connection) = kept
        && connection.ready().await
        && let Ok(response) = connection.send(request()).await
    {
        return Ok((response, connection));
    }
    let mut connection =
        Connection::open(&target.place, &options.tls).await.map_err(Failure::Connect)?;
    match connection.send(request()).await {
        Ok(response) => Ok((response, connection)),
        Err(error) => Err(Failure::Broken(body::cause(&error))),
    }
}

/// Everything that is sent; what is secret only to the endpoint's own host.
async fn headers(options: &Options, home: &Target, target: &Target) -> Result<HeaderMap, Failure> {
    const AGENT: HeaderValue =
        HeaderValue::from_static(concat!("samlare/", env!("CARGO_PKG_VERSION")));
    let mut headers = HeaderMap::with_capacity(8);
    if let Ok(host) = HeaderValue::from_str(&target.authority) {
        headers.insert(HOST, host);
    }
    headers.insert(USER_AGENT, AGENT);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.1"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    if target.place != home.place {
        return Ok(headers);
    }
    if let Some(basic) = &target.basic {
        headers.insert(AUTHORIZATION, basic.clone());
    }
    if let Some(path) = &options.bearer_token_file {
        headers.insert(AUTHORIZATION, bearer(path).await.map_err(Failure::Token)?);
    }
    for (name, value) in &options.headers {
        headers.insert(name, value.clone());
    }
    Ok(headers)
}
/// Whether the rest of an answer is worth reading for the connection's sake.
fn small(response: &Response<Incoming>) -> bool {
    use hyper::body::Body as _;
    response.body().size_hint().upper().is_some_and(|bytes| bytes <= 64 << 10)
}

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
