//! Variables that would cost a target its scrape, and what is shown of them.

#![forbid(unsafe_code)]

use expvar::{Counter, FloatGauge, Func, Gauge, Histogram, Info, Map, Registry, Text, Unit};
use expvar_http::{Format, Mapping, Prometheus};
use serde_json::value::RawValue;

fn text(registry: &Registry) -> String {
    Prometheus::new().to_text(registry, Format::Text)
}

fn open(registry: &Registry) -> String {
    Prometheus::new().to_text(registry, Format::OpenMetrics)
}

/// The lines of a text that are no comments.
fn samples(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn a_name_that_is_its_unit_has_no_unit_line() {
    let registry = Registry::new();
    let unit = |unit| Info::new().unit(unit);
    registry.publish_with("bytes", Counter::new(), unit(Unit::Bytes)).unwrap();
    registry.publish_with("seconds", Histogram::floats(), unit(Unit::Seconds)).unwrap();
    registry.publish_with("ratio", FloatGauge::new(), unit(Unit::Ratio)).unwrap();
    registry.publish_with("rate", FloatGauge::new(), unit(Unit::Other("m/s"))).unwrap();
    registry.publish_with("sent", Counter::new(), unit(Unit::Bytes)).unwrap();
    let text = open(&registry);
    let units: Vec<&str> = text.lines().filter(|line| line.starts_with("# UNIT")).collect();
    assert_eq!(units, ["# UNIT sent_bytes bytes"], "{text}");
    assert!(text.contains("\nbytes_total 0\n") && text.contains("\nseconds_count 0\n"), "{text}");
}

#[test]
fn no_label_is_there_twice() {
    let registry = Registry::new();
    let info = || Info::new().label("route");
    let routes = registry.publish_with("routes", Map::new(), info()).unwrap();
    routes.add("/", 1);
    let index = registry.publish_with("shards", Map::new(), Info::new().label("index")).unwrap();
    index.set("a", Func::new(|| [1, 2]));
    let deep = registry.publish_with("deep", Map::new(), Info::new().label("key2")).unwrap();
    deep.set("x", Map::new()).add("y", 3);
    let mapping = Mapping::new("routes").constant("route", "all");
    let prometheus = Prometheus::new().map(mapping).unwrap();
    assert_eq!(
        samples(&prometheus.to_text(&registry, Format::Text)),
        [
            "deep{key2=\"x\",key2_=\"y\"} 3",
            "routes{route=\"all\",route_=\"/\"} 1",
            "shards{index=\"a\",index_=\"0\"} 1",
            "shards{index=\"a\",index_=\"1\"} 2",
        ]
    );
    let constant = Prometheus::new().constant("route", "all").unwrap();
    let text = constant.to_text(&registry, Format::Text);
    assert!(text.contains("routes{route=\"all\",route_=\"/\"} 1\n"), "{text}");
    assert!(Prometheus::new().constant("le", "1").is_err());
}

#[test]
fn members_whose_names_become_one_are_named() {
    let registry = Registry::new();
    let stats = || serde_json::json!({"cache.hit": 1, "cache_hit": 2, "cache": {"hit": 3}, "x": 4});
    registry.publish("s", Func::new(stats)).unwrap();
    let twice = || RawValue::from_string("{\"a\":1,\"a\":2}".to_owned()).unwrap();
    registry.publish("twice", Func::new(twice)).unwrap();
    registry.publish_with("by", Func::new(twice), Info::new().label("key3")).unwrap();
    let text = text(&registry);
    let mut seen = samples(&text).into_iter().map(|line| line.split(' ').next().unwrap());
    let mut names: Vec<&str> = seen.by_ref().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), samples(&text).len(), "{text}");
    for line in [
        "s_cache_hit 3\n",
        "s_x 4\n",
        "twice_a 1\n",
        "by{key3=\"a\"} 1\n",
        "{variable=\"s\",reason=\"several of its members would be the series s_cache_hit\"} 1\n",
        "{variable=\"twice\",reason=\"several of its members would be the series twice_a\"} 1\n",
        "{variable=\"by\",reason=\"several of its members would be the series by\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn a_member_that_is_named_like_a_histograms_part_gets_an_underscore() {
    let registry = Registry::new();
    let notes = || serde_json::json!({"count": 3, "sum": 4, "bucket": 5, "counts": 6});
    registry.publish("notes", Func::new(notes)).unwrap();
    // An explicit name stays.
    registry.publish("open_count", Gauge::new()).unwrap();
    assert_eq!(
        samples(&text(&registry)),
        ["notes_bucket_ 5", "notes_count_ 3", "notes_counts 6", "notes_sum_ 4", "open_count 0"]
    );
}

#[test]
fn a_histogram_below_zero_is_kept() {
    let registry = Registry::new();
    let drift = registry.publish("drift", Histogram::floats()).unwrap();
    drift.record_float(-2.0);
    drift.record_float(0.5);
    let text = text(&registry);
    for line in ["drift_bucket{le=\"1\"} 2\n", "drift_sum -1.5\n", "drift_count 2\n"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("left_out"), "{text}");
    // In OpenMetrics a sum never falls, and there is no count without one.
    let open = open(&registry);
    assert!(open.contains("drift_bucket{le=\"+Inf\"} 2\n"), "{open}");
    assert!(!open.contains("drift_sum") && !open.contains("drift_count"), "{open}");
    // Infinities of both signs have no sum; the histogram is there all the same.
    drift.record_float(f64::INFINITY);
    drift.record_float(f64::NEG_INFINITY);
    let nonsense = self::text(&registry);
    for line in ["drift_bucket{le=\"+Inf\"} 4\n", "drift_sum NaN\n", "drift_count 4\n"] {
        assert!(nonsense.contains(line), "{line} in {nonsense}");
    }
    assert!(!self::open(&registry).contains("drift_sum"));
    let bounds = Mapping::new("drift").buckets([0.0, 1.0]);
    let zero = Prometheus::new().map(bounds).unwrap().to_text(&registry, Format::Text);
    assert!(zero.contains("drift_bucket{le=\"0\"} 2\n"), "{zero}");
}

#[test]
fn an_info_metric_has_its_name_once_and_several_labels() {
    let registry = Registry::new();
    let info = Info::new().help("The build.").label("version");
    registry.publish_with("a_info", Text::new(), info).unwrap().set("1.2");
    registry.publish("b_info", Text::new()).unwrap().set("x");
    let build = registry.publish("build_info", Map::new()).unwrap();
    build.set("version", Text::new()).set("1.2");
    build.set("commit id", Text::new()).set("abc");
    let program = || serde_json::json!({"rustc": "1.95", "__target": "x86", "le": "no", "n": 1});
    registry.publish("program_info", Func::new(program)).unwrap();
    let peers = registry.publish_with("peer_info", Map::new(), Info::new().label("peer")).unwrap();
    let peer = peers.set("p1", Map::new());
    peer.set("zone", Text::new()).set("eu");
    peer.set("peer", Text::new()).set("again");
    assert_eq!(
        samples(&text(&registry)),
        [
            "a_info{version=\"1.2\"} 1",
            "b_info{value=\"x\"} 1",
            "build_info{commit_id=\"abc\",version=\"1.2\"} 1",
            "peer_info{peer=\"p1\",peer_=\"again\",zone=\"eu\"} 1",
            "program_info_n 1",
            "program_info{_target=\"x86\",le_=\"no\",rustc=\"1.95\"} 1",
        ]
    );
    assert!(open(&registry).contains("# TYPE a info\na_info{version=\"1.2\"} 1\n"));
}

#[test]
fn an_exact_name_has_neither_unit_nor_ending() {
    let registry = Registry::new();
    let unit = |unit| Info::new().unit(unit);
    registry.publish_with("http.sent", Counter::new(), unit(Unit::Bytes)).unwrap().add(5);
    registry.publish("seen.total", Counter::new()).unwrap().add(6);
    let took = registry.publish_with("took", Gauge::new(), unit(Unit::Milliseconds)).unwrap();
    took.set(1500);
    registry.publish_with("version", Text::new(), Info::new().label("v")).unwrap().set("1.2");
    let mapped = |mapping: [Mapping; 4], format| {
        let prometheus = mapping.into_iter().try_fold(Prometheus::new(), Prometheus::map);
        prometheus.unwrap().to_text(&registry, format)
    };
    let as_they_are = || {
        let of = |variable: &str, name: &str| Mapping::new(variable).name(name);
        [of("http.sent", "sent"), of("seen.total", "app:seen_total"), of("took", "took_ms")]
            .into_iter()
            .chain([of("version", "app_version")])
            .collect::<Vec<_>>()
            .try_into()
            .unwrap()
    };
    assert_eq!(
        samples(&mapped(as_they_are(), Format::Text)),
        ["sent 5", "app:seen_total 6", "took_ms 1500", "app_version{v=\"1.2\"} 1"]
    );
    let open = mapped(as_they_are(), Format::OpenMetrics);
    for line in [
        "# TYPE sent unknown\nsent 5\n",
        "# TYPE app:seen counter\napp:seen_total 6\n",
        "# TYPE app_version gauge\n",
    ] {
        assert!(open.contains(line), "{line} in {open}");
    }
    // A name that ends in what Prometheus sees has values in it.
    let seconds = Mapping::new("took").name("app_took_seconds");
    let text = Prometheus::new().map(seconds).unwrap().to_text(&registry, Format::Text);
    assert!(text.contains("app_took_seconds 1.5\n"), "{text}");
    let all = Prometheus::new().names_as_recorded().to_text(&registry, Format::Text);
    assert_eq!(samples(&all), ["http_sent 5", "seen_total 6", "took 1500", "version{v=\"1.2\"} 1"]);
}

#[test]
fn histograms_are_summaries_where_quantiles_are_chosen() {
    let registry = Registry::new();
    let info = Info::new().unit(Unit::Milliseconds).label("quantile");
    let took = registry.publish_with("took", Map::new(), info).unwrap();
    let histogram = took.set("/", Histogram::new());
    (1..=100).for_each(|n| histogram.record(n));
    took.set("/none", Histogram::new());
    let prometheus = Prometheus::new().quantiles([0.99, 0.5]);
    let text = prometheus.to_text(&registry, Format::OpenMetrics);
    assert!(text.contains("# TYPE took_seconds summary\n"), "{text}");
    let values: Vec<(&str, &str)> =
        samples(&text).into_iter().filter_map(|line| line.rsplit_once(' ')).collect();
    let value = |of: &str| values.iter().find(|(name, _)| *name == of).unwrap().1;
    let median: f64 = value("took_seconds{quantile_=\"/\",quantile=\"0.5\"}").parse().unwrap();
    assert!((0.048..0.052).contains(&median), "{median}");
    assert_eq!(value("took_seconds{quantile_=\"/none\",quantile=\"0.99\"}"), "NaN");
    assert_eq!(value("took_seconds_sum{quantile_=\"/\"}"), "5.05");
    assert_eq!(value("took_seconds_count{quantile_=\"/\"}"), "100");
}

#[test]
fn what_is_kept_from_the_last_text_never_shows() {
    let registry = Registry::new();
    let prometheus = Prometheus::new();
    let check = || {
        for format in [Format::Text, Format::OpenMetrics] {
            let kept = prometheus.to_text(&registry, format);
            assert_eq!(kept, Prometheus::new().to_text(&registry, format));
        }
    };
    for n in 0..20 {
        registry.publish(&format!("v{n}"), Counter::new()).unwrap();
    }
    check();
    check();
    // A name in the middle, and one fewer.
    registry.publish("v10a", Gauge::new()).unwrap().set(-1);
    check();
    registry.remove("v3").unwrap();
    check();
    // Another kind, other help, another value, a conflict with a later one.
    registry.remove("v5").unwrap();
    registry.publish_with("v5", Gauge::new(), Info::new().help("New.")).unwrap().set(7);
    check();
    registry.remove("v5").unwrap();
    registry.publish("v5", Map::new()).unwrap().add("a", 1);
    check();
    let changing = registry.publish_with("v6_", Gauge::new(), Info::new().counter()).unwrap();
    for value in [1, -1, 2] {
        changing.set(value);
        check();
    }
    let hits = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let shown = std::sync::Arc::clone(&hits);
    let member = move || match shown.load(std::sync::atomic::Ordering::Relaxed) {
        true => serde_json::json!({"9": 1}),
        false => serde_json::json!({}),
    };
    registry.publish("v", Func::new(member)).unwrap();
    registry.publish("v_9", Gauge::new()).unwrap();
    check();
    hits.store(true, std::sync::atomic::Ordering::Relaxed);
    check();
    assert!(prometheus.to_text(&registry, Format::Text).contains("variable=\"v_9\""));
    hits.store(false, std::sync::atomic::Ordering::Relaxed);
    check();
    assert!(!prometheus.to_text(&registry, Format::Text).contains("left_out"));
}

#[test]
fn a_histogram_kept_from_the_last_text_shows_what_it_holds_now() {
    static BOUNDS: [f64; 2] = [100.0, 1000.0];
    let registry = Registry::new();
    let milliseconds = || Info::new().unit(Unit::Milliseconds);
    let add = |name: &str, histogram: Histogram, info: Info| {
        registry.publish_with(name, histogram, info).unwrap()
    };
    let all = [
        add("plain", Histogram::new(), Info::new().help("Help with a \\ and\na line.")),
        add("took", Histogram::with_precision(2), milliseconds()),
        add("declared", Histogram::new().buckets(&BOUNDS), milliseconds()),
        add("fractions", Histogram::floats(), Info::new().unit(Unit::Seconds)),
        add("mapped", Histogram::new(), milliseconds()),
        add("traced", Histogram::new().exemplars(), Info::new()),
    ];
    let made = || {
        let mapping = Mapping::new("mapped").buckets([0.1, 0.5]).constant("env", "a \"b\" c");
        Prometheus::new().created().map(mapping).unwrap()
    };
    let prometheus = made();
    let check = || {
        [Format::Text, Format::OpenMetrics].map(|format| {
            let kept = prometheus.to_text(&registry, format);
            assert_eq!(kept, made().to_text(&registry, format));
            kept
        })
    };
    check();
    for value in [0, 1, 3, 99, 100, 101, 4096, 70_000, u64::MAX / 2] {
        all.iter().for_each(|histogram| histogram.record_float(value as f64 / 3.0));
        check();
    }
    let [text, _] = check();
    assert!(
        text.contains("\nmapped_seconds_bucket{env=\"a \\\"b\\\" c\",le=\"0.1\"} 6\n"),
        "{text}"
    );
    // A trace in an OpenMetrics bucket, and a sum that falls.
    all[5].record_with(7, "4bf92f3577b34da6");
    let [_, open] = check();
    assert!(open.contains("# {trace_id=\"4bf92f3577b34da6\"} 7 "), "{open}");
    all[3].record_float(-1e30);
    let [text, open] = check();
    assert!(text.contains("\nfractions_seconds_sum -"), "{text}");
    assert!(!open.contains("fractions_seconds_sum"), "{open}");
    all[3].record_float(1e31);
    let [_, open] = check();
    assert!(open.contains("\nfractions_seconds_sum 9"), "{open}");
    // What comes before it shifts nothing but its place.
    registry.publish("a", Counter::new()).unwrap();
    check();
    registry.remove("plain").unwrap();
    registry.publish("plain", Gauge::new()).unwrap();
    check();
}

#[test]
fn labels_of_metrics_whose_names_become_one_stay_two() {
    let registry = Registry::new();
    metrics::with_local_recorder(&expvar_metrics::Recorder::new(&registry), || {
        metrics::counter!("jobs", "a,b" => "1", "a_b" => "2").increment(1);
        metrics::counter!("jobs", "a,b" => "3").increment(2);
        metrics::counter!("jobs", "a_b" => "3").increment(4);
    });
    let text = text(&registry);
    assert_eq!(
        samples(&text),
        [
            "jobs_total{a_b_=\"3\"} 4",
            "jobs_total{a_b=\"1\",a_b_=\"2\"} 1",
            "jobs_total{a_b=\"3\"} 2",
        ]
    );
}
