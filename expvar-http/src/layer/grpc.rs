//! The status of gRPC calls, from the trailers.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use expvar::{Info, Map, Registry};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::routes::Place;

/// Names of the status codes, from 0.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

static STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Counts calls by route and status. Published at the first call.
#[derive(Debug, Default)]
pub(super) struct Calls {
    place: Option<(Registry, String)>,
    map: OnceLock<Arc<Map>>,
}

impl Calls {
    pub(super) fn new(registry: &Registry, name: String) -> Self {
        Self { place: Some((registry.clone(), name)), map: OnceLock::new() }
    }

    pub(super) fn map(&self) -> &Map {
        self.map.get_or_init(|| {
            let Some((registry, name)) = &self.place else { return Arc::default() };
            let info = Info::with_help("gRPC calls that ended.").labels(["route", "code"]);
            registry.get_or_publish_with(name, Map::new(), info.counter()).unwrap_or_else(|error| {
                expvar::__private::report_conflict(name, error.to_string());
                Arc::default()
            })
        })
    }
}

/// A call without a status yet. Counts as cancelled when dropped.
#[derive(Debug)]
struct Call {
    place: Place,
    code: &'static str,
}

impl Call {
    fn end(mut self, code: &'static str) {
        self.code = code;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.place.count_call(self.code);
    }
}

pin_project! {
    /// The body of a measured response, unchanged. For a gRPC call, it records the status in its
    /// trailers.
    ///
    /// ```
    /// use expvar_http::MeasuredBody;
    ///
    /// /// A handler of all responses that a measured service gives.
    /// fn look<B>(response: &http::Response<MeasuredBody<B>>) -> http::StatusCode {
    ///     response.status()
    /// }
    /// ```
    #[derive(Debug, Default)]
    pub struct MeasuredBody<B> {
        #[pin]
        inner: B,
        // Boxed, so that other bodies grow by one word only.
        call: Option<Box<Call>>,
    }
}

impl<B> MeasuredBody<B> {
    pub(super) fn plain(inner: B) -> Self {
        Self { inner, call: None }
    }

    pub(super) fn wrap(response: Response<B>, place: &Place) -> Response<Self> {
        if !is_grpc(response.headers()) {
            return response.map(Self::plain);
        }
        let call = Call { place: place.clone(), code: "(cancelled)" };
        let call = match status(response.headers()) {
            // A response without a body has the status in its head.
            Some(code) => {
                call.end(code);
                None
            }
            None => Some(Box::new(call)),
        };
        response.map(|inner| Self { inner, call })
    }
}

impl<B: Body> Body for MeasuredBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let ended = match &frame {
            Some(Ok(frame)) => match frame.trailers_ref() {
                Some(trailers) => Some(status(trailers).unwrap_or("UNKNOWN")),
                None => this.inner.is_end_stream().then_some("UNKNOWN"),
            },
            Some(Err(_)) => Some("(error)"),
            None => Some("UNKNOWN"),
        };
        if let Some(code) = ended
            && let Some(call) = this.call.take()
        {
            call.end(code);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// gRPC over HTTP/2; gRPC-Web has its trailers inside the body.
fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    let rest = kind.and_then(|kind| kind.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

fn status(headers: &HeaderMap) -> Option<&'static str> {
    let code = headers.get(&STATUS)?.to_str().ok().and_then(|code| code.parse::<usize>().ok());
    Some(code.and_then(|code| CODES.get(code)).copied().unwrap_or("(other)"))
}
