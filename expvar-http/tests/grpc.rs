//! The layer counts gRPC calls by the status in their trailers.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use expvar::Registry;
use expvar_http::Layer;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use tower_service::Service;

/// A body of these frames; `Err` fails.
#[derive(Default)]
struct Frames(VecDeque<Result<Frame<Bytes>, &'static str>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(self.0.pop_front())
    }
}

fn trailers(status: &str) -> Result<Frame<Bytes>, &'static str> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    Ok(Frame::trailers(trailers))
}

fn data() -> Result<Frame<Bytes>, &'static str> {
    Ok(Frame::data(Bytes::from_static(b"\0\0\0\0\0")))
}

/// Answers with what the request says: its content type, a status in the head, frames.
#[derive(Clone)]
struct Answer;

type Call = (&'static str, Option<&'static str>, Vec<Result<Frame<Bytes>, &'static str>>);

impl Service<Request<Call>> for Answer {
    type Response = Response<Frames>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Frames>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Call>) -> Self::Future {
        let (kind, status, frames) = request.into_body();
        let mut response = Response::builder().header("content-type", kind);
        if let Some(status) = status {
            response = response.header("grpc-status", status);
        }
        ready(Ok(response.body(Frames(frames.into())).unwrap()))
    }
}

/// Calls, and reads `frames` of the body before it is dropped.
async fn call(layer: &Layer, call: Call, frames: usize) -> usize {
    let mut service = tower_layer::Layer::layer(layer, Answer);
    let response = service.call(Request::new(call)).await.unwrap();
    let mut body = response.into_body();
    for at in 0..frames {
        if poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.is_none() {
            return at;
        }
    }
    frames
}

#[tokio::test]
async fn calls_are_counted_by_route_and_status() {
    const GRPC: &str = "application/grpc";
    let registry = Registry::new();
    let layer = Layer::publish(&registry, "web").unwrap().route_by(|_| Some("/shop.Cart/Add"));
    call(&layer, ("text/plain", None, vec![data()]), 9).await;
    assert!(registry.get("web.grpc").is_none(), "no gRPC call yet");

    // The body is passed on as it is.
    assert_eq!(call(&layer, (GRPC, None, vec![data(), data(), trailers("0")]), 9).await, 3);
    call(&layer, ("application/grpc+proto", None, vec![trailers("5")]), 9).await;
    call(&layer, (GRPC, Some("16"), vec![]), 0).await;
    call(&layer, (GRPC, None, vec![data()]), 9).await;
    call(&layer, (GRPC, None, vec![data(), Err("reset")]), 9).await;
    call(&layer, (GRPC, None, vec![data(), trailers("0")]), 1).await;
    call(&layer, (GRPC, None, vec![trailers("99")]), 9).await;
    // Its trailers are inside the body.
    call(&layer, ("application/grpc-web+proto", None, vec![data()]), 9).await;
    assert_eq!(
        registry.get("web.grpc").unwrap().to_string(),
        "{\"/shop.Cart/Add\": {\"(cancelled)\": 1, \"(error)\": 1, \"(other)\": 1, \
         \"NOT_FOUND\": 1, \"OK\": 1, \"UNAUTHENTICATED\": 1, \"UNKNOWN\": 1}}"
    );
    let info = registry.info("web.grpc").unwrap();
    assert_eq!(
        (info.get_labels(), info.is_counter()),
        (&["route".into(), "code".into()][..], true)
    );
    // As requests they count by the status of their head.
    assert!(registry.get("web.requests").unwrap().to_string().contains("\"200\": 9"));
}
