//! What a request can ask for, and what it is refused.

use std::io::Read;

use expvar::{Counter, Registry, Text};
use expvar_http::Server;

use crate::client::{Connection, counted, get, request, serve, spawn};

fn three() -> Registry {
    let registry = Registry::new();
    registry.publish("http.requests", Counter::new()).unwrap().add(3);
    registry.publish("http.errors", Counter::new()).unwrap();
    registry.publish("name", Text::new()).unwrap().set("x");
    registry
}

/// Three variables and a text that makes the document longer than 1 KiB.
fn long() -> Registry {
    let registry = three();
    registry.publish("long", Text::new()).unwrap().set("abc".repeat(1000));
    registry
}

fn with_header(server: &Server, target: &str, header: &str) -> crate::client::Reply {
    request(server, &format!("GET {target} HTTP/1.1\r\n{header}\r\nConnection: close\r\n\r\n"))
}

#[test]
fn a_filter_selects_by_name() {
    let server = serve(&three());
    let filtered = |query: &str| {
        let reply = get(&server, &format!("/debug/vars?{query}"));
        assert_eq!(reply.status(), "200", "{query}");
        reply.text().to_owned()
    };
    assert_eq!(filtered("r=%5Ehttp"), "{\n\"http.errors\": 0,\n\"http.requests\": 3\n}\n");
    assert_eq!(filtered("r=(?i)ERRORS$"), "{\n\"http.errors\": 0\n}\n");
    assert_eq!(filtered("r=e%2Bs"), "{\n\"http.requests\": 3\n}\n");
    assert_eq!(filtered("r=nothing"), "{\n\n}\n");
    assert_eq!(filtered("x&r=%5Cw%5C.r"), "{\n\"http.requests\": 3\n}\n");
    assert_eq!(filtered("r="), filtered(""));
    server.shutdown();
}

#[test]
fn a_bad_filter_is_told_where_it_is_bad() {
    let server = serve(&three());
    let reply = get(&server, "/debug/vars?r=http(a");
    assert_eq!(reply.status(), "400");
    assert_eq!(reply.header("Content-Type"), Some("text/plain; charset=utf-8"));
    let says = "cannot use the expression in ?r=: regex parse error:\n    http(a\n        ^\n\
                error: unclosed group\n";
    assert!(reply.text().starts_with(says), "{}", reply.text());
    let reply = get(&server, "/debug/vars?r=((a{99}){99}){99}");
    assert_eq!(reply.status(), "400");
    assert!(reply.text().contains("size limit"), "{}", reply.text());
    let reply = get(&server, &format!("/debug/vars?r={}", "a".repeat(1025)));
    assert_eq!(reply.status(), "400");
    assert!(reply.text().contains("1025 bytes"), "{}", reply.text());
    server.shutdown();
}

#[test]
fn pretty_indents() {
    let server = serve(&three());
    let expected = "{\n  \"http.errors\": 0,\n  \"http.requests\": 3,\n  \"name\": \"x\"\n}\n";
    assert_eq!(get(&server, "/debug/vars?pretty").text(), expected);
    assert_eq!(get(&server, "/debug/vars?pretty&r=errors").text(), "{\n  \"http.errors\": 0\n}\n");
    server.shutdown();
}

#[test]
fn gzip_when_asked_for_and_worth_it() {
    let server = serve(&long());
    let plain = get(&server, "/debug/vars");
    assert_eq!(plain.header("Content-Encoding"), None);
    assert_eq!(plain.header("Vary"), Some("Accept-Encoding"), "a cache must keep both apart");
    let accept = "Host: localhost\r\nAccept-Encoding: gzip, deflate";
    let reply = with_header(&server, "/debug/vars", accept);
    assert_eq!(reply.header("Content-Encoding"), Some("gzip"));
    assert_eq!(reply.header("Vary"), Some("Accept-Encoding"));
    let mut document = Vec::new();
    flate2::read::GzDecoder::new(&reply.body[..]).read_to_end(&mut document).unwrap();
    assert_eq!(document, plain.body);
    assert!(reply.body.len() < plain.body.len() / 10);
    // `name`, `http.errors` and `http.requests` alone are shorter than 1 KiB.
    let reply = with_header(&server, "/debug/vars?r=n|h", accept);
    assert_eq!(reply.header("Content-Encoding"), Some("gzip"));
    let reply = with_header(&server, "/debug/vars?r=name|http", accept);
    assert_eq!(reply.header("Content-Encoding"), None);
    assert_eq!(reply.header("Vary"), None);
    server.shutdown();
}

#[test]
fn head_is_get_without_its_body() {
    let server = serve(&three());
    let mut connection = Connection::to(server.local_addr());
    let got = connection.get("/debug/vars");
    connection.send("HEAD /debug/vars HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = connection.reply(true).unwrap();
    assert_eq!((&head.status_line, &head.headers), (&got.status_line, &got.headers));
    // Nothing is left over on the connection.
    assert_eq!(connection.get("/debug/vars").body, got.body);
    server.shutdown();
}

#[test]
fn names_that_are_not_the_servers_are_misdirected() {
    let server = spawn(Server::builder().registry(&three()).hosts(["web-1.example"]));
    let host = |host: &str| with_header(&server, "/debug/vars", &format!("Host: {host}"));
    for good in ["localhost", "127.0.0.1:8123", "[::1]", "WEB-1.example:8123"] {
        assert_eq!(host(good).status(), "200", "{good}");
    }
    let reply = host("evil.example");
    assert_eq!(reply.status_line, "HTTP/1.1 421 Misdirected Request");
    assert!(reply.text().contains(".hosts([\"evil.example\"])"), "{}", reply.text());
    let bare = request(&server, "GET /debug/vars HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(bare.status(), "400");
    let old = request(&server, "GET /debug/vars HTTP/1.0\r\n\r\n");
    assert_eq!(old.status(), "200");
    let absolute = with_header(&server, "http://evil.example/debug/vars", "Host: localhost");
    assert_eq!(absolute.status(), "421");
    server.shutdown();
    let open = spawn(Server::builder().registry(&three()).any_host());
    assert_eq!(with_header(&open, "/debug/vars", "Host: evil.example").status(), "200");
    open.shutdown();
}

#[test]
fn credentials_protect_every_path() {
    let builder = Server::builder().registry(&three());
    let server = spawn(builder.basic_auth("ops", "open sesame").bearer_auth("t0ken"));
    for target in ["/", "/debug/vars", "/nothing"] {
        let reply = get(&server, target);
        assert_eq!(reply.status(), "401", "{target}");
        assert!(reply.headers.contains(&"Www-Authenticate: Bearer realm=\"expvar\"".to_owned()));
        assert!(!reply.text().contains("http.requests"));
    }
    let with = |authorization: &str| {
        let headers = format!("Host: localhost\r\nAuthorization: {authorization}");
        with_header(&server, "/debug/vars", &headers).status().to_owned()
    };
    assert_eq!(with("Basic b3BzOm9wZW4gc2VzYW1l"), "200");
    assert_eq!(with("Bearer t0ken"), "200");
    assert_eq!(with("Bearer t0keN"), "401");
    assert_eq!(with("Basic b3BzOndyb25n"), "401");
    server.shutdown();
}

#[test]
fn the_page_lists_every_route_and_every_route_answers() {
    let server = serve(&three());
    let page = get(&server, "/");
    assert_eq!(page.header("Content-Type"), Some("text/html; charset=utf-8"));
    let links: Vec<&str> =
        page.text().split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(links.contains(&"debug/vars"), "{links:?}");
    for link in links {
        assert_eq!(get(&server, &format!("/{link}")).status(), "200", "{link}");
    }
    server.shutdown();
}

#[test]
fn other_paths_are_not_found_and_other_methods_not_allowed() {
    let server = serve(&three());
    for target in ["/debug", "/debug/vars/x", "/favicon.ico", "/debug//nothing", "/vars"] {
        let reply = get(&server, target);
        assert_eq!((reply.status(), reply.text()), ("404", "404 page not found\n"), "{target}");
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let sent = format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let reply = request(&server, &sent);
        assert_eq!(reply.status(), "405", "{method}");
        assert_eq!(reply.header("Allow"), Some("GET, HEAD"), "{method}");
    }
    server.shutdown();
}

#[test]
fn the_server_shows_itself() {
    let server = spawn(Server::builder());
    let before = (counted("requests"), counted("errors"), counted("bytes"));
    let length = get(&server, "/debug/vars?r=expvar.http").body.len() as i64;
    assert_eq!(get(&server, "/nothing").status(), "404");
    assert!(counted("requests") >= before.0 + 2);
    assert!(counted("errors") > before.1);
    assert!(counted("bytes") >= before.2 + length);
    assert!(counted("accepted") >= 2);
    assert!(counted("last_scrape_ns") > 0);
    let document = get(&server, "/debug/vars?r=expvar.http").text().to_owned();
    for key in ["connections", "evicted", "rejected", "timed_out", "accept_errors"] {
        assert!(document.contains(&format!("\"{key}\": ")), "{document}");
    }
    server.shutdown();
}
