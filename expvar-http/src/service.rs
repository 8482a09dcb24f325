//! Handles requests, on the server's own connections and mounted in a router.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::header::ACCEPT;
use http::{Method, Request, request::Parts};
use tokio::sync::watch;

use crate::auth::Credentials;
use crate::builder::Builder;
use crate::connection::Unread;
use crate::document::{self, Document, Kind};
use crate::history::{Sampler, Span};
use crate::host::Hosts;
use crate::limits::MAX_HISTORY_NAMES;
use crate::pages::Pages;
use crate::query;
use crate::render::{RenderError, Renderer};
use crate::response::{self, Response};
use crate::routes::{self, Route};
use crate::settings::Settings;
use crate::{Body, MediaType, stats};

/// A `tower::Service` that serves variables, to mount in axum and other routers.
///
/// Clones are cheap and share everything. The request's body may be of any type and is never read,
/// so `POST /debug/pprof/symbol` is 405 here; a GET with the addresses works. The future needs no
/// runtime: documents are rendered on the service's own threads, at most eight at a time, so a
/// variable's function may block.
///
/// Each of these serves `/debug/vars`:
///
/// ```
/// use axum::Router;
///
/// let service = expvar_http::Service::new();
/// let app: Router = Router::new().route_service("/debug/vars", service.clone());
/// let app: Router = Router::new().nest_service("/debug", service.clone());
/// let app: Router = Router::new().fallback_service(service);
/// ```
///
/// As a fallback it also serves `/metrics`; nested below `/debug`, that is `/debug/metrics`. A
/// proxy that restricts access must block `/metrics` as well as `/debug`.
///
/// Below another prefix, `nest_service("/internal", service)` serves `/internal/vars` and
/// `/internal/debug/vars`. [`Builder`] configures the checks of the `Host` header and of
/// credentials: a service that is reached by name must [allow](Builder::hosts) that name. Limits on
/// connections are up to the router.
#[doc(alias("Handler", "promhttp"))]
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
    mounted: bool,
}

/// State shared by all connections of a server.
struct Shared {
    hosts: Hosts,
    credentials: Credentials,
    renderer: Renderer,
    sampler: Sampler,
    pages: Pages,
    closing: watch::Sender<bool>,
}

impl Service {
    /// Creates a service of the global registry with default settings.
    #[must_use]
    pub fn new() -> Self {
        Builder::new().service()
    }

    pub(crate) fn with(settings: Settings, mounted: bool) -> Self {
        stats::show();
        #[cfg(feature = "pprof")]
        expvar::heap::start_by_default();
        let Settings { registry, prometheus, hosts, credentials, limits, history, pages } =
            settings;
        let renderer = Renderer::new(registry.clone(), prometheus, limits.render_timeout);
        let sampler = Sampler::new(registry, history, limits.series);
        let (closing, _) = watch::channel(false);
        let shared = Shared { hosts, credentials, renderer, sampler, pages, closing };
        Self { shared: Arc::new(shared), mounted }
    }

    /// Whether the program has added pages.
    pub(crate) fn has_pages(&self) -> bool {
        !self.shared.pages.is_empty()
    }

    /// Ends all connections and streams.
    pub(crate) fn close(&self) {
        self.shared.closing.send_replace(true);
        self.shared.sampler.stop();
    }

    /// Completes when the server shuts down; ends streams.
    pub(crate) fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closing = self.shared.closing.subscribe();
        async move {
            // An error means that the service itself was dropped.
            let _ = closing.wait_for(|&closing| closing).await;
        }
    }

    /// Handles a request without reading its body.
    async fn answer(&self, request: &Parts) -> Response {
        self.answer_with(request, None).await
    }

    /// Handles a request, and reads its body if needed.
    pub(crate) async fn answer_with(&self, request: &Parts, body: Option<Unread>) -> Response {
        stats::REQUESTS.inc();
        let response = self.route(request, body).await;
        if response.status().as_u16() >= 400 {
            stats::ERRORS.inc();
        }
        response
    }

    async fn route(&self, request: &Parts, body: Option<Unread>) -> Response {
        let Parts { uri, headers, .. } = request;
        if let Err(refusal) = self.shared.hosts.check(request.version, uri, headers) {
            self.shared.hosts.report(&refusal);
            return response::refused_host(&refusal);
        }
        if !self.shared.credentials.admit(headers) {
            return response::unauthorized(&self.shared.credentials);
        }
        let reads = request.method == Method::GET || request.method == Method::HEAD;
        if reads && let Some(page) = self.shared.pages.find(uri).await {
            return response::page(page);
        }
        let path = uri.path();
        let route = if self.mounted { Route::of_mounted(path) } else { Route::of(path) };
        let Some(route) = route else {
            return match routes::cleaned(path) {
                Some(clean) if !self.mounted => response::redirect(&clean, uri.query()),
                _ => response::not_found(),
            };
        };
        if !reads {
            return match (route, body) {
                #[cfg(feature = "pprof")]
                (Route::Pprof(crate::pprof::Page::Symbol), Some(body))
                    if request.method == Method::POST =>
                {
                    match body.read(crate::pprof::MAX_BODY_BYTES).await {
                        Some(addresses) => crate::pprof::symbols(&addresses).await,
                        None => response::too_large(),
                    }
                }
                _ => response::method_not_allowed(),
            };
        }
        match route {
            Route::Index => response::index(),
            Route::Vars => self.vars(request).await,
            Route::Metrics => self.metrics(request).await,
            Route::Ui(asset) => response::asset(asset),
            Route::Events => self.events(),
            Route::History => self.history(request),
            #[cfg(feature = "pprof")]
            Route::Pprof(page) => crate::pprof::answer(page, uri.query()).await,
        }
    }

    async fn vars(&self, request: &Parts) -> Response {
        let query = request.uri.query();
        let filter = query::value(query, "r").map(|filter| filter.into_owned());
        let kind = Kind::Vars { filter, pretty: query::flag(query, "pretty") };
        self.document(kind, request, response::json).await
    }

    async fn metrics(&self, request: &Parts) -> Response {
        let filter = query::value(request.uri.query(), "r").map(|filter| filter.into_owned());
        let accepts =
            request.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let asked = MediaType::accepted(&accepts.collect::<Vec<_>>().join(","));
        let media_type = self.shared.renderer.media_type(asked);
        let answer = |document| response::metrics(document, media_type);
        self.document(Kind::Metrics { filter, media_type }, request, answer).await
    }

    /// All rows at once, then changes; ends with the server.
    fn events(&self) -> Response {
        match self.shared.sampler.watch() {
            Some(events) => response::events(events, self.closing()),
            None => response::no_page(),
        }
    }

    fn history(&self, request: &Parts) -> Response {
        let query = request.uri.query();
        let names: Vec<_> = query::values(query, "name").take(MAX_HISTORY_NAMES).collect();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let span = match query::value(query, "span").map(|span| (Span::parse(&span), span)) {
            Some((None, span)) => return response::bad_span(&span),
            Some((span, _)) => span,
            None => None,
        };
        response::history(self.shared.sampler.history(&names, span))
    }

    /// Responds with a document rendered on another thread.
    async fn document(
        &self,
        kind: Kind,
        request: &Parts,
        answer: impl FnOnce(document::Rendered) -> Response,
    ) -> Response {
        let started = Instant::now();
        let gzip = document::accepts_gzip(&request.headers);
        let rendered = self.shared.renderer.request(Document { kind, gzip }).await;
        let elapsed_ns = started.elapsed().as_nanos();
        stats::LAST_SCRAPE_NS.set(i64::try_from(elapsed_ns).unwrap_or(i64::MAX));
        match rendered.unwrap_or(Err(RenderError::Failed)) {
            Ok(document) => answer(document),
            Err(RenderError::BadFilter(why)) => response::bad_filter(&why.0),
            Err(RenderError::Busy) => response::busy(),
            Err(RenderError::NoThread) => response::no_thread(),
            Err(RenderError::TimedOut) => response::timed_out(),
            Err(RenderError::Failed) => response::failed(),
        }
    }
}

impl Default for Service {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("credentials", &self.shared.credentials).finish()
    }
}

impl<B> tower_service::Service<Request<B>> for Service {
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let service = self.clone();
        let (parts, _unread) = request.into_parts();
        ResponseFuture(Box::pin(async move { service.answer(&parts).await }))
    }
}

/// The future of a [`Service`].
///
/// ```
/// use expvar_http::{ResponseFuture, Service};
/// use http::Request;
/// use tower_service::Service as _;
///
/// fn answer(service: &mut Service, request: Request<String>) -> ResponseFuture {
///     service.call(request)
/// }
/// ```
pub struct ResponseFuture(Pin<Box<dyn Future<Output = http::Response<Body>> + Send>>);

impl Future for ResponseFuture {
    type Output = Result<http::Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
