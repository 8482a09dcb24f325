//! Names that are no legacy names, times of registration, exemplars and exact buckets, to the byte.

#![forbid(unsafe_code)]

use std::time::{Duration, UNIX_EPOCH};

use expvar::{Counter, Func, Gauge, Histogram, Info, Map, Registry, Text, Unit};
use expvar_http::{Escaping, Format, Mapping, MediaType, Prometheus};

fn shown(registry: &Registry, format: Format, escaping: Escaping) -> String {
    Prometheus::new().to_text(registry, MediaType::new(format, escaping))
}

/// Names as OpenTelemetry has them.
fn dotted() -> Registry {
    let registry = Registry::new();
    let info = Info::new().help("Requests.").label("http.route");
    let requests = registry.publish_with("http.requests", Map::new(), info).unwrap();
    requests.set("/\"x\"", Counter::new()).add(3);
    registry.publish("größe", Gauge::new()).unwrap().set(1);
    let info = Info::new().help("Sent.").unit(Unit::Bytes);
    registry.publish_with("http.sent", Counter::new(), info).unwrap().add(5);
    let info = Info::new().unit(Unit::Nanoseconds);
    registry.publish_with("took.ns", Gauge::new(), info).unwrap().set(1_500_000_000);
    registry
        .publish_with("build.info", Text::new(), Info::new().label("build.version"))
        .unwrap()
        .set("1");
    registry.publish("x.total", Counter::new()).unwrap();
    registry.publish("plain", Counter::new()).unwrap();
    registry.publish("limits", Func::new(|| serde_json::json!({"a.b": 1, "c\"\\\n": 2}))).unwrap();
    registry
}

#[test]
fn a_reader_of_utf_8_gets_names_as_they_are() {
    let registry = dotted();
    assert_eq!(
        shown(&registry, Format::Text, Escaping::Utf8),
        "# HELP build_info Variable build.info.\n\
         # TYPE build_info gauge\nbuild_info{\"build.version\"=\"1\"} 1\n\
         # HELP \"größe\" Variable größe.\n\
         # TYPE \"größe\" gauge\n\
         {\"größe\"} 1\n\
         # HELP \"http.requests_total\" Requests.\n\
         # TYPE \"http.requests_total\" counter\n\
         {\"http.requests_total\",\"http.route\"=\"/\\\"x\\\"\"} 3\n\
         # HELP \"http.sent_bytes_total\" Sent.\n\
         # TYPE \"http.sent_bytes_total\" counter\n\
         {\"http.sent_bytes_total\"} 5\n\
         # HELP \"limits_a.b\" Variable limits.\n\
         # TYPE \"limits_a.b\" gauge\n\
         {\"limits_a.b\"} 1\n\
         # HELP \"limits_c\\\"\\\\\\n\" Variable limits.\n\
         # TYPE \"limits_c\\\"\\\\\\n\" gauge\n\
         {\"limits_c\\\"\\\\\\n\"} 2\n\
         # HELP plain_total Variable plain.\n\
         # TYPE plain_total counter\n\
         plain_total 0\n\
         # HELP took_seconds Variable took.ns.\n\
         # TYPE took_seconds gauge\n\
         took_seconds 1.5\n\
         # HELP x_total Variable x.total.\n\
         # TYPE x_total counter\n\
         x_total 0\n"
    );
    let open = shown(&registry, Format::OpenMetrics, Escaping::Utf8);
    let sent = "# HELP \"http.sent_bytes\" Sent.\n\
                # TYPE \"http.sent_bytes\" counter\n\
                # UNIT \"http.sent_bytes\" bytes\n\
                {\"http.sent_bytes_total\"} 5\n";
    assert!(open.contains(sent), "{open}");
    let exact = Prometheus::new().names_as_recorded();
    let exact = exact.to_text(&registry, MediaType::new(Format::Text, Escaping::Utf8));
    assert!(exact.contains("# TYPE \"http.sent\" counter\n{\"http.sent\"} 5\n"), "{exact}");
}

#[test]
fn dots_and_values_escape_whole_names() {
    let registry = dotted();
    for (format, escaping, lines) in [
        (
            Format::Text,
            Escaping::Dots,
            "# TYPE http_dot_requests__total counter\n\
             http_dot_requests__total{http_dot_route=\"/\\\"x\\\"\"} 3\n",
        ),
        (Format::Text, Escaping::Dots, "\nplain__total 0\n"),
        (Format::Text, Escaping::Dots, "\ngr__e 1\n"),
        (
            Format::Text,
            Escaping::Values,
            "# TYPE U__http_2e_requests__total counter\n\
             U__http_2e_requests__total{U__http_2e_route=\"/\\\"x\\\"\"} 3\n",
        ),
        (Format::Text, Escaping::Values, "\nplain_total 0\n"),
        (Format::Text, Escaping::Values, "\nU__gr_f6__df_e 1\n"),
        (
            Format::OpenMetrics,
            Escaping::Values,
            "# TYPE U__http_2e_sent__bytes_ counter\nU__http_2e_sent__bytes__total 5\n",
        ),
        (
            Format::Text,
            Escaping::Underscores,
            "\nhttp_requests_total{http_route=\"/\\\"x\\\"\"} 3\n",
        ),
    ] {
        let text = shown(&registry, format, escaping);
        assert!(text.contains(lines), "{text}\nhas no\n{lines}");
    }
}

/// Requests with underscores get the same as before, whatever was requested in between.
#[test]
fn the_program_may_choose_the_escaping_of_every_reader() {
    let registry = dotted();
    let asked = "application/openmetrics-text; version=1.0.0; escaping=allow-utf-8";
    for (escaping, name) in [
        (Escaping::Underscores, "http_requests_total"),
        (Escaping::Dots, "http_dot_requests__total"),
    ] {
        let prometheus = Prometheus::new().escaping(escaping);
        for asked in [asked, "text/plain; version=1.0.0; escaping=values", "*/*"] {
            let asked = MediaType::accepted(asked);
            let chosen = prometheus.media_type(asked);
            assert_eq!((chosen.format(), chosen.escaping()), (asked.format(), escaping));
            let text = prometheus.to_text(&registry, asked);
            assert_eq!(text, Prometheus::new().to_text(&registry, chosen));
            assert!(text.contains(&format!("\n{name}")), "{text}");
        }
    }
    let underscores = Prometheus::new().escaping(Escaping::Underscores);
    let told = |asked| underscores.media_type(MediaType::accepted(asked)).content_type();
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(told(asked), format!("{content_type}; escaping=underscores"));
    assert_eq!(told("*/*"), Format::Text.content_type());
}

#[test]
fn one_reader_s_escaping_is_not_another_s() {
    let registry = dotted();
    let prometheus = Prometheus::new();
    let plain = prometheus.to_text(&registry, Format::Text);
    assert!(plain.contains("\nhttp_sent_bytes_total 5\n"));
    for escaping in [Escaping::Utf8, Escaping::Dots, Escaping::Values, Escaping::Underscores] {
        let media_type = MediaType::new(Format::Text, escaping);
        let fresh = Prometheus::new().to_text(&registry, media_type);
        for _ in 0..2 {
            assert_eq!(prometheus.to_text(&registry, media_type), fresh, "{escaping:?}");
        }
        assert_eq!(prometheus.to_text(&registry, Format::Text), plain);
    }
}

#[test]
fn underscores_of_the_names_as_they_are_are_the_names_by_default() {
    let registry = dotted();
    let names = |text: &str| -> Vec<String> {
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let names = types.map(|line| line.rsplit_once(' ').unwrap().0.trim_matches('"'));
        let unescaped = names.map(|name| name.replace("\\\"", "\"").replace("\\n", "\n"));
        unescaped.map(|name| name.replace("\\\\", "\\")).collect()
    };
    let exact = names(&shown(&registry, Format::Text, Escaping::Utf8));
    let legal = |name: &String| {
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect::<String>()
    };
    let expected: Vec<String> = exact.iter().map(legal).collect();
    assert_eq!(names(&shown(&registry, Format::Text, Escaping::Underscores)), expected);
}

#[test]
fn names_that_differ_only_in_what_is_escaped_stand_side_by_side() {
    let registry = Registry::new();
    registry.publish("a.b", Gauge::new()).unwrap().set(1);
    registry.publish("a_b", Gauge::new()).unwrap().set(2);
    registry.publish("…", Gauge::new()).unwrap().set(3);
    let exact = shown(&registry, Format::Text, Escaping::Utf8);
    assert!(exact.contains("{\"a.b\"} 1\n") && exact.contains("\na_b 2\n"), "{exact}");
    assert!(exact.contains("{\"…\"} 3\n") && !exact.contains("left_out"), "{exact}");
    let legal = shown(&registry, Format::Text, Escaping::Underscores);
    assert!(legal.contains("left_out"), "{legal}");
}

/// The registry's clock is the system's: samples are compared without their times.
fn without_times(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("_created") {
        Some((name, rest)) => {
            let (labels, time) = rest.rsplit_once(' ').unwrap();
            let time: f64 = time.parse().unwrap();
            let ago = UNIX_EPOCH.elapsed().unwrap().as_secs_f64() - time;
            assert!((-1.0..600.0).contains(&ago), "{line}: {ago} s ago");
            format!("{name}_created{labels} TIME\n")
        }
        None => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn openmetrics_says_when_things_were_registered_where_that_is_wanted() {
    let registry = Registry::new();
    registry.publish("jobs", Counter::new()).unwrap().add(2);
    registry.publish("level", Gauge::new()).unwrap();
    let routes = registry.publish("routes", Map::new()).unwrap();
    routes.set("/", Counter::new()).add(1);
    routes.set("h", Histogram::floats().buckets(&[0.5])).record_float(0.25);
    let prometheus = Prometheus::new().created();
    let expected = "# HELP jobs Variable jobs.\n\
                    # TYPE jobs counter\n\
                    jobs_total 2\n\
                    jobs_created TIME\n\
                    # HELP level Variable level.\n\
                    # TYPE level gauge\n\
                    level 0\n\
                    # HELP routes Variable routes.\n\
                    # TYPE routes histogram\n\
                    routes_bucket{key=\"h\",le=\"0.5\"} 1\n\
                    routes_bucket{key=\"h\",le=\"+Inf\"} 1\n\
                    routes_sum{key=\"h\"} 0.25\n\
                    routes_count{key=\"h\"} 1\n\
                    routes_created{key=\"h\"} TIME\n\
                    # HELP routes_total Variable routes.\n\
                    # TYPE routes_total unknown\n\
                    routes_total{key=\"/\"} 1\n\
                    # EOF\n";
    for _ in 0..2 {
        let open = prometheus.to_text(&registry, Format::OpenMetrics);
        assert_eq!(without_times(&open), expected);
    }
    let text = prometheus.to_text(&registry, Format::Text);
    assert!(!text.contains("_created"), "text has no place for it");
    let open = Prometheus::new().to_text(&registry, Format::OpenMetrics);
    assert!(!open.contains("_created"), "it is asked for");
}

#[test]
fn a_name_that_comes_back_is_registered_anew() {
    let registry = Registry::new();
    let prometheus = Prometheus::new().created();
    let created = || {
        let open = prometheus.to_text(&registry, Format::OpenMetrics);
        let line = open.lines().find_map(|line| line.strip_prefix("jobs_created ")).unwrap();
        let (seconds, nanos) = line.split_once('.').unwrap_or((line, "0"));
        let nanos = format!("{nanos:0<9}").parse().unwrap();
        Duration::new(seconds.parse().unwrap(), nanos)
    };
    registry.publish("jobs", Counter::new()).unwrap();
    let first = created();
    assert_eq!(created(), first, "it stays");
    registry.remove("jobs");
    while UNIX_EPOCH.elapsed().unwrap() <= first + Duration::from_micros(10) {}
    registry.publish("jobs", Counter::new()).unwrap();
    assert!(created() > first);
}

#[test]
fn openmetrics_shows_exemplars_at_their_buckets() {
    let registry = Registry::new();
    let info = Info::new().unit(Unit::Milliseconds);
    let latency = Histogram::new().buckets(&[100.0, 250.0]).exemplars();
    let latency = registry.publish_with("latency", latency, info).unwrap();
    latency.record_with(70, "abc");
    latency.record_with(100, [("trace_id", "d\"e\\f"), ("span_id", "1")]);
    latency.record_with(5_000, "far");
    latency.record(200);
    let times: Vec<String> = latency
        .recorded_exemplars()
        .iter()
        .map(|exemplar| {
            let at = exemplar.unix_nanos();
            let time = format!("{}.{:09}", at / 1_000_000_000, at % 1_000_000_000);
            time.trim_end_matches('0').trim_end_matches('.').to_owned()
        })
        .collect();
    assert_eq!(
        Prometheus::new().to_text(&registry, Format::OpenMetrics),
        format!(
            "# HELP latency_seconds Variable latency.\n\
             # TYPE latency_seconds histogram\n\
             # UNIT latency_seconds seconds\n\
             latency_seconds_bucket{{le=\"0.1\"}} 2 \
             # {{trace_id=\"d\\\"e\\\\f\",span_id=\"1\"}} 0.1 {}\n\
             latency_seconds_bucket{{le=\"0.25\"}} 3\n\
             latency_seconds_bucket{{le=\"+Inf\"}} 4 # {{trace_id=\"far\"}} 5 {}\n\
             latency_seconds_sum 5.37\n\
             latency_seconds_count 4\n\
             # EOF\n",
            times[1], times[2]
        )
    );
    let text = Prometheus::new().to_text(&registry, Format::Text);
    assert!(text.contains("le=\"0.1\"} 2\n"), "text has no exemplars: {text}");
}

expvar::vars! {
    static SLO: Histogram = "formats.slo", unit: Nanoseconds, buckets: [100_000_000, 300e6];
}

/// Values right at and beside a bound lie in one of the histogram's own buckets.
#[test]
fn declared_buckets_count_exactly() {
    for millis in [90, 99, 100, 299, 300] {
        SLO.record_duration(Duration::from_millis(millis));
    }
    SLO.record_duration(Duration::from_nanos(100_000_001));
    SLO.record_duration(Duration::from_nanos(300_000_001));
    let wanted = |name: &str| name == "formats.slo";
    let mut text = Vec::new();
    Prometheus::new().render_where(expvar::global(), wanted, Format::Text, &mut text);
    let text = String::from_utf8(text).unwrap();
    let buckets = "formats_slo_seconds_bucket{le=\"0.1\"} 3\n\
                   formats_slo_seconds_bucket{le=\"0.3\"} 6\n\
                   formats_slo_seconds_bucket{le=\"+Inf\"} 7\n";
    assert!(text.contains(buckets), "{text}");
    // A mapping's bounds are exact where they are declared too, and never fall behind them.
    let mapping = Mapping::new("formats.slo").buckets([0.1, 0.100000002, 0.3]);
    let prometheus = Prometheus::new().map(mapping).unwrap();
    let mut text = Vec::new();
    prometheus.render_where(expvar::global(), wanted, Format::Text, &mut text);
    let text = String::from_utf8(text).unwrap();
    let counts: Vec<&str> =
        text.lines().filter_map(|line| line.split_once("\"} ")).map(|it| it.1).collect();
    assert_eq!(counts, ["3", "3", "6", "7"], "{text}");
}
