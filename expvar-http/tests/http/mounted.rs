//! The service mounted in a router.

use axum::Router;
use axum::routing::get;
use expvar::{Counter, Registry};
use expvar_http::{Server, Service};

use crate::client::Connection;

fn service() -> Service {
    let registry = Registry::new();
    registry.publish("a", Counter::new()).unwrap();
    Server::builder().registry(&registry).service()
}

/// The status, and the body, that `app` answers.
fn ask(app: Router, request: &str) -> (String, String) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let addr = listener.local_addr().unwrap();
    runtime.spawn(async { axum::serve(listener, app).await });
    let mut connection = Connection::to(addr);
    // axum writes header names in lower case.
    connection.send(&format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    let answer = String::from_utf8(connection.rest()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a response");
    (head["HTTP/1.1 ".len()..][..3].to_owned(), body.to_owned())
}

fn vars() -> (String, String) {
    ("200".to_owned(), "{\n\"a\": 0\n}\n".to_owned())
}

#[test]
fn as_a_route() {
    let app =
        Router::new().route("/", get(|| async { "mine" })).route_service("/debug/vars", service());
    assert_eq!(ask(app.clone(), "GET /debug/vars"), vars());
    assert_eq!(ask(app.clone(), "GET /debug/vars?r=a"), vars());
    assert_eq!(ask(app.clone(), "GET /"), ("200".to_owned(), "mine".to_owned()));
    let refused = ("405".to_owned(), "Method Not Allowed\n".to_owned());
    assert_eq!(ask(app, "POST /debug/vars"), refused);
}

#[test]
fn nested_below_any_prefix() {
    let app = Router::new().nest_service("/debug", service()).nest_service("/internal", service());
    assert_eq!(ask(app.clone(), "GET /debug/vars"), vars());
    assert_eq!(ask(app.clone(), "GET /internal/vars"), vars());
    assert_eq!(ask(app.clone(), "GET /internal/debug/vars"), vars());
    assert!(ask(app.clone(), "GET /internal/").1.contains("<h1>Variables</h1>"));
    assert_eq!(ask(app, "GET /internal/debug/nothing").0, "404");
}

#[test]
fn as_the_fallback() {
    let app = Router::new().route("/mine", get(|| async { "mine" })).fallback_service(service());
    assert_eq!(ask(app.clone(), "GET /debug/vars"), vars());
    assert_eq!(ask(app.clone(), "GET /mine").1, "mine");
    // Where a clean path would lead is the router's business.
    assert_eq!(ask(app.clone(), "GET /debug/x/../vars").1, "404 page not found\n");
    assert_eq!(ask(app, "GET /x/vars").1, "404 page not found\n");
}

#[test]
fn checks_hosts_and_credentials_too() {
    let registry = Registry::new();
    let guarded = Server::builder().registry(&registry).bearer_auth("t0ken").service();
    let app = Router::new().fallback_service(guarded);
    assert_eq!(ask(app, "GET /debug/vars").0, "401");
    // Invalid credentials admit no request.
    let nobody = Server::builder().registry(&registry).bearer_auth("").service();
    assert_eq!(ask(Router::new().fallback_service(nobody), "GET /debug/vars").0, "401");
    let app = Router::new().fallback_service(service());
    assert_eq!(ask(app, "GET http://evil.example/debug/vars").0, "421");
}
