//! Starting and stopping, and what can be wrong with it.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};

use expvar::{Counter, Registry};
use expvar_http::Server;
use expvar_peers::free_port;

use crate::client::{Connection, get};

fn error(addr: &str) -> (ErrorKind, String) {
    let err = expvar_http::spawn(addr).expect_err(addr);
    (err.kind(), err.to_string())
}

#[test]
fn a_bad_address_is_named_with_a_remedy() {
    for bad in ["localhost", ":8123", "127.0.0.1:http", "127.0.0.1:99999", ""] {
        let (_, message) = error(bad);
        assert!(message.starts_with(&format!("cannot listen on {bad:?}: ")), "{message}");
        assert!(message.ends_with("for example 127.0.0.1:8123"), "{message}");
    }
    let (kind, message) = error("192.0.2.1:0");
    assert_eq!(kind, ErrorKind::AddrNotAvailable);
    assert!(message.contains("use an address of this machine"), "{message}");
}

#[test]
fn a_port_in_use_is_named_with_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let (kind, message) = error(&addr.to_string());
    assert_eq!(kind, ErrorKind::AddrInUse);
    assert!(message.starts_with(&format!("cannot listen on \"{addr}\": ")), "{message}");
    assert!(message.ends_with("use another port (0 for any)"), "{message}");
}

#[test]
fn credentials_that_protect_nothing_are_an_error() {
    for builder in [
        Server::builder().bearer_auth(""),
        Server::builder().bearer_auth("two words"),
        Server::builder().basic_auth("ops", ""),
        Server::builder().basic_auth("o:ps", "x"),
    ] {
        let err = builder.spawn("127.0.0.1:0").unwrap_err();
        assert_eq!(err.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn any_form_of_address() {
    for server in [
        expvar_http::spawn("localhost:0"),
        expvar_http::spawn(String::from("127.0.0.1:0")),
        expvar_http::spawn(("127.0.0.1", 0)),
        expvar_http::spawn(SocketAddr::from(([127, 0, 0, 1], 0))),
        expvar_http::spawn(&[SocketAddr::from(([127, 0, 0, 1], 0))][..]),
    ] {
        let server = server.unwrap();
        assert_eq!(server.url(), format!("http://{}", server.local_addr()));
        server.shutdown();
    }
    let everywhere = expvar_http::spawn("0.0.0.0:0").unwrap();
    assert_eq!(everywhere.url(), format!("http://127.0.0.1:{}", everywhere.local_addr().port()));
    everywhere.shutdown();
}

#[test]
fn a_dropped_handle_leaves_the_server_running() {
    let server = expvar_http::spawn("127.0.0.1:0").unwrap();
    let addr = server.local_addr();
    drop(server);
    for _ in 0..3 {
        assert_eq!(Connection::to(addr).get("/debug/vars").status(), "200");
    }
}

#[test]
fn after_a_shutdown_the_port_is_free() {
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let server = expvar_http::spawn(addr).unwrap();
    assert_eq!(get(&server, "/debug/vars").status(), "200");
    server.shutdown();
    assert!(TcpStream::connect(addr).is_err());
    expvar_http::spawn(addr).expect("the same port again").shutdown();
}

#[test]
fn serves_on_a_runtime_until_told_to_stop() {
    let registry = Registry::new();
    registry.publish("a", Counter::new()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let listener = runtime.block_on(tokio::net::TcpListener::bind(addr)).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = runtime.spawn(Server::builder().registry(&registry).serve(listener, stopped));
    let mut connection = Connection::to(addr);
    assert_eq!(connection.get("/debug/vars").text(), "{\n\"a\": 0\n}\n");
    stop.send(()).unwrap();
    runtime.block_on(serving).unwrap().unwrap();
    assert_eq!(connection.rest(), b"");
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn serves_the_global_registry_unless_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let client = tokio::task::spawn_blocking(move || {
            Connection::to(addr).get("/debug/vars").text().to_owned()
        });
        let mut document = String::new();
        let asked = async { document = client.await.unwrap() };
        expvar_http::serve(listener, asked).await.unwrap();
        for name in ["expvar.http", "expvar.panics"] {
            assert!(document.contains(&format!("\n\"{name}\": ")), "{document}");
        }
    });
}
