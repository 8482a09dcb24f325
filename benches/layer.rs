//! What the layer adds to a request to an axum handler that does nothing.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use expvar::Registry;
use expvar_benches::{Race, print_machine};
use expvar_http::Layer;
use http::Request;
use tower_service::Service;

/// Sends a request that is answered at once.
fn request(router: &Router) {
    let request = Request::builder().uri("/users/7").body(Body::empty()).expect("a valid request");
    let mut router = router.clone();
    let response = pin!(router.call(request));
    let Poll::Ready(response) = response.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the handler waits for nothing");
    };
    assert!(response.is_ok_and(|response| response.status() == 200));
}

fn main() {
    print_machine("layer");
    let router = || Router::new().route("/users/{id}", get(|| async {}));
    let published = Layer::publish(&Registry::new(), "web").expect("free names");
    let (plain, identity) = (router(), router().layer(tower_layer::Identity::new()));
    let (recorded, own) = (router().layer(expvar_http::layer()), router().layer(published));

    let mut race = Race::new("layer", &[1, 2]);
    race.peer("no layer", |_| request(&plain));
    race.peer("a layer that does nothing", |_| request(&identity));
    race.peer("the layer", |_| request(&recorded));
    race.peer("the layer of a registry of its own", |_| request(&own));
    let times = race.run();
    for threads in [1, 2] {
        for layer in ["the layer", "the layer of a registry of its own"] {
            let without = ("a layer that does nothing", threads);
            let (Some(ratio), Some(nanos)) = (
                times.ratio((layer, threads), without),
                times.difference((layer, threads), without),
            ) else {
                continue;
            };
            let more = ratio - 1.0;
            let missed = if more <= 0.3 { "" } else { " (missed)" };
            println!(
                "{threads} threads: {layer} adds {nanos:.0} ns, {more:.2} of a request without it, \
                 at most 0.3{missed}"
            );
        }
    }
    println!();
}
