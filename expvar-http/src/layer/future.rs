//! The future of a measured response.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use super::grpc::MeasuredBody;
use super::routes::{Outcome, Running};

pin_project! {
    /// The future of a [`Measured`](super::Measured) service.
    ///
    /// ```
    /// use expvar_http::{Measured, MeasuredFuture};
    /// use http::{Request, Response};
    /// use tower_service::Service;
    ///
    /// fn call<S, B, R>(service: &mut Measured<S>, request: Request<B>) -> MeasuredFuture<S::Future>
    /// where
    ///     S: Service<Request<B>, Response = Response<R>>,
    ///     Measured<S>: Service<Request<B>, Future = MeasuredFuture<S::Future>>,
    /// {
    ///     service.call(request)
    /// }
    /// ```
    #[derive(Debug)]
    pub struct MeasuredFuture<F> {
        #[pin]
        inner: F,
        running: Option<Running>,
    }
}

impl<F> MeasuredFuture<F> {
    pub(super) fn new(inner: F, running: Running) -> Self {
        Self { inner, running: Some(running) }
    }
}

impl<F, B, E> Future for MeasuredFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<MeasuredBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx));
        let running = this.running.take();
        Poll::Ready(match response {
            Ok(response) => {
                let status = response.status();
                // Polled after completion, for which a future may do anything.
                let Some(running) = running else {
                    return Poll::Ready(Ok(response.map(MeasuredBody::plain)));
                };
                let response = MeasuredBody::wrap(response, running.place());
                running.end(Outcome::Status(status));
                Ok(response)
            }
            Err(error) => {
                if let Some(running) = running {
                    running.end(Outcome::Error);
                }
                Err(error)
            }
        })
    }
}
