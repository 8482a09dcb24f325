//! One request and its response on one connection, with hyper.
//!
//! hyper owns the connection only during the exchange: idle ones are plain sockets.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, LOCATION, TRANSFER_ENCODING};
use http::{Request, StatusCode, response};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::body::{Body, Gathering};
use super::connection::Connection;
use super::failure::Failure;

/// The largest head, and the size of reads.
const READ_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 128;

/// A request; documents are requested without a body.
pub(super) type Question = Request<Full<Bytes>>;

/// A response whose body is not read yet.
pub(super) struct Answer {
    head: response::Parts,
    incoming: Incoming,
    link: Link,
}

/// Why there is no response.
pub(super) struct Unanswered {
    pub(super) failure: Failure,
    /// Nothing was received, so the connection may have been closed before the request.
    pub(super) silent: bool,
}

/// A connection driven by hyper.
struct Link {
    sender: http1::SendRequest<Full<Bytes>>,
    /// `None` once it has ended.
    connection: Option<http1::Connection<TokioIo<Connection>, Full<Bytes>>>,
}

impl Link {
    /// Polls `wanted` while driving the connection.
    async fn until<T>(&mut self, mut wanted: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        let connection = &mut self.connection;
        poll_fn(|cx| {
            let ready = wanted(cx);
            if ready.is_ready() {
                return ready;
            }
            step(connection, cx);
            wanted(cx)
        })
        .await
    }
}

/// Drives the connection, and forgets it once it has ended. The error goes to the task that waits
/// for the response.
fn step<C: Future + Unpin>(connection: &mut Option<C>, cx: &mut Context<'_>) {
    if connection.as_mut().is_some_and(|connection| Pin::new(connection).poll(cx).is_ready()) {
        *connection = None;
    }
}

/// Sends the request and waits for the response's head. Skips informational responses (1xx).
pub(super) async fn begin(
    connection: Connection,
    question: Question,
) -> Result<Answer, Unanswered> {
    let unanswered = |error: hyper::Error| {
        let silent = !(error.is_parse() || error.is_parse_too_large());
        Unanswered { failure: broken(&error), silent }
    };
    let (mut sender, connection) = http1::Builder::new()
        .title_case_headers(true)
        .max_headers(MAX_HEADERS)
        .read_buf_exact_size(Some(READ_BYTES))
        .handshake(TokioIo::new(connection))
        .await
        .map_err(unanswered)?;
    let mut asked = pin!(sender.send_request(question));
    let mut link = Link { sender, connection: Some(connection) };
    let answer = link.until(|cx| asked.as_mut().poll(cx)).await.map_err(unanswered)?;
    let (head, incoming) = answer.into_parts();
    check(&head).map_err(|failure| Unanswered { failure, silent: false })?;
    Ok(Answer { head, incoming, link })
}

/// A proxy and we might disagree about the end of such a response.
fn check(head: &response::Parts) -> Result<(), Failure> {
    let ambiguous = |what| Err(Failure::Broken(format!("the answer is ambiguous: {what}")));
    let mut encodings = head.headers.get_all(TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => Ok(()),
        (Some(_), _) if head.headers.contains_key(CONTENT_LENGTH) => {
            ambiguous("it has two lengths")
        }
        (Some(only), None) if only.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => {
            Ok(())
        }
        _ => ambiguous("its Transfer-Encoding is not chunked"),
    }
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.head.status
    }

    pub(super) fn location(&self) -> Option<&str> {
        std::str::from_utf8(self.head.headers.get(LOCATION)?.as_bytes()).ok()
    }

    /// Whether its body is known to have at most this many bytes.
    pub(super) fn is_within(&self, bytes: u64) -> bool {
        self.incoming.size_hint().upper().is_some_and(|most| most <= bytes)
    }

    /// The next piece of the body; `None` at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        let incoming = &mut self.incoming;
        loop {
            let frame = self.link.until(|cx| Pin::new(&mut *incoming).poll_frame(cx)).await;
            let Some(frame) = frame else { return Ok(None) };
            // Trailers are not needed.
            if let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() {
                return Ok(Some(data));
            }
        }
    }

    /// Reads the body; returns the connection if it can be reused.
    pub(super) async fn body(
        mut self,
        limit: usize,
    ) -> Result<(Body, Option<Connection>), Failure> {
        if self.incoming.size_hint().lower() > limit as u64 {
            return Err(Failure::TooLarge(limit));
        }
        let mut gathering = Gathering::new(limit);
        while let Some(data) = self.piece().await? {
            gathering.add(data).await?;
        }
        let connection = self.link.rest().await;
        Ok((gathering.body(self.head.headers).await?, connection))
    }
}

impl Link {
    /// The connection, if it is idle and nothing else has arrived.
    async fn rest(mut self) -> Option<Connection> {
        let connection = &mut self.connection;
        poll_fn(|cx| {
            step(connection, cx);
            Poll::Ready(())
        })
        .await;
        let parts = self.connection.filter(|_| self.sender.is_ready())?.into_parts();
        parts.read_buf.is_empty().then(|| parts.io.into_inner())
    }
}

/// Translates hyper's errors for samlare's log.
fn broken(error: &hyper::Error) -> Failure {
    use std::error::Error;
    use std::io::ErrorKind;
    if error.is_parse_too_large() {
        return Failure::Broken("its head is larger than 64 KiB".to_owned());
    }
    if error.is_parse() {
        return Failure::Broken(format!("the answer is not HTTP: {error}"));
    }
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    Failure::Broken(match io {
        Some(io) if io.kind() == ErrorKind::UnexpectedEof => ENDED.to_owned(),
        Some(io) if matches!(io.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData) => {
            format!("its chunks are wrong: {io}")
        }
        Some(io) => io.to_string(),
        None if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
            ENDED.to_owned()
        }
        None => error.to_string(),
    })
}

const ENDED: &str = "it ended before the answer did";
