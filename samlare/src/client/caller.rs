//! Calls a server's API: POST requests with whole or streamed responses.

use std::time::Duration;

use bytes::Bytes;
use expvar_push::Identity;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use tokio::time::{Instant, timeout};

use super::connection::Connection;
use super::exchange::{self, Answer};
use super::failure::Failure;
use super::{DEFAULTS, IDLE};

/// The largest whole response.
const MAX_REPLY_BYTES: usize = 16 << 20;

/// Asks the server to end streams when it has lost its leader.
const HAS_LEADER: HeaderName = HeaderName::from_static("grpc-metadata-hasleader");

/// Calls one server and keeps the connection. Uses no proxy.
pub(crate) struct Caller {
    host: String,
    port: u16,
    /// `None` for plain HTTP.
    tls: Option<Identity>,
    kept: Option<(Connection, Instant)>,
}

/// A whole response.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// A streamed response.
pub(crate) struct Told(Answer);

impl Caller {
    /// Creates a caller that has not connected yet.
    pub(crate) fn new(host: String, port: u16, tls: Option<Identity>) -> Caller {
        Caller { host, port, tls, kept: None }
    }

    /// `host:port`.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Posts JSON and reads the whole response, with any status.
    ///
    /// # Errors
    /// There is no response within `limit`; the connection is then closed.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        body: Bytes,
        authorization: Option<HeaderValue>,
        limit: Duration,
    ) -> Result<Reply, Failure> {
        let question = self.question(path, body, authorization)?;
        // Taken out: a cancelled call leaves no partly read connection.
        let kept = self.kept.take().filter(|(_, since)| since.elapsed() < IDLE);
        let called = async {
            let mut answer = None;
            if let Some((mut connection, _)) = kept
                && connection.is_quiet().await
            {
                match exchange::begin(connection, question.clone()).await {
                    Ok(head) => answer = Some(head),
                    // It was closed before the call: retry once on another one.
                    Err(unanswered) if unanswered.silent => {}
                    Err(unanswered) => return Err(unanswered.failure),
                }
            }
            let answer = match answer {
                Some(answer) => answer,
                None => self.begin(question, limit).await?,
            };
            let status = answer.status().as_u16();
            let (body, connection) = answer.body(MAX_REPLY_BYTES).await?;
            Ok((status, body, connection))
        };
        // Boxed, so that this state is not held between calls.
        let called = timeout(limit, Box::pin(called)).await;
        let (status, body, connection) = called.unwrap_or(Err(Failure::Timeout(limit)))?;
        self.kept = connection.map(|connection| (connection, Instant::now()));
        Ok(Reply { status, body: Bytes::copy_from_slice(body.bytes()) })
    }

    /// Posts JSON on a new connection and streams the response. `limit` applies to its head.
    ///
    /// # Errors
    /// There is no successful response within `limit`.
    pub(crate) async fn listen(
        &self,
        path: &str,
        body: Bytes,
        authorization: Option<HeaderValue>,
        limit: Duration,
    ) -> Result<Told, Failure> {
        let question = self.question(path, body, authorization)?;
        let begun = timeout(limit, self.begin(question, limit)).await;
        let answer = begun.unwrap_or(Err(Failure::Timeout(limit)))?;
        match answer.status().as_u16() {
            200 => Ok(Told(answer)),
            status => Err(Failure::Status(status)),
        }
    }

    async fn begin(
        &self,
        question: Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<Answer, Failure> {
        let connection = self.open(limit).await.map_err(Failure::Connect)?;
        exchange::begin(connection, question).await.map_err(|unanswered| unanswered.failure)
    }

    async fn open(&self, limit: Duration) -> std::io::Result<Connection> {
        let stream = expvar_push::connect(&self.host, self.port, limit).await?;
        stream.set_nodelay(true)?;
        let connection = Connection::Tcp(stream);
        let Some(tls) = &self.tls else { return Ok(connection) };
        let stream = tls.connector().connect(&self.host, connection).await?;
        Ok(Connection::Tls(Box::new(stream)))
    }

    fn question(
        &self,
        path: &str,
        body: Bytes,
        authorization: Option<HeaderValue>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let bad = |error: http::Error| Failure::Broken(error.to_string());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::builder().path_and_query(path).build().map_err(bad)?;
        let host = HeaderValue::try_from(self.authority());
        let host = host.map_err(|error| Failure::Broken(error.to_string()))?;
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(USER_AGENT, DEFAULTS[0].1.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(HAS_LEADER, HeaderValue::from_static("true"));
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        Ok(request)
    }
}

impl Told {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        self.0.piece().await
    }
}
