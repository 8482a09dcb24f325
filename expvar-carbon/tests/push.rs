//! What is sent of a registry: exact lines, as a server gets them.

use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use expvar::{Counter, FloatGauge, Func, Gauge, Histogram, Info, Map, Registry, Text};
use expvar_carbon::{Carbon, Counters, Unsent};
use expvar_peers::free_port;

/// How long anything may take on a busy machine before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Its next boundary is in 2038: the one collection is the last.
const INTERVAL: Duration = Duration::from_secs(1 << 30);

/// Reads connection after connection and returns what all of them brought, at the end.
struct Sink {
    address: String,
    texts: std::sync::mpsc::Receiver<String>,
}

impl Sink {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (send, texts) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut text = String::new();
                let _ = stream.unwrap().read_to_string(&mut text);
                if send.send(text).is_err() {
                    return;
                }
            }
        });
        Self { address, texts }
    }

    /// A push to it that collects once, at its end.
    fn carbon(&self, registry: &Registry) -> Carbon {
        let carbon = Carbon::new(&self.address).registry(registry).interval(INTERVAL);
        carbon.timeout(PATIENCE).shutdown_timeout(PATIENCE)
    }

    /// The lines of one reading, without their timestamp and without those of the push itself.
    fn lines(&self) -> Vec<String> {
        let text = self.texts.recv_timeout(PATIENCE).unwrap();
        text.lines()
            .filter(|line| !line.contains("expvar.carbon"))
            .map(|line| {
                let (line, timestamp) = line.rsplit_once(' ').unwrap();
                assert_eq!(timestamp.parse::<u64>().unwrap() % INTERVAL.as_secs(), 0);
                line.to_owned()
            })
            .collect()
    }
}

/// What one reading of the registry sends.
fn pushed(registry: &Registry, set: impl FnOnce(Carbon) -> Carbon) -> Vec<String> {
    let sink = Sink::new();
    assert_eq!(set(sink.carbon(registry)).spawn().unwrap().close(), Unsent::default());
    sink.lines()
}

fn sample() -> Registry {
    let registry = Registry::new();
    registry.publish("requests", Counter::new()).unwrap().add(u64::MAX);
    registry.publish("depth", Gauge::new()).unwrap().set(-3);
    registry.publish("load", FloatGauge::new()).unwrap().set(0.1);
    registry.publish("bad", FloatGauge::new()).unwrap().set(f64::NAN);
    registry.publish("worse", FloatGauge::new()).unwrap().set(f64::INFINITY);
    registry.publish("version", Text::new()).unwrap().set("17");
    let routes = registry.publish("http.routes", Map::new()).unwrap();
    routes.add("/index html", 2);
    routes.add("/api/v1.0", 5);
    registry
        .publish(
            "json",
            Func::new(|| {
                let text = r#"{"on":true,"off":false,"no":null,"text":"1","list":[1,[2]],
                    "a":{"b":1.5,"c":-7}}"#;
                serde_json::from_str::<serde_json::Value>(text).unwrap()
            }),
        )
        .unwrap();
    registry
}

#[test]
fn every_number_goes_under_its_path() {
    assert_eq!(
        pushed(&sample(), |carbon| carbon.prefix("apps.my app")),
        [
            "apps.my_app_6777397a.depth -3",
            "apps.my_app_6777397a.http.routes._api_v1_c367cd25.0 5",
            "apps.my_app_6777397a.http.routes._index_html_5512f523 2",
            "apps.my_app_6777397a.json.a.b 1.5",
            "apps.my_app_6777397a.json.a.c -7",
            "apps.my_app_6777397a.json.off 0",
            "apps.my_app_6777397a.json.on 1",
            "apps.my_app_6777397a.load 0.1",
            "apps.my_app_6777397a.requests 18446744073709551615",
        ]
    );
}

#[test]
fn arrays_patterns_renames_and_tags_are_as_asked() {
    let lines = pushed(&sample(), |carbon| {
        carbon
            .arrays(true)
            .include("json.**")
            .include("{load,depth}")
            .exclude("**.o[nf]*")
            .exclude("json.list.1.?")
            .rename("json.a", "A")
            .rename("depth", "queue.depth")
            .tag("host", "h1")
            .tag("dc", "ams")
    });
    assert_eq!(
        lines,
        [
            "queue.depth;dc=ams;host=h1 -3",
            "A.b;dc=ams;host=h1 1.5",
            "A.c;dc=ams;host=h1 -7",
            "json.list.0;dc=ams;host=h1 1",
            "load;dc=ams;host=h1 0.1",
        ]
    );
}

#[test]
fn letters_of_every_script_pass_unless_ascii_is_asked_for() {
    let registry = Registry::new();
    registry.publish("größe.東京", Gauge::new()).unwrap().set(7);
    let names = |ascii: bool| {
        let carbon = Carbon::new("127.0.0.1:9").registry(&registry).prefix("Zürich");
        let carbon = carbon.rename("größe", "länge").without_library().ascii_names(ascii);
        let mut renderer = carbon.renderer().unwrap();
        let lines = renderer.render(1_700_000_000);
        String::from_utf8(lines.as_bytes().to_vec()).unwrap()
    };
    assert_eq!(names(false), "Zürich.länge.東京 7 1700000000\n");
    let path = |text: &str| {
        let mut path = expvar_carbon::Path::ascii();
        path.push(text);
        path.as_str().to_owned()
    };
    let ascii = path("Zürich.länge.東京");
    assert!(ascii.is_ascii());
    assert_eq!(names(true), format!("{ascii} 7 1700000000\n"));
}

#[test]
fn rejected_points_are_counted_by_reason_and_the_last_conflict_is_named() {
    let registry = sample();
    registry.publish(".a_b", Gauge::new()).unwrap().set(1);
    registry.publish("a_b", Gauge::new()).unwrap().set(2);
    registry.publish(&"x".repeat(300), Gauge::new()).unwrap();
    registry.publish("...", Gauge::new()).unwrap();
    let sink = Sink::new();
    let carbon = sink.carbon(&registry).prefix("p").spawn().unwrap();
    assert_eq!(carbon.flush_blocking(PATIENCE), Unsent::default());
    let shown = registry.get("expvar.carbon").unwrap();
    carbon.close();
    let lines = sink.lines();
    assert_eq!(lines.iter().filter(|l| l.starts_with("p.a_b")).collect::<Vec<_>>(), ["p.a_b 1"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.to_string()).unwrap();
    let refused = serde_json::json!({
        "conflict": 1, "empty_name": 1, "infinite": 1, "long_datagram": 0, "long_name": 1, "nan": 1,
        "timestamp": 0,
    });
    assert_eq!(shown["points_rejected"], refused);
    assert_eq!(shown["points_rounded"], 1);
    assert_eq!(shown["last_conflict"], "p.a_b");
    assert_eq!(shown["last_error"], "");
    assert_eq!(shown["collections"], 1);
    assert!(shown["points_sent"].as_u64().unwrap() > 10);
    assert!(registry.get("expvar.carbon").is_none(), "it goes with the push");
}

#[test]
fn two_pushes_of_one_registry_show_themselves_side_by_side() {
    let (registry, sink) = (Registry::new(), Sink::new());
    let push = || Carbon::new(&sink.address).registry(&registry).spawn().unwrap();
    let (one, two) = (push(), push());
    one.flush_blocking(PATIENCE);
    two.flush_blocking(PATIENCE);
    let mut names = Vec::new();
    registry.for_each(|name, _| names.push(name.to_owned()));
    assert_eq!(names, ["expvar.carbon", "expvar.carbon.2"]);
}

/// The lines of the first readings, one each second but on a busy machine, with their timestamps.
/// `record` runs within each reading, when all other variables have been read.
fn readings<const N: usize>(
    registry: &Registry,
    record: impl Fn() + Send + Sync + 'static,
    set: fn(Carbon) -> Carbon,
) -> [(u64, Vec<String>); N] {
    // The last in the order of names, and no number.
    registry.publish("~", Func::new(record)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let carbon = Carbon::new(address).registry(registry).interval(Duration::from_secs(1));
    let carbon = carbon.timeout(PATIENCE).shutdown_timeout(Duration::from_millis(100));
    let carbon = set(carbon.exclude("expvar.**")).spawn().unwrap();
    let (stream, _) = listener.accept().unwrap();
    let mut readings: Vec<(u64, Vec<String>)> = Vec::new();
    for line in std::io::BufRead::lines(std::io::BufReader::new(stream)) {
        let line = line.unwrap();
        let (line, timestamp) = line.rsplit_once(' ').unwrap();
        let timestamp = timestamp.parse().unwrap();
        if readings.last().is_none_or(|(last, _)| *last != timestamp) {
            if readings.len() == N {
                break;
            }
            readings.push((timestamp, Vec::new()));
        }
        readings.last_mut().unwrap().1.push(line.to_owned());
    }
    drop(carbon);
    readings.try_into().unwrap()
}

#[test]
fn histograms_are_those_of_the_interval_and_nothing_is_reset() {
    let registry = Registry::new();
    let histogram = registry.publish("latency", Histogram::with_precision(7)).unwrap();
    let empty = registry.publish("unused", Histogram::new()).unwrap();
    histogram.record(5);
    let all = [histogram.clone(), empty.clone()];
    let record = move || all.iter().for_each(|each| (1..=100).for_each(|n| each.record(n)));
    let readings = readings::<3>(&registry, record, |carbon| carbon.exclude("unused.*"));
    assert_eq!(
        readings[0].1,
        ["count", "sum", "min", "max", "mean", "p50", "p90", "p95", "p99", "p999"]
            .iter()
            .zip(["1", "5", "5", "5", "5", "5", "5", "5", "5", "5"])
            .map(|(name, value)| format!("latency.{name} {value}"))
            .collect::<Vec<_>>()
    );
    let expected = ["100", "5050", "1", "100", "50.5", "50", "90", "95", "99", "100"];
    for (_, reading) in &readings[1..] {
        let values: Vec<_> = reading.iter().map(|l| l.rsplit_once(' ').unwrap().1).collect();
        assert_eq!(values, expected);
    }
    assert_eq!(histogram.snapshot().count() % 100, 1);
    assert!(empty.snapshot().count() > 0);
}

#[test]
fn counters_are_totals_deltas_or_rates() {
    let registry = Registry::new();
    let all =
        ["delta", "rate", "total"].map(|name| registry.publish(name, Counter::new()).unwrap());
    all.iter().for_each(|counter| counter.add(1_000));
    let record = move || all.iter().for_each(|counter| counter.add(10));
    let counting = Info::new().counter();
    registry.publish_with("counting", Func::new(|| 7), counting).unwrap();
    let readings = readings(&registry, record, |carbon| {
        carbon
            .counters(Counters::Deltas)
            .counters_matching("rate*", Counters::Rates)
            .counters_matching("tot*", Counters::Totals)
    });
    let [(start, first), (middle, second), (end, third)] = &readings;
    let rate = |from: &u64, to: &u64| format!("rate {}", 10.0 / (to - from) as f64);
    assert_eq!(*first, ["counting 7", "delta 1000", "total 1000"]);
    assert_eq!(*second, ["counting 0", "delta 10", &rate(start, middle), "total 1010"]);
    assert_eq!(*third, ["counting 0", "delta 10", &rate(middle, end), "total 1020"]);
}

#[test]
fn every_setting_that_cannot_be_used_names_itself_and_the_remedy() {
    let carbon = || Carbon::new("h:1");
    for (field, carbon) in [
        ("address", Carbon::new("graphite")),
        ("address", carbon().to("ftp://h:1")),
        ("to", carbon().to("h:1")),
        ("interval", carbon().interval(Duration::ZERO)),
        ("interval", carbon().interval(Duration::from_millis(1_500))),
        ("prefix", carbon().prefix("a..b")),
        ("prefix", carbon().prefix("{nope}")),
        ("tag", carbon().tag("a b", "c")),
        ("tag", carbon().tag("a", "1").tag("a", "2")),
        ("include", carbon().include("a[")),
        ("exclude", carbon().exclude("")),
        ("counters_matching", carbon().counters_matching("{a", Counters::Deltas)),
        ("rename", carbon().rename("a", "b..c")),
        ("timeout", carbon().timeout(Duration::ZERO)),
        ("queue_bytes", carbon().queue_bytes(1)),
        ("spool_dir", carbon().spool_dir("/dev/null/spool")),
    ] {
        let error = carbon.spawn().err().unwrap_or_else(|| panic!("{field} was taken"));
        assert_eq!(error.field(), field, "{error}");
        assert!(error.to_string().len() > error.field().len() + error.problem().len() + 8);
    }
}

#[tokio::test]
async fn it_runs_as_a_task_and_returns_what_is_left() {
    let (sink, registry) = (Sink::new(), Registry::new());
    registry.publish("a", Gauge::new()).unwrap().set(1);
    let carbon = sink.carbon(&registry);
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(carbon.run(async {
        let _ = ended.await;
    }));
    end.send(()).unwrap();
    assert_eq!(running.await.unwrap().unwrap(), Unsent::default());
    assert_eq!(sink.lines(), ["a 1"]);

    let carbon = Carbon::new(format!("127.0.0.1:{}", free_port())).registry(&registry).include("a");
    let carbon = carbon.shutdown_timeout(Duration::from_millis(300)).spawn().unwrap();
    assert_eq!(carbon.shutdown().await.points, 1);
}

#[test]
fn dropping_the_guard_takes_a_last_reading() {
    let (sink, registry) = (Sink::new(), Registry::new());
    let gauge = registry.publish("a", Gauge::new()).unwrap();
    let carbon = sink.carbon(&registry).spawn().unwrap().drop_guard();
    gauge.set(7);
    drop(carbon);
    assert_eq!(sink.lines(), ["a 7"]);
}

#[test]
fn a_handle_that_is_not_kept_neither_blocks_nor_ends_the_push() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let registry = Registry::new();
    registry.publish("a", Gauge::new()).unwrap();
    let carbon = Carbon::new(address).registry(&registry).include("a");
    // The server does not accept yet: waiting for it would take the timeout.
    let carbon =
        carbon.interval(Duration::from_secs(1)).shutdown_timeout(Duration::from_secs(3_600));
    drop(carbon.spawn().unwrap());
    let (stream, _) = listener.accept().unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(stream)).take(3);
    let timestamps: Vec<u64> =
        lines.map(|line| line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
    assert!(timestamps.windows(2).all(|pair| pair[0] < pair[1]), "{timestamps:?}");
    assert!(registry.get("expvar.carbon").is_some());
}

#[test]
fn what_main_did_last_is_pushed_when_it_panics() {
    let (sink, registry) = (Sink::new(), Registry::new());
    let gauge = registry.publish("a", Gauge::new()).unwrap();
    let carbon = sink.carbon(&registry);
    let main = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _guard = carbon.spawn().unwrap().drop_guard();
        gauge.set(7);
        std::panic::resume_unwind(Box::new("the end"));
    }));
    assert!(main.is_err());
    assert_eq!(sink.lines(), ["a 7"]);
}

#[test]
fn a_tool_sends_its_own_variables_once_stamped_now() {
    let (sink, registry) = (Sink::new(), Registry::new());
    registry.publish("files", Counter::new()).unwrap().add(30);
    registry.publish("took", Histogram::new()).unwrap().record(5);
    for own in ["memstats", "process", "expvar.panics"] {
        registry.publish(own, Map::new()).unwrap().add("x", 1);
    }
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let before = now().as_secs();
    let carbon = Carbon::new(&sink.address).registry(&registry).prefix("tools.t");
    let carbon = carbon.timeout(PATIENCE).shutdown_timeout(PATIENCE);
    assert_eq!(carbon.without_library().send_once().unwrap(), Unsent::default());
    let after = now().as_secs();
    let text = sink.texts.recv_timeout(PATIENCE).unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.rsplit_once(' ').unwrap()).collect();
    assert_eq!(lines.len(), 11, "{text}");
    assert!(lines.iter().any(|(line, _)| *line == "tools.t.files 30"), "{text}");
    assert!(lines.iter().any(|(line, _)| *line == "tools.t.took.count 1"), "{text}");
    for (_, timestamp) in lines {
        assert!((before..=after).contains(&timestamp.parse().unwrap()));
    }
    assert!(registry.get("expvar.carbon").is_none());
}

#[test]
fn the_owners_of_the_heap_are_two_lines_each() {
    // As `expvar::heap` shows them.
    let top = || {
        serde_json::json!({
            "memory::Cache::turn": {"bytes": 47_752_168, "objects": 46_000},
            "<Vec<T> as From>::from": {"bytes": 2, "objects": 1},
            "service+0x1f40": {"bytes": 3, "objects": 1},
        })
    };
    let registry = Registry::new();
    let info = Info::new().label("function");
    registry.publish_with("heap.top", Func::new(top), info).unwrap();
    assert_eq!(
        pushed(&registry, |carbon| carbon),
        [
            "heap.top._Vec_T__as_From_::from_c2498de8.bytes 2",
            "heap.top._Vec_T__as_From_::from_c2498de8.objects 1",
            "heap.top.memory::Cache::turn.bytes 47752168",
            "heap.top.memory::Cache::turn.objects 46000",
            "heap.top.service_0x1f40_c3c41703.bytes 3",
            "heap.top.service_0x1f40_c3c41703.objects 1",
        ]
    );
}
