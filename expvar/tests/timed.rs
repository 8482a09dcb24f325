//! Timers record in the unit that is declared.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use expvar::{Family, Histogram, Info, Map, Registry, Unit, global};

expvar::label! {
    enum Method { Get = "GET" }
}

expvar::vars! {
    static NANOS: Histogram = "timed.nanos", unit: Nanoseconds;
    static MICROS: Histogram = "timed.micros", unit: Microseconds;
    static MILLIS: Histogram = "timed.millis", unit: Milliseconds;
    static SECONDS: Histogram = "timed.seconds", unit: Unit::Seconds;
    static PLAIN: Histogram = "timed.plain";
    static WORD: Histogram = "word.static_seconds";
    static SIZES: Histogram = "timed.sizes", unit: Bytes;
    static FLOATS: Histogram = "timed.floats", init: Histogram::floats();
    static FLOAT_NANOS: Histogram = "timed.float_nanos", unit: Nanoseconds, init: Histogram::floats();
    static FLOAT_MILLIS: Histogram = "timed.float_millis", init: Histogram::floats(), unit: Milliseconds;
    static ROUTES: Map = "timed.routes", unit: Milliseconds, labels: ["route", "method"];
    static METHODS: Family<Histogram, Method> = "timed.methods", unit: Milliseconds, label: "method";
}

const TIME: Duration = Duration::from_millis(22);

/// What a histogram of whole numbers makes of 22 ms.
fn whole(histogram: &Histogram) -> u64 {
    histogram.record_duration(TIME);
    let seen = histogram.snapshot();
    let error = seen.quantile_duration(0.5).abs_diff(TIME);
    assert!(seen.sum() == 0 || error <= TIME / 30, "{error:?}");
    seen.sum()
}

fn float(histogram: &Histogram) -> f64 {
    histogram.record_duration(TIME);
    let seen = histogram.snapshot();
    let error = seen.quantile_duration(0.5).abs_diff(TIME);
    assert!(error <= TIME / 30, "{error:?}");
    seen.sum_float()
}

#[test]
fn statics_record_in_their_unit_from_the_first_record() {
    assert_eq!(whole(&NANOS), 22_000_000);
    assert_eq!(whole(&MICROS), 22_000);
    assert_eq!(whole(&MILLIS), 22);
    assert_eq!(whole(&SECONDS), 0, "rounded down");
    assert_eq!(whole(&PLAIN), 22_000_000);
    assert_eq!(whole(&SIZES), 22_000_000, "no unit of time");
    assert_eq!(float(&FLOATS), 0.022);
    assert_eq!(float(&FLOAT_NANOS), 22_000_000.0);
    assert_eq!(float(&FLOAT_MILLIS), 22.0);
    assert_eq!(whole(&ROUTES.histogram_at(["/", "GET"])), 22);
    assert_eq!(whole(METHODS.with(Method::Get)), 22);
    let shown = global().get("timed.millis").unwrap().to_string();
    assert!(shown.starts_with("{\"count\":1,\"sum\":22,"), "{shown}");
    MILLIS.record_duration(Duration::MAX);
    assert_eq!(MILLIS.snapshot().max(), u64::MAX);
}

#[test]
fn a_timer_records_in_the_unit_of_its_histogram() {
    let seconds = Histogram::new().timed_in(Unit::Seconds);
    let start = Instant::now();
    drop(seconds.start());
    assert_eq!(seconds.snapshot().count(), 1);
    assert!(seconds.snapshot().sum() <= start.elapsed().as_secs());
}

#[test]
fn a_name_that_says_seconds_without_a_unit_gets_a_word() {
    let registry = Registry::new();
    for name in ["word.a_seconds", "word.seconds"] {
        registry.publish(name, Histogram::new()).unwrap();
    }
    registry.publish("word.floats_seconds", Histogram::floats()).unwrap();
    registry.publish("word.microseconds", Histogram::new()).unwrap();
    let info = Info::new().unit(Unit::Nanoseconds);
    registry.publish_with("word.said_seconds", Histogram::new(), info).unwrap();
    let Some(expvar::Var::Map(clashes)) = global().get("expvar.clashes") else { panic!() };
    let told: Vec<_> =
        clashes.keys().into_iter().filter(|name| name.starts_with("word.")).collect();
    assert_eq!(told, ["word.a_seconds", "word.seconds", "word.static_seconds"]);
    let _ = &WORD;
    let text = clashes.get("word.a_seconds").unwrap().to_string();
    assert!(text.contains("records durations in nanoseconds"), "{text}");
    // What it proposes keeps fractions of a second.
    assert!(text.contains("or `init: Histogram::floats()`, which records seconds"), "{text}");
}

expvar::group! {
    struct PoolVars = "pool", label: "pool" {
        connect: Histogram = "connect", unit: Milliseconds;
        by_host: Map = "by_host", label: "host", unit: Milliseconds;
    }
}

#[test]
fn what_is_published_with_a_unit_records_in_it() {
    let registry = Registry::new();
    let info = || Info::new().unit(Unit::Milliseconds);
    assert_eq!(whole(&registry.publish_with("a", Histogram::new(), info()).unwrap()), 22);
    assert_eq!(float(&registry.publish_with("b", Histogram::floats(), info()).unwrap()), 22.0);

    let early = Map::new();
    let (histogram, inner) = (early.histogram("early"), early.map("inner"));
    let map = registry.publish_with("c", early, info()).unwrap();
    assert_eq!((whole(&histogram), whole(&inner.histogram("late"))), (22, 22));
    assert_eq!(whole(&map.set("set", Histogram::new())), 22);
    assert_eq!(whole(&map.set_new("new", Histogram::new()).unwrap()), 22);

    let family = Family::<Histogram, Method>::new();
    let family = registry.publish_with("d", family, info()).unwrap();
    assert_eq!(whole(family.with(Method::Get)), 22);

    let pool = PoolVars::publish(&registry, "main").unwrap();
    assert_eq!((whole(&pool.connect), whole(&pool.by_host.histogram("a"))), (22, 22));
}
