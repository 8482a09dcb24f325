//! A response that is waited for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use super::routes::{Outcome, Running};

pin_project! {
    /// The response to come of a [`Recorded`](super::Recorded) service.
    #[derive(Debug)]
    pub struct Recording<F> {
        #[pin]
        inner: F,
        running: Option<Running>,
    }
}

impl<F> Recording<F> {
    pub(super) fn new(inner: F, running: Running) -> Self {
        Self { inner, running: Some(running) }
    }
}

impl<F, B, E> Future for Recording<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx));
        if let Some(running) = this.running.take() {
            running.end(match &response {
                Ok(response) => Outcome::Status(response.status()),
                Err(_) => Outcome::Error,
            });
        }
        Poll::Ready(response)
    }
}
