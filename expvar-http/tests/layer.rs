//! The layer records what real requests to an axum router do.

#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{get, post};
use expvar::{Gauge, Registry, Var};
use expvar_http::{Format, Layer, Prometheus};
use http::{Extensions, Request, Response, StatusCode};
use tower_service::Service;

async fn answer<S>(service: &mut S, method: &str, path: &str) -> Result<StatusCode, S::Error>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    poll_fn(|cx| service.poll_ready(cx)).await?;
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    service.call(request).await.map(|response| response.status())
}

fn shown(registry: &Registry, name: &str) -> String {
    registry.get(name).unwrap().to_string()
}

/// Latencies are of no matter here, only how many there are.
fn latencies(registry: &Registry, route: &str, method: &str) -> u64 {
    let Some(Var::Map(routes)) = registry.get("web.latency") else { panic!() };
    let Some(Var::Map(methods)) = routes.get(route) else { panic!("{route}") };
    let Some(Var::Histogram(latency)) = methods.get(method) else { panic!("{method}") };
    latency.snapshot().count()
}

#[tokio::test]
async fn requests_are_recorded_by_template_method_and_status() {
    let registry = Registry::new();
    let layer = Layer::publish(&registry, "web").unwrap();
    let mut app = Router::new()
        .route("/users/{id}", get(|Path(id): Path<String>| async move { id }))
        .route("/fail", post(|| async { StatusCode::BAD_GATEWAY }))
        .layer(layer);
    for n in 0..100 {
        assert_eq!(answer(&mut app, "GET", &format!("/users/{n}")).await, Ok(StatusCode::OK));
        let _ = answer(&mut app, "GET", &format!("/nowhere/{n}")).await;
    }
    let _ = answer(&mut app, "POST", "/fail").await;
    let _ = answer(&mut app, "DELETE", "/fail").await;
    let _ = answer(&mut app, "BREW", "/users/1").await;
    assert_eq!(
        shown(&registry, "web.requests"),
        "{\"(unmatched)\": {\"GET\": {\"404\": 100}}, \
         \"/fail\": {\"DELETE\": {\"405\": 1}, \"POST\": {\"502\": 1}}, \
         \"/users/{id}\": {\"(other)\": {\"405\": 1}, \"GET\": {\"200\": 100}}}"
    );
    assert_eq!(latencies(&registry, "/users/{id}", "GET"), 100);
    assert_eq!(
        shown(&registry, "web.in_flight"),
        "{\"(unmatched)\": 0, \"/fail\": 0, \"/users/{id}\": 0}"
    );
    let metrics = Prometheus::new().to_text(&registry, Format::Text);
    let line = "web_requests_total{route=\"/users/{id}\",method=\"GET\",status=\"200\"} 100\n";
    assert!(metrics.contains(line), "{metrics}");
    assert!(metrics.contains("# TYPE web_latency_seconds histogram\n"), "{metrics}");
}

#[tokio::test]
async fn a_request_is_in_flight_until_it_is_answered_or_dropped() {
    let registry = Registry::new();
    let layer = Layer::publish(&registry, "web").unwrap();
    let mut app = Router::new().route("/slow", get(pending::<()>)).layer(layer);
    {
        let mut request = pin!(answer(&mut app, "GET", "/slow"));
        let waiting = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(waiting, Poll::Pending));
        assert_eq!(shown(&registry, "web.in_flight"), "{\"/slow\": 1}");
    }
    assert_eq!(shown(&registry, "web.in_flight"), "{\"/slow\": 0}");
    assert_eq!(shown(&registry, "web.requests"), "{\"/slow\": {\"GET\": {\"(cancelled)\": 1}}}");
}

/// A service that fails, and whose router is not axum's.
#[derive(Clone)]
struct Failing;

#[derive(Clone)]
struct Template(&'static str);

impl Service<Request<Body>> for Failing {
    type Response = Response<Body>;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        std::future::ready(Err("failed"))
    }
}

#[tokio::test]
async fn any_router_can_say_its_route_and_failures_are_recorded() {
    fn template(extensions: &Extensions) -> Option<&str> {
        extensions.get::<Template>().map(|template| template.0)
    }
    let registry = Registry::new();
    let layer = Layer::publish(&registry, "web").unwrap().route_by(template);
    let mut service = tower_layer::Layer::layer(&layer, Failing);
    for template in ["/a", "/b", "/a"] {
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(Template(template));
        assert!(service.call(request).await.is_err());
    }
    assert_eq!(
        shown(&registry, "web.requests"),
        "{\"/a\": {\"GET\": {\"(error)\": 2}}, \"/b\": {\"GET\": {\"(error)\": 1}}}"
    );
}

#[tokio::test]
async fn routes_past_the_limit_go_to_other_and_are_counted() {
    fn template(extensions: &Extensions) -> Option<&str> {
        extensions.get::<Arc<str>>().map(|template| &**template)
    }
    let overflows =
        || expvar::global().get("expvar.overflows").unwrap().to_string().parse::<u64>().unwrap();
    let registry = Registry::new();
    let layer = Layer::publish(&registry, "web").unwrap().route_by(template);
    let mut service = tower_layer::Layer::layer(&layer, Failing);
    let before = overflows();
    for n in 0..1010 {
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(Arc::<str>::from(format!("/{n}")));
        let _ = service.call(request).await;
    }
    let Some(Var::Map(routes)) = registry.get("web.requests") else { panic!() };
    assert_eq!(routes.len(), 1001);
    assert_eq!(routes.get("(other)").unwrap().to_string(), "{\"GET\": {\"(error)\": 10}}");
    assert_eq!(overflows() - before, 10);
}

#[tokio::test]
async fn layers_of_one_prefix_share_and_a_taken_name_is_an_error() -> Result<(), Infallible> {
    let registry = Registry::new();
    for _ in 0..2 {
        let layer = Layer::publish(&registry, "web").unwrap();
        let mut app = Router::new().route("/", get(|| async {})).layer(layer);
        assert_eq!(answer(&mut app, "GET", "/").await?, StatusCode::OK);
    }
    assert_eq!(shown(&registry, "web.requests"), "{\"/\": {\"GET\": {\"200\": 2}}}");
    registry.publish("api.latency", Gauge::new()).unwrap();
    assert_eq!(Layer::publish(&registry, "api").unwrap_err().name(), "api.latency");
    Ok(())
}

#[tokio::test]
async fn one_line_records_into_the_global_registry() {
    let mut app = Router::new().route("/", get(|| async {})).layer(expvar_http::layer());
    let _ = answer(&mut app, "GET", "/").await;
    assert_eq!(shown(expvar::global(), "http.server.requests"), "{\"/\": {\"GET\": {\"200\": 1}}}");
}
