//! Records a service's requests: count, latency, in flight.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use expvar::{Info, Map, PublishError, Registry, Unit};
use http::{Extensions, Request, Response};

mod future;
mod grpc;
mod routes;
mod shared;

pub use future::MeasuredFuture;
use grpc::Calls;
pub use grpc::MeasuredBody;
use routes::{Routes, Running};
use shared::Shared;

/// The layer of the [`global`](expvar::global) registry, under `http.server`.
///
/// In axum, with the feature `axum`, this line records every request by route template:
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
/// All calls share their variables. If a name is taken by another kind of variable, nothing is
/// shown, and the variable `expvar.clashes` says so; [`Layer::publish`] returns that as an error.
#[doc(alias("middleware", "TraceLayer"))]
#[must_use]
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

/// A `tower::Layer` that records requests.
///
/// | variable | what | Prometheus |
/// |---|---|---|
/// | `http.server.requests` | finished requests, by route, method and status | `http_server_requests_total{route="/users/{id}",method="GET",status="200"}` |
/// | `http.server.latency` | nanoseconds from the request to the head of its response, by route and method | `http_server_latency_seconds` |
/// | `http.server.in_flight` | requests without a response yet, by route | `http_server_in_flight{route="/users/{id}"}` |
/// | `http.server.grpc` | finished gRPC calls, by route and status; shown from the first one on | `http_server_grpc_total{route="/shop.Cart/Add",code="NOT_FOUND"}` |
///
/// The status of a gRPC call is in its trailers, so a call ends with its body: `UNKNOWN` without a
/// status, `(error)` if the body failed, `(cancelled)` if it was dropped early.
///
/// A request without a response has the status `(error)` if the service failed, and `(cancelled)`
/// if its future was dropped, as when the client disconnects or a handler panics.
///
/// The number of names is bounded: a route is a template, never a path. In axum (feature `axum`) it
/// is the `MatchedPath`; elsewhere set [`route_by`](Self::route_by). Requests without a route are
/// `(unmatched)`, methods that HTTP does not define are `(other)`, and so are routes beyond the
/// first 1,000, which `expvar.overflows` counts.
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

type RouteOf = fn(&Extensions) -> Option<&str>;

/// The variables of a layer.
#[derive(Default)]
struct Maps {
    requests: Arc<Map>,
    latency: Arc<Map>,
    in_flight: Arc<Map>,
    calls: Calls,
}

impl Layer {
    /// Creates a layer whose variables are under `prefix` in `registry`; layers with the same
    /// arguments share them.
    ///
    /// Existing maps are used. So to count latencies exactly at a bound, or to keep exemplars,
    /// publish their map first:
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
    /// A name is taken by something that is not a map.
    pub fn publish(registry: &Registry, prefix: &str) -> Result<Self, PublishError> {
        let routes = Routes::new(Maps::publish(registry, prefix)?);
        Ok(Self { routes: Shared::new(routes), route_of: matched_path })
    }

    /// Sets a function that gets the route's template from a request's extensions, for routers
    /// other than axum's. It must return values of a bounded set, never the path itself.
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
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { inner, layer: self.clone() }
    }
}

/// A service whose requests are measured. See [`Layer`].
///
/// ```
/// use expvar_http::Measured;
/// use tower_layer::Layer as _;
///
/// let service: Measured<&str> = expvar_http::layer().layer("a service");
/// # drop(service);
/// ```
#[derive(Debug, Clone)]
pub struct Measured<S> {
    inner: S,
    layer: Layer,
}

impl<S, A, B> tower_service::Service<Request<A>> for Measured<S>
where
    S: tower_service::Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<MeasuredBody<B>>;
    type Error = S::Error;
    type Future = MeasuredFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let Layer { routes, route_of } = &self.layer;
        let template = route_of(request.extensions()).unwrap_or("(unmatched)");
        let running = Running::start(routes, template, request.method());
        MeasuredFuture::new(self.inner.call(request), running)
    }
}
