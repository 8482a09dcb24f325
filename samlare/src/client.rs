//! Fetches documents over HTTP/1.1, keeping the connection.
//!
//! One [`Client`] belongs to one endpoint. A request is a plain GET; its whole time, from
//! resolving the name to the last byte, is bounded, and so is the body. The connection is kept
//! for the next request; when the other side has closed it meanwhile, a new one is opened.

mod body;
mod connection;
mod failure;
mod head;
mod target;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{ACCEPT, AUTHORIZATION, USER_AGENT};
use rustls::ClientConfig;

pub use body::Body;
pub use failure::Failure;
pub use http::header::{HeaderName, HeaderValue};
pub use target::{DEFAULT_PATH, Target};
pub use tls::trust;

use body::Answer;
use connection::Connection;
use head::Framing;

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
        let mut redirected: Option<Target> = None;
        for _ in 0..=MAX_REDIRECTS {
            let target = redirected.as_ref().unwrap_or(&self.target);
            let home = target.place == self.target.place;
            // Taken out: a request that is cancelled midway leaves no half-read connection.
            let kept = if home { self.kept.take() } else { None };
            let (answer, mut connection) = ask(&self.options, &self.target, target, kept).await?;
            let status = answer.head.status;
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                if !(200..300).contains(&status) {
                    return Err(Failure::Status(status));
                }
                let limit = self.options.max_body_bytes;
                let (body, head) = answer.body(&mut connection, limit).await?;
                self.kept = (home && head.keeps).then_some(connection);
                return Ok(body);
            }
            let location = answer.head.location.as_deref();
            let location = location.ok_or(Failure::Redirect("it has no location"))?;
            let next = target.redirected(location).map_err(Failure::Redirect)?;
            // The rest of a short answer is worth reading for the connection's sake.
            if next.place == self.target.place
                && matches!(answer.head.framing, Framing::Length(0..65_536))
            {
                let (_, head) = answer.body(&mut connection, 65_536).await?;
                self.kept = (home && head.keeps).then_some(connection);
            }
            redirected = Some(next);
        }
        Err(Failure::Redirect("there were ten before it"))
    }
}

async fn ask(
    options: &Options,
    home: &Target,
    target: &Target,
    kept: Option<Connection>,
) -> Result<(Answer, Connection), Failure> {
    let request = request(options, home, target).await?;
    // Closed since it was last used: that is no failure of the endpoint.
    if let Some(mut connection) = kept
        && connection.is_quiet().await
        && connection.send(&request).await.is_ok()
        && let Ok(answer) = Answer::begin(&mut connection).await
    {
        return Ok((answer, connection));
    }
    let mut connection =
        Connection::open(&target.place, &options.tls).await.map_err(Failure::Connect)?;
    connection.send(&request).await.map_err(|error| Failure::Broken(error.to_string()))?;
    let answer = Answer::begin(&mut connection).await?;
    Ok((answer, connection))
}

/// Sent unless the endpoint's own headers say otherwise.
const DEFAULTS: [(HeaderName, HeaderValue); 2] = [
    (USER_AGENT, HeaderValue::from_static(concat!("samlare/", env!("CARGO_PKG_VERSION")))),
    (ACCEPT, HeaderValue::from_static("application/json, */*;q=0.1")),
];

/// Everything that is sent; what is secret only to the endpoint's own host.
async fn request(options: &Options, home: &Target, target: &Target) -> Result<Vec<u8>, Failure> {
    let mut request = Vec::with_capacity(256);
    for part in [
        "GET ",
        &target.path,
        " HTTP/1.1\r\nHost: ",
        &target.authority,
        "\r\nAccept-Encoding: gzip\r\n",
    ] {
        request.extend_from_slice(part.as_bytes());
    }
    let mut header = |name: &HeaderName, value: &HeaderValue| {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            request.extend_from_slice(part);
        }
    };
    let own = if target.place == home.place { &options.headers } else { &HeaderMap::new() };
    for (name, value) in DEFAULTS {
        if !own.contains_key(&name) {
            header(&name, &value);
        }
    }
    if target.place == home.place {
        if let Some(path) = &options.bearer_token_file {
            header(&AUTHORIZATION, &bearer(path).await.map_err(Failure::Token)?);
        } else if let Some(basic) = &target.basic
            && !options.headers.contains_key(AUTHORIZATION)
        {
            header(&AUTHORIZATION, basic);
        }
        own.iter().for_each(|(name, value)| header(name, value));
    }
    request.extend_from_slice(b"\r\n");
    Ok(request)
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
