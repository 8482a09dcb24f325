//! Records a service's own requests: how many, how long, how many at a time.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use expvar::{Info, Map, PublishError, Registry, Unit};
use http::{Extensions, Request, Response};

mod future;
mod grpc;
mod routes;

pub use future::Recording;
use grpc::Calls;
pub use grpc::RecordedBody;
use routes::{Routes, Running};

/// The layer of the [`global`](expvar::global) registry, under `http.server`.
///
/// In axum, with the feature `axum`, this one line records every request by route template:
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, routing::get};
///
/// let app: Router = Router::new()
///     .route("/users/{id}", get(|| async { "Ferris" }))
///     .layer(expvar_http::layer());
/// # }
/// ```
///
/// Calls share their variables. Where a name is taken by something else, nothing is shown, and
/// the variable `expvar.clashes` says so; [`Layer::publish`] gives that as an error.
#[doc(alias("middleware", "TraceLayer"))]
pub fn layer() -> Layer {
    static ROUTES: OnceLock<Routes> = OnceLock::new();
    let publish = || {
        let published = Maps::publish(expvar::global(), "http.server");
        Routes::new(published.unwrap_or_else(|error| {
            expvar::__private::report_conflict(error.name(), error.to_string());
            Maps::default()
        }))
    };
    Layer { routes: Shared::Static(ROUTES.get_or_init(publish)), route_of: matched_path }
}

/// A `tower::Layer` that records what goes through.
///
/// | variable | what | Prometheus |
/// |---|---|---|
/// | `http.server.requests` | requests that ended, by route, method and status | `http_server_requests_total{route="/users/{id}",method="GET",status="200"}` |
/// | `http.server.latency` | nanoseconds from the request to the head of its response, by route and method | `http_server_latency_seconds` |
/// | `http.server.in_flight` | requests that have no response yet, by route | `http_server_in_flight{route="/users/{id}"}` |
/// | `http.server.grpc` | gRPC calls that ended, by route and status; shown from the first one on | `http_server_grpc_total{route="/shop.Cart/Add",code="NOT_FOUND"}` |
///
/// The status of a gRPC call is in the trailers, so a call ends with its body: without a status it
/// is `UNKNOWN`, `(error)` if the body failed, `(cancelled)` if it was dropped before its end.
///
/// A request that got no response has the status `(error)` if the service failed, and
/// `(cancelled)` if its future was dropped, as when the client goes away or a handler panics.
///
/// Names are bounded: a route is a template, never a path. In axum (feature `axum`) it is the
/// `MatchedPath`; elsewhere [`route_by`](Self::route_by) says. What matches no route is
/// `(unmatched)`, a method that HTTP does not define is `(other)`, and so is what comes after the
/// first 1,000 routes, which `expvar.overflows` counts.
///
/// ```
/// use expvar_http::Layer;
///
/// let registry = expvar::Registry::new();
/// let layer = Layer::publish(&registry, "shop.server")?;
/// assert!(registry.get("shop.server.requests").is_some());
/// # let _: Layer = layer;
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[derive(Clone)]
pub struct Layer {
    routes: Shared,
    route_of: RouteOf,
}

/// The routes of a layer. Those of the process's own are cloned without a count that all its threads
/// would write to.
#[derive(Clone)]
enum Shared {
    Static(&'static Routes),
    Counted(Arc<Routes>),
}

impl Deref for Shared {
    type Target = Routes;

    fn deref(&self) -> &Routes {
        match self {
            Self::Static(routes) => routes,
            Self::Counted(routes) => routes,
        }
    }
}

type RouteOf = fn(&Extensions) -> Option<&str>;

/// What is shown.
#[derive(Default)]
struct Maps {
    requests: Arc<Map>,
    latency: Arc<Map>,
    in_flight: Arc<Map>,
    calls: Calls,
}

impl Layer {
    /// A layer whose variables are under `prefix` in `registry`; layers with the same ones share
    /// them.
    ///
    /// Maps that are there already are recorded into. So latencies count exactly at a bound, or keep
    /// exemplars, where their map was published before:
    ///
    /// ```
    /// use expvar::{Info, Map, Registry, Unit};
    ///
    /// let registry = Registry::new();
    /// let latency = Map::new().buckets(&[100e6, 250e6]).exemplars();
    /// let info = Info::new().labels(["route", "method"]).unit(Unit::Nanoseconds);
    /// registry.publish_with("http.latency", latency, info)?;
    /// let layer = expvar_http::Layer::publish(&registry, "http")?;
    /// # drop(layer);
    /// # Ok::<(), expvar::PublishError>(())
    /// ```
    ///
    /// # Errors
    /// A name is taken by something that is no map.
    pub fn publish(registry: &Registry, prefix: &str) -> Result<Self, PublishError> {
        let routes = Arc::new(Routes::new(Maps::publish(registry, prefix)?));
        Ok(Self { routes: Shared::Counted(routes), route_of: matched_path })
    }

    /// Takes the route's template from a request's extensions, as a router other than axum's has
    /// put it there. What it returns must come from a bounded set: never the path itself.
    #[must_use]
    pub fn route_by(mut self, route_of: fn(&Extensions) -> Option<&str>) -> Self {
        self.route_of = route_of;
        self
    }
}

impl Maps {
    fn publish(registry: &Registry, prefix: &str) -> Result<Self, PublishError> {
        let map = |name: &str, info: Info| {
            registry.get_or_publish_with(&format!("{prefix}.{name}"), Map::new(), info)
        };
        let requests =
            Info::new().help("Requests that ended.").labels(["route", "method", "status"]);
        let latency =
            Info::new().help("Time to the head of the response.").labels(["route", "method"]);
        let in_flight = Info::new().help("Requests without a response yet.").label("route");
        Ok(Self {
            requests: map("requests", requests.counter())?,
            latency: map("latency", latency.unit(Unit::Nanoseconds))?,
            in_flight: map("in_flight", in_flight)?,
            calls: Calls::new(registry, format!("{prefix}.grpc")),
        })
    }
}

#[cfg(feature = "axum")]
fn matched_path(extensions: &Extensions) -> Option<&str> {
    extensions.get::<axum::extract::MatchedPath>().map(|path| path.as_str())
}

#[cfg(not(feature = "axum"))]
fn matched_path(_: &Extensions) -> Option<&str> {
    None
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").finish_non_exhaustive()
    }
}

impl<S> tower_layer::Layer<S> for Layer {
    type Service = Recorded<S>;

    fn layer(&self, inner: S) -> Recorded<S> {
        Recorded { inner, layer: self.clone() }
    }
}

/// A service whose requests are recorded: see [`Layer`].
///
/// ```
/// use expvar_http::Recorded;
/// use tower_layer::Layer as _;
///
/// let service: Recorded<&str> = expvar_http::layer().layer("a service");
/// # drop(service);
/// ```
#[derive(Debug, Clone)]
pub struct Recorded<S> {
    inner: S,
    layer: Layer,
}

impl<S, A, B> tower_service::Service<Request<A>> for Recorded<S>
where
    S: tower_service::Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<RecordedBody<B>>;
    type Error = S::Error;
    type Future = Recording<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let Layer { routes, route_of } = &self.layer;
        let template = route_of(request.extensions()).unwrap_or("(unmatched)");
        let running = Running::start(routes, template, request.method());
        Recording::new(self.inner.call(request), running)
    }
}
