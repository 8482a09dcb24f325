//! The future of a recorded response.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use super::grpc::RecordedBody;
use super::routes::{Outcome, Running};

pin_project! {
    /// The future of a [`Recorded`](super::Recorded) service.
    ///
    /// ```
    /// use expvar_http::{Recorded, Recording};
    /// use http::{Request, Response};
    /// use tower_service::Service;
    ///
    /// fn call<S, B, R>(service: &mut Recorded<S>, request: Request<B>) -> Recording<S::Future>
    /// where
    ///     S: Service<Request<B>, Response = Response<R>>,
    ///     Recorded<S>: Service<Request<B>, Future = Recording<S::Future>>,
    /// {
    ///     service.call(request)
    /// }
    /// ```
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
    type Output = Result<Response<RecordedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx));
        let running = this.running.take();
        Poll::Ready(match response {
            Ok(response) => {
                let status = response.status();
                // Polled after completion, for which a future may do anything.
                let Some(running) = running else {
                    return Poll::Ready(Ok(response.map(RecordedBody::plain)));
                };
                let response = RecordedBody::wrap(response, running.place());
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
