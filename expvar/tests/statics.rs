//! Statics are shown before anything touches them; those of one name are one variable.

#![forbid(unsafe_code)]

use expvar::{Kind, global};

mod other {
    expvar::vars! {
        /// The same name and kind, elsewhere.
        pub static SHARED: Counter = "statics.shared";
        pub static SHARED_GAUGE: Gauge = "statics.shared_gauge";
        pub static SHARED_FLOAT: FloatGauge = "statics.shared_float";
        pub static SHARED_TEXT: Text = "statics.shared_text";
        pub static SHARED_MAP: Map = "statics.shared_map";
        pub static SHARED_HISTOGRAM: Histogram = "statics.shared_histogram";
        pub static CLASH: Gauge = "statics.clash";
        pub static COARSE: Histogram = "statics.precision", init: Histogram::with_precision(2);
        pub static TIME: Histogram = "statics.unit", unit: Milliseconds;
        pub static LABELLED: Map = "statics.label", label: "route";
        pub static RISING: Gauge = "statics.counter", counter;
        pub static EVERYTHING: Map = "statics.everything", labels: ["a", "b"], unit: Seconds;
        /// Help may differ.
        pub static SAME: Map = "statics.same", label: "route", unit: Bytes;
        pub static TAKEN: Counter = "expvar.overflows";
        pub static BUILT_IN: Counter = "expvar.panics";
    }
}

expvar::vars! {
    /// Never touched.
    ///
    /// On two lines.
    static UNTOUCHED: Counter = "statics.untouched", unit: Other("things");
    static UNTOUCHED_MAP: Map = "statics.untouched_map", label: "route", counter;
    static UNTOUCHED_HISTOGRAM: Histogram = "statics.untouched_histogram", unit: Bytes;
    static SHARED: Counter = "statics.shared";
    static SHARED_GAUGE: Gauge = "statics.shared_gauge";
    static SHARED_FLOAT: FloatGauge = "statics.shared_float";
    static SHARED_TEXT: Text = "statics.shared_text";
    static SHARED_MAP: Map = "statics.shared_map";
    static SHARED_HISTOGRAM: Histogram = "statics.shared_histogram";
    static CLASH: Counter = "statics.clash";
    static PRECISION: Histogram = "statics.precision";
    static TIME: Histogram = "statics.unit", unit: Nanoseconds;
    static LABELLED: Map = "statics.label", label: "method";
    static RISING: Gauge = "statics.counter";
    static EVERYTHING: Map = "statics.everything", label: "a", counter;
    /// Otherwise.
    static SAME: Map = "statics.same";
}

fn shown(name: &str) -> String {
    global().get(name).map(|var| var.to_string()).unwrap_or_default()
}

#[test]
fn an_untouched_static_is_shown_at_zero_with_its_help() {
    assert_eq!(shown("statics.untouched"), "0");
    assert_eq!(shown("statics.untouched_map"), "{}");
    assert_eq!(
        shown("statics.untouched_histogram"),
        "{\"count\":0,\"sum\":0,\"min\":0,\"max\":0,\"mean\":0,\
         \"p50\":0,\"p90\":0,\"p95\":0,\"p99\":0,\"p999\":0}"
    );
    let info = global().info("statics.untouched").unwrap();
    assert_eq!(info.get_help(), "Never touched. On two lines.");
    assert_eq!(info.get_unit().name(), "things");
    let info = global().info("statics.untouched_map").unwrap();
    assert_eq!((&*info.get_labels()[0], info.is_counter()), ("route", true));
}

#[test]
fn statics_of_one_name_are_one_variable() {
    // From the first read on.
    shown("statics.shared");
    SHARED.add(1);
    other::SHARED.add(2);
    assert_eq!((shown("statics.shared"), SHARED.get(), other::SHARED.get()), ("3".into(), 3, 3));

    SHARED_GAUGE.add(1);
    other::SHARED_GAUGE.set(10);
    SHARED_GAUGE.sub(3);
    assert_eq!((SHARED_GAUGE.get(), other::SHARED_GAUGE.get()), (7, 7));
    assert_eq!(shown("statics.shared_gauge"), "7");

    SHARED_FLOAT.set(1.5);
    other::SHARED_FLOAT.add(0.25);
    assert_eq!(shown("statics.shared_float"), "1.75");

    other::SHARED_TEXT.set("late");
    assert_eq!(SHARED_TEXT.get(), "late");
    assert_eq!(shown("statics.shared_text"), "\"late\"");

    SHARED_MAP.add("a", 1);
    other::SHARED_MAP.add("a", 1);
    other::SHARED_MAP.add("b", 1);
    assert_eq!(shown("statics.shared_map"), "{\"a\": 2, \"b\": 1}");

    SHARED_HISTOGRAM.record(1);
    other::SHARED_HISTOGRAM.record(3);
    assert_eq!(
        (SHARED_HISTOGRAM.snapshot().count(), other::SHARED_HISTOGRAM.snapshot().sum()),
        (2, 4)
    );
}

#[test]
fn a_clash_is_shown_with_both_places_and_harms_nothing() {
    CLASH.add(1);
    other::CLASH.set(5);
    PRECISION.record(1);
    other::COARSE.record(1);
    other::TAKEN.add(1);
    // The one that comes first in the source is shown.
    assert_eq!(global().get("statics.clash").unwrap().kind(), Kind::Gauge);
    let clashes = shown("expvar.clashes");
    let file = file!();
    for text in [
        format!(
            "\"statics.clash\": \"gauge statics::other::CLASH at {file}:8 is shown, \
             counter statics::CLASH at {file}:29 is not\""
        ),
        format!(
            "\"statics.precision\": \"histogram statics::other::COARSE at {file}:8 is shown, \
             histogram statics::PRECISION at {file}:29 is not\""
        ),
    ] {
        assert!(clashes.contains(&text), "{text} in {clashes}");
    }
}

#[test]
fn statics_that_mean_something_else_are_not_joined_but_named() {
    let time = std::time::Duration::from_millis(5);
    TIME.record_duration(time);
    other::TIME.record_duration(time);
    other::LABELLED.add("/", 1);
    LABELLED.add("GET", 1);
    other::RISING.add(1);
    RISING.add(1);
    other::SAME.add("/", 1);
    SAME.add("/", 1);
    let (_, _) = (EVERYTHING.keys(), other::EVERYTHING.keys());
    assert!(shown("statics.unit").starts_with("{\"count\":1,\"sum\":5,"));
    assert_eq!(global().info("statics.unit").unwrap().get_unit(), expvar::Unit::Milliseconds);
    assert_eq!(shown("statics.label"), "{\"/\": 1}");
    assert_eq!(shown("statics.counter"), "1");
    assert_eq!(shown("statics.same"), "{\"/\": 2}");
    let Some(expvar::Var::Map(clashes)) = global().get("expvar.clashes") else { panic!() };
    let file = file!();
    for (name, kind, path, text) in [
        ("statics.unit", "histogram", "TIME", "units milliseconds and nanoseconds"),
        ("statics.label", "map", "LABELLED", "labels [\"route\"] and [\"method\"]"),
        ("statics.counter", "gauge", "RISING", "`counter` at the first alone"),
        (
            "statics.everything",
            "map",
            "EVERYTHING",
            "units seconds and none, labels [\"a\", \"b\"] and [\"a\"], `counter` at the second alone",
        ),
    ] {
        let Some(expvar::Var::Text(clash)) = clashes.get(name) else { panic!("{name}") };
        let places = format!(
            "{kind} statics::other::{path} at {file}:8 is shown, {kind} statics::{path} at \
             {file}:29 is not: "
        );
        assert_eq!(clash.get(), places + text);
    }
    assert!(clashes.get("statics.same").is_none());
}

#[test]
fn a_name_that_is_taken_gives_the_error_and_the_variable() {
    let error = expvar::publish("statics.untouched", expvar::Gauge::new()).unwrap_err();
    assert_eq!(error.name(), "statics.untouched");
    assert_eq!(error.existing().unwrap().kind(), Kind::Counter);
    let (_, _, _) = (UNTOUCHED.get(), UNTOUCHED_MAP.keys(), UNTOUCHED_HISTOGRAM.snapshot());
    assert!(error.to_string().contains("\"statics.untouched\" is taken by a counter"), "{error}");
    for (name, text) in [("", "needs a name"), ("a\nb", "control character at byte 1")] {
        let error = expvar::publish(name, expvar::Gauge::new()).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert!(error.existing().is_none());
    }
}
