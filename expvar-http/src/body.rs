//! Response bodies: empty, one piece, a document, or a stream.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Frame, SizeHint};

use crate::connection::InFlight;
use crate::held::Held;
use crate::stats;

/// The body of a response.
///
/// Most bodies have a known length. A document is shared by all its readers and sent in pieces of
/// at most 64 KiB. If its memory is needed for newer documents it ends early, which HTTP reports as
/// an error. Live pages get streams, written as fast as the peer reads.
///
/// ```
/// use http_body::Body as _;
///
/// fn bytes(response: &http::Response<expvar_http::Body>) -> Option<u64> {
///     response.body().size_hint().exact()
/// }
/// ```
pub struct Body {
    content: Content,
    /// Ends the request in flight when dropped.
    _in_flight: Option<InFlight>,
}

enum Content {
    Piece(Bytes),
    Document {
        held: Arc<Held>,
        at: usize,
    },
    Stream {
        pieces: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
        /// Completes when the server shuts down.
        closing: Pin<Box<dyn Future<Output = ()> + Send>>,
    },
}

impl Body {
    pub(crate) fn new(bytes: impl Into<Bytes>) -> Self {
        Self { content: Content::Piece(bytes.into()), _in_flight: None }
    }

    pub(crate) fn document(held: Arc<Held>) -> Self {
        Self { content: Content::Document { held, at: 0 }, _in_flight: None }
    }

    /// A stream that ends with `pieces` or when the server is `closing` (see
    /// [`Service::closing`](crate::Service)).
    pub(crate) fn stream(
        pieces: impl Stream<Item = Bytes> + Send + 'static,
        closing: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let content = Content::Stream { pieces: Box::pin(pieces), closing: Box::pin(closing) };
        Self { content, _in_flight: None }
    }

    /// Whether it is a stream.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.content, Content::Stream { .. })
    }

    pub(crate) fn tracked(self, in_flight: InFlight) -> Self {
        Self { _in_flight: Some(in_flight), ..self }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match &mut self.get_mut().content {
            Content::Piece(bytes) if bytes.is_empty() => None,
            Content::Piece(bytes) => Some(std::mem::take(bytes)),
            Content::Document { held, at } => {
                let piece = held.piece(*at);
                *at += piece.as_ref().map_or(0, Bytes::len);
                piece
            }
            Content::Stream { pieces, closing } => match closing.as_mut().poll(cx) {
                Poll::Ready(()) => None,
                Poll::Pending => ready!(pieces.as_mut().poll_next(cx)),
            },
        };
        Poll::Ready(piece.map(|bytes| {
            stats::BYTES.add(bytes.len() as u64);
            Ok(Frame::data(bytes))
        }))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Piece(bytes) => bytes.is_empty(),
            Content::Document { held, at } => *at == held.len(),
            Content::Stream { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Piece(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Document { held, at } => SizeHint::with_exact((held.len() - at) as u64),
            Content::Stream { .. } => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::Piece(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Content::Document { held, .. } => write!(f, "Body({} bytes)", held.len()),
            Content::Stream { .. } => f.write_str("Body(stream)"),
        }
    }
}
