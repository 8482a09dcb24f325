//! The live page's routes over real sockets: its files, its stream, and the past of variables.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use expvar::{Counter, Func, Gauge, Histogram, Info, Map, Registry, Unit};
use expvar_http::{Builder, Page, Server};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

fn server(registry: &Registry, with: impl FnOnce(Builder) -> Builder) -> Server {
    with(Server::builder().registry(registry)).spawn("127.0.0.1:0").unwrap()
}

/// Sends a request in HTTP/1.0, so that the answer comes without chunks and ends with the
/// connection; gives status and headers, and a reader of the body.
fn ask(addr: SocketAddr, path: &str) -> (String, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "the answer ends in its head: {head}");
    }
    (head.to_ascii_lowercase(), reader)
}

fn get(addr: SocketAddr, path: &str) -> (String, String) {
    let (head, mut reader) = ask(addr, path);
    let mut body = String::new();
    reader.read_to_string(&mut body).unwrap();
    (head, body)
}

/// Reads one message of the stream.
fn message(reader: &mut impl BufRead) -> Value {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let data = line.strip_prefix("data: ").unwrap_or_else(|| panic!("not an event: {line:?}"));
    let data = serde_json::from_str(data).unwrap();
    line.clear();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "\n");
    data
}

/// The name, kind, unit and value of each row of a first message.
fn rows(message: &Value) -> Vec<Value> {
    let row = |row: &Value| json!([row[1], row[2], row[3], row[4], row[5]]);
    message["rows"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn the_page_and_its_files_are_linked_and_may_do_nothing_else() {
    let server = server(&Registry::new(), |builder| builder);
    let addr = server.local_addr();
    assert!(get(addr, "/").1.contains("href=\"debug/vars/ui\""));
    let (head, page) = get(addr, "/debug/vars/ui");
    assert!(head.contains("content-type: text/html; charset=utf-8\r\n"), "{head}");
    let mut paths = vec!["ui"];
    paths.extend(page.split(['"']).filter(|part| part.starts_with("ui/")));
    assert!(paths.len() > 8, "{paths:?}");
    let mut bytes = 0;
    for path in paths {
        let (head, body) = get(addr, &format!("/debug/vars/{path}"));
        bytes += body.len();
        assert!(head.starts_with("http/1.0 200 ok\r\n"), "{path}: {head}");
        assert!(head.contains(
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; \
             connect-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; \
             form-action 'none'\r\n"
        ));
        assert!(head.contains("x-content-type-options: nosniff\r\n"), "{head}");
        assert!(head.contains("cache-control: no-cache\r\n"), "{head}");
    }
    assert!(bytes <= 96 * 1024, "{bytes} bytes");
    for path in ["/debug/vars/ui/", "/debug/vars/ui/index.html", "/debug/vars/ui/../ui/app.js"] {
        assert!(!get(addr, path).0.starts_with("http/1.0 200"), "{path}");
    }
}

#[test]
fn the_stream_tells_everything_then_what_changes() {
    let registry = Registry::new();
    let hits = Info::new().help("Hits of the cache.").unit(Unit::Other("hits"));
    let hits = registry.publish_with("hits", Counter::new(), hits).unwrap();
    let map = registry.publish("map", Map::new()).unwrap();
    map.add("a.b", -1);
    let wait = Info::new().unit(Unit::Nanoseconds);
    registry.publish_with("wait", Histogram::new(), wait).unwrap().record(7);
    registry.publish("list", Func::new(|| [1, 2])).unwrap();
    let server = server(&registry, |builder| builder);
    let (head, mut stream) = ask(server.local_addr(), "/debug/vars/events");
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("cache-control: no-cache\r\n"), "{head}");
    let first = message(&mut stream);
    assert_eq!(
        rows(&first),
        [
            json!(["hits", 0, "c", "hits", 0]),
            json!(["list", 0, "j", "", "1, 2"]),
            json!(["map.a.b", 3, "g", "", -1]),
            json!(["wait", 0, "h", "nanoseconds", [1, 7, 7, 7]]),
        ]
    );
    assert_eq!(first["rows"][0][6], "Hits of the cache.");
    let id = |name: &str| {
        let row = first["rows"].as_array().unwrap().iter().find(|row| row[1] == name);
        row.unwrap()[0].clone()
    };

    hits.add(3);
    map.remove("a.b");
    map.add("c", 1);
    // Together, or one by one where a second passes in between.
    let mut told: BTreeMap<&str, Value> = BTreeMap::new();
    while told.len() < 3 {
        let next = message(&mut stream);
        assert!(next["tick"].as_u64() > first["tick"].as_u64());
        for kind in ["set", "gone", "add"] {
            if let Some(change) = next.get(kind) {
                assert_eq!(told.insert(kind, change.clone()), None, "{kind} once: {next}");
            }
        }
    }
    assert_eq!(told["set"], json!([id("hits"), 3]));
    assert_eq!(told["gone"], json!([id("map.a.b")]));
    assert_eq!(
        told["add"][0].as_array().unwrap()[1..6],
        [json!("map.c"), 3.into(), "g".into(), "".into(), 1.into()]
    );
    let quiet = message(&mut stream);
    assert_eq!(quiet.as_object().unwrap().keys().collect::<Vec<_>>(), ["now", "tick"]);
}

#[test]
fn quantiles_of_fractions_are_fractions_and_large_numbers_keep_their_digits() {
    let registry = Registry::new();
    let wait = registry.publish("wait_seconds", Histogram::floats()).unwrap();
    (1..=100).for_each(|ms| wait.record_float(f64::from(ms) / 1000.0));
    registry.publish("large", Counter::new()).unwrap().add(u64::MAX - 1);
    registry.publish("small", Gauge::new()).unwrap().set(i64::MIN);
    let server = server(&registry, |builder| builder);
    let (_, mut stream) = ask(server.local_addr(), "/debug/vars/events");
    let first = message(&mut stream);
    let [large, small, wait] = &rows(&first)[..] else { panic!("{first}") };
    assert_eq!(large[4], "18446744073709551614");
    assert_eq!(small[4], "-9223372036854775808");
    assert_eq!(wait[3], "seconds");
    for (at, expected) in [(1, 0.05), (2, 0.09), (3, 0.099)] {
        let quantile = wait[4][at].as_f64().unwrap();
        assert!((quantile / expected - 1.0).abs() < 0.04, "{wait}");
    }
    let past = get(server.local_addr(), "/debug/vars/history?name=wait_seconds.p99&span=second").1;
    let past: Value = serde_json::from_str(&past).unwrap();
    let newest = past["series"]["wait_seconds.p99"]["second"][59].as_f64().unwrap();
    assert!((newest / 0.099 - 1.0).abs() < 0.04, "{past}");
}

#[test]
fn hostile_names_and_values_are_only_ever_json() {
    let registry = Registry::new();
    let evil = "</script><script>alert(1)</script>\u{202e}\u{7f}\u{2028}\" data: x";
    registry.publish("keys", Map::new()).unwrap().add(evil, 1);
    registry.publish("long", Func::new(move || evil.repeat(1000))).unwrap();
    registry.publish(&"n".repeat(10_000), Gauge::new()).unwrap();
    let server = server(&registry, |builder| builder);
    let (_, mut stream) = ask(server.local_addr(), "/debug/vars/events");
    let first = message(&mut stream);
    let rows = rows(&first);
    assert_eq!(rows[0][0], format!("keys.{evil}"));
    assert!(rows[1][4].as_str().unwrap().len() <= 203, "{}", rows[1][4]);
    assert_eq!(rows[2][0].as_str().unwrap().len(), 10_000);
}

#[test]
fn the_past_is_kept_from_the_start_where_that_was_asked_for() {
    let registry = Registry::new();
    let info = Info::new().unit(Unit::Bytes);
    registry.publish_with("sent", Counter::new(), info.clone()).unwrap();
    registry.publish_with("size", Histogram::new(), info).unwrap().record(9);
    registry.publish("text", Func::new(|| "text")).unwrap();
    let server = server(&registry, |builder| builder.history(true));
    let addr = server.local_addr();
    let began = Instant::now();
    let past = loop {
        let (_, body) = get(addr, "/debug/vars/history?name=sent&name=size&name=text&name=none");
        let past: Value = serde_json::from_str(&body).unwrap();
        if past["series"]["sent"]["second"][59] == 0 {
            break past;
        }
        assert!(began.elapsed() < PATIENCE, "no rate yet: {body}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let series = past["series"].as_object().unwrap();
    let names = ["sent", "size.count", "size.p50", "size.p90", "size.p99"];
    assert_eq!(series.keys().collect::<Vec<_>>(), names);
    for (name, series) in series {
        let points =
            ["second", "minute", "hour", "day"].map(|span| series[span].as_array().unwrap());
        assert_eq!(points.map(Vec::len), [60, 60, 24, 30], "{name}");
    }
    // The longer spans' extremes, and how much a counter went up.
    for span in ["minute", "hour", "day"] {
        assert_eq!(series["size.p99"]["min"][span].as_array().unwrap().last().unwrap(), 9);
        assert_eq!(series["size.p99"]["max"][span].as_array().unwrap().last().unwrap(), 9);
        assert_eq!(series["sent"]["total"][span].as_array().unwrap().last().unwrap(), 0);
    }
    assert_eq!(series["size.p99"].get("total"), None);
    assert_eq!((&past["kept"], &past["of"]), (&json!(5), &json!(5)));
    assert_eq!(series["sent"]["rate"], true);
    assert_eq!(series["sent"]["unit"], "bytes");
    assert_eq!(series["size.count"]["unit"], "");
    assert_eq!(series["size.p99"]["day"][29], 9);

    let one = get(addr, "/debug/vars/history?name=size.p99&span=minute").1;
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(one["series"]["size.p99"]["minute"][59], 9);
    assert_eq!(one["series"]["size.p99"].get("second"), None);
    let all: Value = serde_json::from_str(&get(addr, "/debug/vars/history").1).unwrap();
    assert_eq!(all["names"], json!(["sent", "size"]));
    let (head, body) = get(addr, "/debug/vars/history?name=sent&span=week");
    assert!(head.starts_with("http/1.0 400 "), "{head}");
    assert_eq!(body, "?span=\"week\" is none of second, minute, hour, day\n");
}

#[test]
fn shutting_down_ends_the_streams_at_once() {
    let registry = Registry::new();
    let server = server(&registry, |builder| builder.shutdown_timeout(PATIENCE));
    let (_, mut stream) = ask(server.local_addr(), "/debug/vars/events");
    message(&mut stream);
    let began = Instant::now();
    server.shutdown();
    assert!(began.elapsed() < PATIENCE / 2);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
}

#[test]
fn a_page_that_does_not_read_is_cut() {
    let registry = Registry::new();
    // A megabyte that changes each second, more than sockets hold for long.
    let round = AtomicU64::new(0);
    let texts = move || {
        let round = round.fetch_add(1, Relaxed);
        (0..5000).map(|at| (at.to_string(), format!("{round} {:200}", ' '))).collect::<Vec<_>>()
    };
    let texts = move || texts().into_iter().collect::<std::collections::BTreeMap<_, _>>();
    registry.publish("texts", Func::new(texts)).unwrap();
    let server = server(&registry, |builder| builder.write_timeout(Duration::from_millis(100)));
    let (_, mut stream) = ask(server.local_addr(), "/debug/vars/events");
    let timed_out = || {
        let document: Value = serde_json::from_str(&expvar::global().to_json()).unwrap();
        document["expvar.http"]["timed_out"].as_u64().unwrap()
    };
    let began = Instant::now();
    while timed_out() == 0 {
        assert!(began.elapsed() < PATIENCE, "the page is still connected");
        std::thread::sleep(Duration::from_millis(50));
    }
    // What was on its way is left to read, then the connection is over.
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
}

#[test]
fn a_programs_own_pages_come_before_the_servers() {
    let find = async |uri: http::Uri| match uri.path() {
        "/" => Some(Page::new("text/html; charset=utf-8", "<h1>mine</h1>")),
        "/mine" => Some(Page::new("application/json", format!("{:?}", uri.query()))),
        _ => None,
    };
    let server = server(&Registry::new(), |builder| builder.pages(find));
    let addr = server.local_addr();
    let (head, body) = get(addr, "/");
    assert_eq!(body, "<h1>mine</h1>");
    assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self';"));
    assert_eq!(get(addr, "/mine?a=1").1, "Some(\"a=1\")");
    assert_eq!(get(addr, "/debug/vars").1, "{\n\n}\n");
    assert!(get(addr, "/other").0.starts_with("http/1.0 404 "));
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(stream, "GET / HTTP/1.0\r\nHost: evil.example\r\n\r\n").unwrap();
    let mut refused = String::new();
    stream.read_to_string(&mut refused).unwrap();
    assert!(refused.starts_with("HTTP/1.0 421 "), "{refused}");
}
