//! `/metrics` over a real socket: the client chooses the format, and may filter.

#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use expvar::{Counter, Gauge, Registry};
use expvar_http::{Escaping, Mapping, Prometheus, Server};

fn get(addr: SocketAddr, path: &str, accept: &str) -> (String, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

#[test]
fn the_client_chooses_format_and_variables() {
    let registry = Registry::new();
    registry.publish("hits", Counter::new()).unwrap().add(3);
    registry.publish("queue", Gauge::new()).unwrap();
    let mapping = Mapping::new("hits").help("Hits.").constant("app", "web");
    let prometheus = Prometheus::new().map(mapping).unwrap();
    let server = Server::builder().registry(&registry).prometheus(prometheus);
    let server = server.spawn("127.0.0.1:0").unwrap();
    let addr = server.local_addr();

    let (head, body) = get(addr, "/metrics?r=^hits", "*/*");
    assert!(head.starts_with("http/1.0 200") || head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(head.contains("vary: accept"), "{head}");
    assert_eq!(
        body,
        "# HELP hits_total Hits.\n# TYPE hits_total counter\nhits_total{app=\"web\"} 3\n"
    );

    let (head, body) = get(addr, "/metrics", "application/openmetrics-text; version=1.0.0");
    let content_type = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.contains(content_type), "{head}");
    assert!(body.contains("# TYPE hits counter\n") && body.ends_with("queue 0\n# EOF\n"), "{body}");

    let accept = "text/plain;version=1.0.0;escaping=values;q=0.9, text/plain;q=0.5";
    let (head, _) = get(addr, "/metrics", accept);
    let content_type = "content-type: text/plain; version=1.0.0; charset=utf-8; escaping=values";
    assert!(head.contains(content_type) && head.contains("vary: accept"), "{head}");

    let message = "proto=io.prometheus.client.MetricFamily; encoding=delimited";
    let accept = format!("application/vnd.google.protobuf; {message}, */*;q=0.1");
    let (head, body) = get(addr, "/metrics?r=queue", &accept);
    let content_type = format!("content-type: application/vnd.google.protobuf; {message}\r\n");
    assert!(head.contains(&content_type.to_ascii_lowercase()), "{head}");
    assert!(head.contains("vary: accept"), "{head}");
    let queue =
        "\x27\x0a\x05queue\x12\x0fVariable queue.\x18\x01\x22\x0b\x12\x09\x09\0\0\0\0\0\0\0\0";
    assert_eq!(body, queue);

    assert!(get(addr, "/metrics?r=(", "*/*").0.contains(" 400 "));
    assert!(get(addr, "/", "*/*").1.contains("href=\"metrics\""), "the index page links it");
}

#[test]
fn the_content_type_names_the_escaping_that_the_program_chose() {
    let registry = Registry::new();
    registry.publish("http.requests", Counter::new()).unwrap();
    let prometheus = Prometheus::new().escaping(Escaping::Underscores);
    let server = Server::builder().registry(&registry).prometheus(prometheus);
    let server = server.spawn("127.0.0.1:0").unwrap();
    // What Prometheus 3 asks for, of text.
    let accept = "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3, */*;q=0.1";
    let (head, body) = get(server.local_addr(), "/metrics?r=requests", accept);
    let content_type =
        "content-type: text/plain; version=1.0.0; charset=utf-8; escaping=underscores";
    assert!(head.contains(content_type), "{head}");
    assert!(body.ends_with("\nhttp_requests_total 0\n"), "{body}");
}
