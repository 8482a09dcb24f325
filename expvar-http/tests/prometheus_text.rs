//! The metrics of every kind of variable, to the byte.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::BTreeSet;

use expvar::{Counter, FloatGauge, Func, Gauge, Histogram, Info, Map, Registry, Text, Unit};
use expvar_http::{Format, Mapping, Prometheus, Service};
use serde::Serialize;

fn text(registry: &Registry) -> String {
    Prometheus::new().to_text(registry, Format::Text)
}

fn open(registry: &Registry) -> String {
    Prometheus::new().to_text(registry, Format::OpenMetrics)
}

fn mapped(registry: &Registry, mapping: Mapping) -> String {
    Prometheus::new().map(mapping).unwrap().to_text(registry, Format::Text)
}

#[test]
fn counters_and_gauges() {
    let registry = Registry::new();
    let help = Info::new().help("Bytes \"sent\".\nBack\\slash.").unit(Unit::Bytes);
    registry.publish_with("http.sent", Counter::new(), help).unwrap().add(5);
    registry.publish("in-flight", Gauge::new()).unwrap().set(-3);
    let info = Info::new().help("Load.").unit(Unit::Percent);
    registry.publish_with("load", FloatGauge::new(), info).unwrap().set(12.5);
    let info = Info::new().help("Pause.").unit(Unit::Milliseconds).counter();
    registry.publish_with("pause_ms", Gauge::new(), info).unwrap().set(1500);
    assert_eq!(
        text(&registry),
        "# HELP http_sent_bytes_total Bytes \"sent\".\\nBack\\\\slash.\n\
         # TYPE http_sent_bytes_total counter\n\
         http_sent_bytes_total 5\n\
         # HELP in_flight Variable in-flight.\n\
         # TYPE in_flight gauge\n\
         in_flight -3\n\
         # HELP load_ratio Load.\n\
         # TYPE load_ratio gauge\n\
         load_ratio 0.125\n\
         # HELP pause_seconds_total Pause.\n\
         # TYPE pause_seconds_total counter\n\
         pause_seconds_total 1.5\n"
    );
    assert_eq!(
        open(&registry),
        "# HELP http_sent_bytes Bytes \\\"sent\\\".\\nBack\\\\slash.\n\
         # TYPE http_sent_bytes counter\n\
         # UNIT http_sent_bytes bytes\n\
         http_sent_bytes_total 5\n\
         # HELP in_flight Variable in-flight.\n\
         # TYPE in_flight gauge\n\
         in_flight -3\n\
         # HELP load_ratio Load.\n\
         # TYPE load_ratio gauge\n\
         # UNIT load_ratio ratio\n\
         load_ratio 0.125\n\
         # HELP pause_seconds Pause.\n\
         # TYPE pause_seconds counter\n\
         # UNIT pause_seconds seconds\n\
         pause_seconds_total 1.5\n\
         # EOF\n"
    );
}

#[test]
fn total_comes_last_in_a_counter_s_name() {
    let registry = Registry::new();
    let info = || Info::new().unit(Unit::Seconds).counter();
    let stall = || serde_json::json!({"some": {"total_seconds": 1.5}});
    registry.publish_with("pressure", Func::new(stall), info()).unwrap();
    registry.publish_with("waited_total", FloatGauge::new(), info()).unwrap();
    registry.publish_with("total_seconds", FloatGauge::new(), info()).unwrap();
    let level = Info::new().unit(Unit::Seconds);
    registry.publish_with("level_total_seconds", FloatGauge::new(), level).unwrap();
    let names: Vec<_> =
        text(&registry).lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    assert_eq!(
        names,
        [
            "level_total_seconds 0",
            "pressure_some_seconds_total 1.5",
            "total_seconds_total 0",
            "waited_seconds_total 0",
        ]
    );
}

#[test]
fn maps_become_labels() {
    let registry = Registry::new();
    let info = Info::new().help("By route.").labels(["route", "http method"]).counter();
    let routes = registry.publish_with("routes", Map::new(), info).unwrap();
    let login = routes.set("/\"lo\\gin\"\n", Map::new());
    login.add("GET", 2);
    routes.set("", Map::new()).add("", 4);
    routes.set("/x", Map::new()).set("PUT", Map::new()).add("deep", 1);
    assert_eq!(
        text(&registry),
        "# HELP routes_total By route.\n\
         # TYPE routes_total counter\n\
         routes_total 4\n\
         routes_total{route=\"/\\\"lo\\\\gin\\\"\\n\",http_method=\"GET\"} 2\n\
         routes_total{route=\"/x\",http_method=\"PUT\",key3=\"deep\"} 1\n"
    );
}

#[test]
fn a_map_of_several_kinds_is_a_family_of_each() {
    let registry = Registry::new();
    let map = registry.publish("m", Map::new()).unwrap();
    map.add("a", 1);
    map.set("b", Counter::new()).add(2);
    map.add_float("c", 0.5);
    map.set("d", Text::new()).set("not shown");
    assert_eq!(
        text(&registry),
        "# HELP m Variable m.\n# TYPE m gauge\nm{key=\"a\"} 1\nm{key=\"c\"} 0.5\n\
         # HELP m_total Variable m.\n# TYPE m_total counter\nm_total{key=\"b\"} 2\n"
    );
    // OpenMetrics has one name for both.
    assert!(open(&registry).contains("# TYPE m_total unknown\nm_total{key=\"b\"} 2\n"));
}

#[test]
fn a_map_of_unlike_things_has_names_for_its_members() {
    const REASON: &[Cow<'static, str>] = &[Cow::Borrowed("reason")];
    const MEMBERS: &[(&str, Info)] = &[
        ("hits", Info::with_help("Lookups that found one.")),
        ("size", Info::with_help("Size of all.").unit(Unit::Bytes)),
        ("refused", Info::with_help("What was refused.").keyed(REASON)),
        ("took", Info::with_help("How long.").unit(Unit::Milliseconds)),
    ];
    let registry = Registry::new();
    let cache = Map::new().members(MEMBERS);
    let cache = registry.publish_with("cache", cache, Info::new().help("The cache.")).unwrap();
    cache.set("hits", Counter::new()).add(5);
    cache.set("size", Gauge::new()).set(4096);
    cache.set("refused", Map::new()).set("old", Counter::new()).add(2);
    cache.set("took", Histogram::new()).record(1);
    cache.set("other.thing", Gauge::new()).set(-1);
    cache.set("last_error", Text::new()).set("none");
    let text = text(&registry);
    for lines in [
        "# HELP cache_hits_total Lookups that found one.\n# TYPE cache_hits_total counter\ncache_hits_total 5\n",
        "# HELP cache_size_bytes Size of all.\n# TYPE cache_size_bytes gauge\ncache_size_bytes 4096\n",
        "# HELP cache_refused_total What was refused.\n# TYPE cache_refused_total counter\ncache_refused_total{reason=\"old\"} 2\n",
        "# HELP cache_took_seconds How long.\n# TYPE cache_took_seconds histogram\n",
        "cache_took_seconds_sum 0.001\n",
        "# HELP cache_other_thing The cache.\n# TYPE cache_other_thing gauge\ncache_other_thing -1\n",
    ] {
        assert!(text.contains(lines), "{lines}{text}");
    }
    assert!(!text.contains("key="), "{text}");
    // The JSON is that of any map.
    assert!(
        registry.to_json().starts_with("{\n\"cache\": {\"hits\": 5, "),
        "{}",
        registry.to_json()
    );
}

#[test]
fn what_the_library_shows_of_itself_is_named_and_explained() {
    let _service = Service::new();
    let text = text(expvar::global());
    let help: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP expvar_")?.split_once(' '))
        .collect();
    let texts: BTreeSet<_> = help.iter().map(|(_, text)| text).collect();
    assert_eq!(texts.len(), help.len(), "each has its own help: {help:?}");
    for name in [
        "cells",
        "cells_limit_bytes",
        "cells_lost_total",
        "cells_private_bytes",
        "cells_shared_bytes",
        "http_accepted_total",
        "http_bytes_total",
        "http_connections",
        "http_last_scrape_seconds",
        "http_requests_total",
    ] {
        assert!(help.iter().any(|(shown, _)| *shown == name), "{name}: {help:?}");
    }
    assert!(!text.lines().any(|line| line.starts_with("expvar_http{")), "{text}");
    assert!(!text.contains("_total_seconds_total"), "{text}");
}

#[test]
fn a_text_is_an_info_metric_where_a_label_was_declared() {
    let registry = Registry::new();
    registry.publish("motto", Text::new()).unwrap().set("never mind");
    let info = Info::new().help("The build.").label("version");
    registry.publish_with("build", Text::new(), info).unwrap().set("1.2 \"beta\"");
    let info = Info::new().labels(["zone", "state"]);
    let zones = registry.publish_with("zones", Map::new(), info).unwrap();
    zones.set("eu", Text::new()).set("up");
    assert_eq!(
        text(&registry),
        "# HELP build_info The build.\n# TYPE build_info gauge\n\
         build_info{version=\"1.2 \\\"beta\\\"\"} 1\n\
         # HELP zones_info Variable zones.\n# TYPE zones_info gauge\n\
         zones_info{zone=\"eu\",state=\"up\"} 1\n"
    );
    assert!(open(&registry).contains("# TYPE build info\nbuild_info{"));
}

#[test]
fn a_histogram_has_its_ladder_in_seconds() {
    let registry = Registry::new();
    let info = Info::new().help("Took.").unit(Unit::Nanoseconds);
    let took = registry.publish_with("took", Histogram::new(), info).unwrap();
    took.record((1 << 20) - 1);
    took.record(1 << 20);
    took.record(60_000_000_000);
    let text = text(&registry);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2 + 21 + 3);
    assert_eq!(lines[0], "# HELP took_seconds Took.");
    assert_eq!(lines[1], "# TYPE took_seconds histogram");
    assert_eq!(lines[2], "took_seconds_bucket{le=\"1.6383e-05\"} 0");
    assert_eq!(lines[8], "took_seconds_bucket{le=\"0.001048575\"} 1", "the bound is exact");
    assert_eq!(lines[9], "took_seconds_bucket{le=\"0.002097151\"} 2");
    assert_eq!(lines[22], "took_seconds_bucket{le=\"17.179869183\"} 2");
    assert_eq!(lines[23], "took_seconds_bucket{le=\"+Inf\"} 3");
    assert_eq!(lines[24], "took_seconds_sum 60.002097151");
    assert_eq!(lines[25], "took_seconds_count 3");
}

#[test]
fn a_histogram_of_fractions_counts_its_bounds_in() {
    let registry = Registry::new();
    let info = Info::new().unit(Unit::Seconds).label("route");
    let map = registry.publish_with("took", Map::new(), info).unwrap();
    let took = map.set("/", Histogram::floats());
    took.record_float(1.0);
    took.record_float(1.5);
    let text = open(&registry);
    for line in [
        "# UNIT took_seconds seconds\n",
        "took_seconds_bucket{route=\"/\",le=\"0.5\"} 0\n",
        "took_seconds_bucket{route=\"/\",le=\"1.0\"} 1\n",
        "took_seconds_bucket{route=\"/\",le=\"2.0\"} 2\n",
        "took_seconds_bucket{route=\"/\",le=\"+Inf\"} 2\n",
        "took_seconds_sum{route=\"/\"} 2.5\n",
        "took_seconds_count{route=\"/\"} 2\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[derive(Serialize)]
struct Limits {
    files: Files,
    on: bool,
    name: &'static str,
    shards: [f64; 2],
    none: Option<u8>,
}

#[derive(Serialize)]
struct Files {
    open: u8,
    most: i8,
}

fn limits() -> Func {
    Func::new(|| Limits {
        files: Files { open: 3, most: -1 },
        on: true,
        name: "a",
        shards: [0.5, 2.0],
        none: None,
    })
}

#[test]
fn what_a_function_returns_joins_the_name() {
    let registry = Registry::new();
    registry.publish("limits", limits()).unwrap();
    assert_eq!(
        text(&registry),
        "# HELP limits_files_open Variable limits.\n# TYPE limits_files_open gauge\n\
         limits_files_open 3\n\
         # HELP limits_files_most Variable limits.\n# TYPE limits_files_most gauge\n\
         limits_files_most -1\n\
         # HELP limits_on Variable limits.\n# TYPE limits_on gauge\nlimits_on 1\n\
         # HELP limits_shards Variable limits.\n# TYPE limits_shards gauge\n\
         limits_shards{index=\"0\"} 0.5\nlimits_shards{index=\"1\"} 2\n"
    );
}

#[test]
fn what_a_function_returns_by_key_has_members_below_its_label() {
    let registry = Registry::new();
    let sites =
        || serde_json::json!({"main": {"bytes": 5, "of": {"x": 1}}, "f": {"bytes": 6}, "g": 7});
    registry.publish_with("heap.top", Func::new(sites), Info::new().label("function")).unwrap();
    assert_eq!(
        text(&registry),
        "# HELP heap_top_bytes Variable heap.top.\n# TYPE heap_top_bytes gauge\n\
         heap_top_bytes{function=\"f\"} 6\nheap_top_bytes{function=\"main\"} 5\n\
         # HELP heap_top Variable heap.top.\n# TYPE heap_top gauge\nheap_top{function=\"g\"} 7\n\
         # HELP heap_top_of_x Variable heap.top.\n# TYPE heap_top_of_x gauge\n\
         heap_top_of_x{function=\"main\"} 1\n"
    );
}

#[test]
fn a_mapping_does_what_go_s_collector_does_by_configuration() {
    let registry = Registry::new();
    registry.publish("limits", limits()).unwrap();
    let mapping = Mapping::new("limits")
        .family("app_limits")
        .labels(["what"])
        .constant("app", "web")
        .help("Limits.")
        .counter();
    assert_eq!(
        mapped(&registry, mapping),
        "# HELP app_limits_total Limits.\n# TYPE app_limits_total counter\n\
         app_limits_total{app=\"web\",what=\"on\"} 1\n"
    );
    assert_eq!(
        mapped(&registry, Mapping::new("limits").labels(["what", "which"])),
        "# HELP limits Variable limits.\n# TYPE limits gauge\n\
         limits{what=\"files\",which=\"open\"} 3\nlimits{what=\"files\",which=\"most\"} -1\n\
         limits{what=\"shards\",which=\"0\"} 0.5\nlimits{what=\"shards\",which=\"1\"} 2\n\
         # HELP limits_info Variable limits.\n# TYPE limits_info gauge\n\
         limits_info{what=\"name\",which=\"a\"} 1\n"
    );
    assert_eq!(mapped(&registry, Mapping::new("limits").hide()), "");
}

#[test]
fn a_mapping_chooses_buckets_and_unit() {
    let registry = Registry::new();
    let took = registry.publish("took", Histogram::new()).unwrap();
    took.record(90);
    took.record(2000);
    let mapping = Mapping::new("took").unit(Unit::Milliseconds).buckets([0.1, 0.25]).help("Took.");
    assert_eq!(
        mapped(&registry, mapping),
        "# HELP took_seconds Took.\n# TYPE took_seconds histogram\n\
         took_seconds_bucket{le=\"0.1\"} 1\ntook_seconds_bucket{le=\"0.25\"} 1\n\
         took_seconds_bucket{le=\"+Inf\"} 2\ntook_seconds_sum 2.09\ntook_seconds_count 2\n"
    );
}

#[test]
fn mappings_that_cannot_be_are_refused_by_name() {
    let refused = |mapping: Mapping| Prometheus::new().map(mapping).unwrap_err().to_string();
    let of = || Mapping::new("some.variable");
    for (mapping, why) in [
        (of().family("a-b"), "\"a-b\" is no name for a metric"),
        (of().family(""), "\"\" is no name for a metric"),
        (of().labels(["a", "a"]), "\"a\" is no name for a label, or used twice"),
        (of().labels(["le"]), "\"le\" is no name for a label"),
        (of().constant("__x", "1"), "\"__x\" is no name for a label"),
        (of().buckets([2.0, 1.0]), "must ascend"),
        (of().buckets([f64::INFINITY]), "must ascend, be finite and not below zero"),
        (of().buckets([-1.0, 1.0]), "not below zero"),
        (of().labels(["a"]).constant("a", "1"), "\"a\" is no name for a label, or used twice"),
        (of().name("a b"), "\"a b\" is no name for a metric"),
    ] {
        let error = refused(mapping);
        assert!(error.contains("\"some.variable\"") && error.contains(why), "{error}");
    }
    let twice = Prometheus::new().map(of()).unwrap().map(of()).unwrap_err();
    assert_eq!(twice.variable(), "some.variable");
}

#[test]
fn what_cannot_be_shown_is_named() {
    let registry = Registry::new();
    registry.publish("a.b", Gauge::new()).unwrap().set(1);
    registry.publish("a_b", Gauge::new()).unwrap().set(2);
    registry.publish("t", Histogram::new()).unwrap();
    registry.publish("t_count", Gauge::new()).unwrap();
    registry.publish("…", Gauge::new()).unwrap();
    registry.publish_with("down", Gauge::new(), Info::new().counter()).unwrap().set(-1);
    let text = mapped(&registry, Mapping::new("no.such"));
    assert!(text.contains("a_b 1\n") && !text.contains("a_b 2\n"), "{text}");
    let left_out: Vec<&str> =
        text.lines().filter(|line| line.starts_with("expvar_prometheus_left_out{")).collect();
    assert_eq!(
        left_out,
        [
            "expvar_prometheus_left_out{variable=\"a_b\",\
             reason=\"the name a_b is that of a variable before it\"} 1",
            "expvar_prometheus_left_out{variable=\"down\",\
             reason=\"a counter is below zero or not a number\"} 1",
            "expvar_prometheus_left_out{variable=\"t_count\",\
             reason=\"the name t_count is that of a variable before it\"} 1",
            "expvar_prometheus_left_out{variable=\"…\",\
             reason=\"no name can be made of it: it has no letter or digit\"} 1",
            "expvar_prometheus_left_out{variable=\"no.such\",\
             reason=\"there is no such variable to map\"} 1",
        ]
    );
    let shown = expvar::global().get("expvar.prometheus").unwrap().to_string();
    assert!(shown.contains("\"no.such\": \"there is no such variable to map\""), "{shown}");
}

#[test]
fn maps_that_hold_themselves_end() {
    let registry = Registry::new();
    let map = registry.publish("m", Map::new()).unwrap();
    map.set("self", std::sync::Arc::clone(&map));
    map.add("n", 1);
    let text = text(&registry);
    assert!(text.contains("m{key=\"self\",key2=\"n\"} 1\n"), "{text}");
    map.clear();
}

#[test]
fn maps_nested_more_than_eight_deep_are_named() {
    let registry = Registry::new();
    let mut map = registry.publish("m", Map::new()).unwrap();
    for _ in 0..8 {
        map.add("n", 1);
        map = map.set("m", Map::new());
    }
    map.add("n", 1);
    let text = text(&registry);
    assert_eq!(text.matches("n\"} 1\n").count(), 8, "{text}");
    assert!(text.contains("reason=\"its maps are nested too deeply\"} 1\n"), "{text}");
}

static MEMBERS: [(&str, Info); 6] = [
    ("resident_bytes", Info::with_help("Memory.").unit(Unit::Bytes).known_as("p_memory_bytes")),
    ("cpu_user_seconds", Info::with_help("Time.").unit(Unit::Seconds).counter()),
    ("cpu_system_seconds", Info::new().unit(Unit::Seconds).counter()),
    ("Alloc", Info::with_help("Live.").known_as("go_memstats_alloc_bytes")),
    ("TotalAlloc", Info::with_help("All.").counter().known_as("go_memstats_alloc_bytes")),
    ("hits", Info::with_help("Hits.").counter()),
];

#[test]
fn members_have_the_names_that_dashboards_know() {
    let registry = Registry::new();
    let process = serde_json::json!({
        "resident_bytes": 4096, "cpu_user_seconds": 1.5, "cpu_system_seconds": 0.25,
        "Alloc": 1, "TotalAlloc": 2, "hits": 3, "other": 4,
    });
    let info = Info::new().help("Mine.").members(&MEMBERS);
    registry.publish_with("process", Func::new(move || process.clone()), info).unwrap();
    let threads = serde_json::json!({"main": 1.0, "worker": {"sub": 0.75}});
    let info =
        Info::new().help("By thread.").labels(["thread", "part"]).counter().known_as("threads");
    registry.publish_with("t", Func::new(move || threads.clone()), info).unwrap();
    assert_eq!(
        open(&registry),
        "# HELP go_memstats_alloc_bytes Live.\n# TYPE go_memstats_alloc_bytes gauge\n\
         go_memstats_alloc_bytes 1\n\
         # HELP process_other Mine.\n# TYPE process_other gauge\nprocess_other 4\n\
         # HELP p_memory_bytes Memory.\n# TYPE p_memory_bytes gauge\n\
         # UNIT p_memory_bytes bytes\np_memory_bytes 4096\n\
         # HELP go_memstats_alloc_bytes_total All.\n\
         # TYPE go_memstats_alloc_bytes_total unknown\ngo_memstats_alloc_bytes_total 2\n\
         # HELP process_cpu_system_seconds Variable process.\n\
         # TYPE process_cpu_system_seconds counter\n\
         # UNIT process_cpu_system_seconds seconds\nprocess_cpu_system_seconds_total 0.25\n\
         # HELP process_cpu_user_seconds Time.\n# TYPE process_cpu_user_seconds counter\n\
         # UNIT process_cpu_user_seconds seconds\n\
         process_cpu_user_seconds_total 1.5\n\
         # HELP process_hits Hits.\n# TYPE process_hits counter\nprocess_hits_total 3\n\
         # HELP process_cpu_seconds Processor time, in the program and in the kernel, in seconds.\n\
         # TYPE process_cpu_seconds counter\n# UNIT process_cpu_seconds seconds\n\
         process_cpu_seconds_total 1.75\n\
         # HELP threads By thread.\n# TYPE threads counter\n\
         threads_total{thread=\"main\"} 1\n\
         threads_total{thread=\"worker\",part=\"sub\"} 0.75\n\
         # EOF\n"
    );
}
