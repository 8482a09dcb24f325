//! What is recorded through `metrics` is what the registry shows.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use expvar::{Counter, FloatGauge, Histogram, Info, Kind, Registry, Unit, Var, global};
use expvar_metrics::Recorder;
use metrics::{
    counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
    with_local_recorder,
};

fn overflows() -> u64 {
    global().get("expvar.overflows").unwrap().to_string().parse().unwrap()
}

fn clash(name: &str) -> String {
    let Some(Var::Map(clashes)) = global().get("expvar.clashes") else { panic!() };
    clashes.get(name).map(|text| text.to_string()).unwrap_or_default()
}

#[test]
fn every_kind_appears_under_its_name() {
    let registry = Registry::new();
    with_local_recorder(&Recorder::new(&registry), || {
        counter!("hits").increment(2);
        counter!("hits").increment(1);
        counter!("raised").absolute(7);
        counter!("raised").absolute(5);
        gauge!("queue").set(4.0);
        gauge!("queue").increment(0.5);
        gauge!("queue").decrement(2.0);
        histogram!("took").record(Duration::from_millis(250));
        counter!("by_code", "method" => "GET", "code" => "200").increment(5);
        counter!("by_code", "code" => "404", "method" => "GET").increment(1);
    });
    assert_eq!(
        registry.to_json(),
        "{\n\"by_code\": {\"GET\": {\"200\": 5, \"404\": 1}},\n\"hits\": 3,\n\"queue\": 2.5,\n\
         \"raised\": 7,\n\"took\": {\"count\":1,\"sum\":0.25,\"min\":0.2421875,\"max\":0.25,\
         \"mean\":0.25,\"p50\":0.24609375,\"p90\":0.24609375,\"p95\":0.24609375,\
         \"p99\":0.24609375,\"p999\":0.24609375}\n}\n"
    );
    let info = registry.info("by_code").unwrap();
    assert_eq!(
        (info.get_labels(), info.is_counter()),
        (&["method".into(), "code".into()][..], true)
    );
}

#[test]
fn labels_that_come_later_move_what_was_there_and_handles_stay() {
    let registry = Registry::new();
    with_local_recorder(&Recorder::new(&registry), || {
        let held = counter!("jobs");
        held.increment(1);
        assert_eq!(registry.get("jobs").unwrap().kind(), Kind::Counter);
        counter!("jobs", "queue" => "mail").increment(2);
        held.increment(1);
        counter!("jobs", "queue" => "mail", "zone" => "eu").increment(4);
        counter!("jobs", "queue" => "mail", "zone" => "").increment(8);
        held.increment(1);
    });
    assert_eq!(
        registry.to_json(),
        "{\n\"jobs\": {\"\": {\"\": 3}, \"mail\": {\"\": 10, \"eu\": 4}}\n}\n"
    );
    assert_eq!(registry.info("jobs").unwrap().get_labels(), ["queue", "zone"]);
}

#[test]
fn descriptions_and_units_come_before_or_after() {
    let registry = Registry::new();
    with_local_recorder(&Recorder::new(&registry), || {
        describe_counter!("sent", metrics::Unit::Bytes, "Bytes sent.");
        counter!("sent", "to" => "a").increment(1);
        gauge!("heat").set(1.0);
        describe_gauge!("heat", metrics::Unit::Percent, "How hot.");
        histogram!("rate").record(1.0);
        describe_histogram!("rate", metrics::Unit::KilobitsPerSecond, "How fast.");
        describe_gauge!("never", "Recorded by nobody.");
    });
    for (name, help, unit) in [
        ("sent", "Bytes sent.", Unit::Bytes),
        ("heat", "How hot.", Unit::Percent),
        ("rate", "How fast.", Unit::Other("kilobits_per_second")),
    ] {
        let info = registry.info(name).unwrap();
        assert_eq!((info.get_help(), info.get_unit()), (help, unit));
    }
    assert!(registry.get("never").is_none());
    assert_eq!(registry.get("heat").unwrap().to_string(), "1");
}

#[test]
fn a_variable_of_the_service_s_own_is_shared() {
    let registry = Registry::new();
    let own = registry.publish("requests", Counter::new()).unwrap();
    own.add(1);
    with_local_recorder(&Recorder::new(&registry), || {
        counter!("requests").increment(2);
        counter!("requests", "route" => "/").increment(4);
    });
    assert_eq!(own.get(), 3);
    assert!(clash("requests").contains("with labels is not"), "{}", clash("requests"));
}

#[test]
fn a_histogram_of_the_service_s_own_gets_its_unit() {
    let registry = Registry::new();
    let own = |name: &str, histogram: Histogram, unit| {
        registry.publish_with(name, histogram, Info::new().unit(unit)).unwrap()
    };
    let nanos = own("nanos", Histogram::new(), Unit::Nanoseconds);
    let millis = own("millis", Histogram::floats(), Unit::Milliseconds);
    let described = own("described", Histogram::new(), Unit::Microseconds);
    let late = own("late", Histogram::floats(), Unit::Seconds);
    let sizes = own("sizes", Histogram::new(), Unit::Bytes);
    let plain = own("plain", Histogram::new(), Unit::None);
    let other = own("other", Histogram::new(), Unit::Nanoseconds);
    let heat = registry.publish_with("heat", FloatGauge::new(), Info::new().unit(Unit::Ratio));
    with_local_recorder(&Recorder::new(&registry), || {
        histogram!("nanos").record(Duration::from_millis(250));
        histogram!("nanos").record(0.000_000_3);
        histogram!("millis").record(Duration::from_millis(22));
        describe_histogram!("described", metrics::Unit::Milliseconds, "");
        histogram!("described").record(22.5);
        let held = histogram!("late");
        held.record(1.5);
        describe_histogram!("late", metrics::Unit::Milliseconds, "");
        held.record(500.0);
        histogram!("sizes").record(12.0);
        histogram!("plain").record(3.0);
        assert_eq!(clash("plain"), "");
        histogram!("plain").record(0.25);
        describe_histogram!("other", metrics::Unit::Bytes, "");
        histogram!("other").record(1.0);
        describe_gauge!("heat", metrics::Unit::Percent, "");
        gauge!("heat").set(50.0);
    });
    assert_eq!((nanos.snapshot().count(), nanos.snapshot().sum()), (2, 250_000_300));
    assert_eq!(millis.snapshot().sum_float(), 22.0);
    assert_eq!(described.snapshot().sum(), 22_500);
    assert_eq!(late.snapshot().sum_float(), 2.0);
    assert_eq!(sizes.snapshot().sum(), 12);
    assert_eq!((plain.snapshot().count(), plain.snapshot().sum()), (2, 3));
    assert!(clash("plain").contains("records fractions like 0.25"), "{}", clash("plain"));
    assert_eq!(other.snapshot().count(), 0);
    assert_eq!(heat.unwrap().get(), 0.0);
    for (name, text) in [
        ("other", "a histogram in nanoseconds is shown, a `metrics` histogram in bytes is not"),
        ("heat", "a float gauge in ratio is shown, a `metrics` float gauge in percent is not"),
    ] {
        assert_eq!(clash(name), format!("\"{text}\""));
    }
}

#[test]
fn label_sets_past_the_limit_go_to_other_and_are_counted() {
    let registry = Registry::new();
    let before = overflows();
    with_local_recorder(&Recorder::new(&registry).label_sets(20), || {
        for n in 0..50 {
            counter!("c", "user" => n.to_string()).increment(1);
            histogram!("h", "user" => n.to_string()).record(1.0);
        }
        let labels: Vec<_> = (0..9).map(|n| (format!("l{n}"), "v".to_owned())).collect();
        counter!("wide", &labels).increment(1);
    });
    let Some(Var::Map(counters)) = registry.get("c") else { panic!() };
    assert_eq!(counters.len(), 21);
    assert_eq!(counters.get("(other)").unwrap().to_string(), "30");
    let Some(Var::Map(histograms)) = registry.get("h") else { panic!() };
    assert_eq!(histograms.len(), 3);
    assert_eq!(registry.get("wide").unwrap().to_string(), "{\"(other)\": 1}");
    // At least: tests that run beside this one overflow nothing, so exactly.
    assert_eq!(overflows() - before, 30 + 48 + 1);
}

#[test]
fn names_that_cannot_be_are_told_and_harm_nothing() {
    let registry = Registry::new();
    with_local_recorder(&Recorder::new(&registry), || {
        counter!("bridge.kind").increment(1);
        gauge!("bridge.kind").set(9.0);
        counter!("bridge\nline").increment(1);
        counter!("").increment(1);
    });
    assert_eq!(registry.to_json(), "{\n\"bridge.kind\": 1\n}\n");
    let text = clash("bridge.kind");
    assert!(text.contains("counter is shown, a float gauge of that name is not"), "{text}");
    assert!(clash("bridge\nline").contains("control character"), "{}", clash("bridge\nline"));
}

#[test]
fn recorders_do_not_see_each_other() {
    let (one, two) = (Registry::new(), Registry::new());
    let (first, second) = (Recorder::new(&one), Recorder::new(&two));
    for _ in 0..3 {
        with_local_recorder(&first, || counter!("n").increment(1));
        with_local_recorder(&second, || counter!("n").increment(10));
    }
    assert_eq!(
        (one.to_json(), two.to_json()),
        ("{\n\"n\": 3\n}\n".into(), "{\n\"n\": 30\n}\n".into())
    );
}

#[test]
fn sets_that_nobody_records_expire_and_come_back_at_zero() {
    let registry = Registry::new();
    let hour = Duration::from_secs(3600);
    let recorder = Recorder::new(&registry).label_sets(20).idle_timeout(hour);
    let start = Instant::now();
    with_local_recorder(&recorder, || {
        let held = counter!("jobs", "pod" => "held");
        held.increment(1);
        for pod in 0..19 {
            counter!("jobs", "pod" => pod.to_string()).increment(1);
        }
        gauge!("heat", "pod" => "0").set(3.0);
        histogram!("took").record(1.0);
        recorder.expire_at(start + hour / 2);
        assert_eq!(registry.get("jobs").unwrap().as_map().unwrap().len(), 20, "too early");

        counter!("jobs", "pod" => "7").increment(1);
        recorder.expire_at(start + hour * 3 / 4);
        recorder.expire_at(start + hour * 3 / 2);
        assert_eq!(registry.to_json(), "{\n\"jobs\": {\"7\": 2}\n}\n");

        // There is room again, in this thread's cache too, and a handle that was held is shown.
        held.increment(5);
        counter!("jobs", "pod" => "3").increment(4);
        gauge!("heat", "pod" => "0").increment(1.0);
        histogram!("took").record(1.0);
        assert_eq!(registry.get("jobs").unwrap().to_string(), "{\"3\": 4, \"7\": 2, \"held\": 5}");
        assert_eq!(registry.get("heat").unwrap().to_string(), "{\"0\": 1}");
        held.increment(1);
        assert_eq!(
            registry.get("jobs").unwrap().as_map().unwrap().get("held").unwrap().to_string(),
            "6"
        );
    });
}

#[test]
fn many_threads_agree_with_an_oracle() {
    let registry = Registry::new();
    let recorder = Recorder::new(&registry);
    let oracle: Mutex<BTreeMap<String, (u64, u64, f64)>> = Mutex::default();
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let (recorder, oracle) = (&recorder, &oracle);
            scope.spawn(move || {
                with_local_recorder(recorder, || {
                    let mut state = thread + 1;
                    let mut next = |below: u64| {
                        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                        (state >> 33) % below
                    };
                    for _ in 0..5_000 {
                        let (label, n) = (next(40).to_string(), next(9));
                        counter!("c", "k" => label.clone()).increment(n);
                        histogram!("h", "k" => label.clone()).record(n as f64 / 8.0);
                        gauge!("g", "k" => label.clone()).increment(n as f64 / 4.0);
                        let mut oracle = oracle.lock().unwrap();
                        let sums = oracle.entry(label).or_default();
                        *sums = (sums.0 + n, sums.1 + 1, sums.2 + n as f64 / 4.0);
                    }
                });
            });
        }
    });
    let (Some(Var::Map(c)), Some(Var::Map(h)), Some(Var::Map(g))) =
        (registry.get("c"), registry.get("h"), registry.get("g"))
    else {
        panic!()
    };
    let oracle = oracle.into_inner().unwrap();
    assert_eq!((c.len(), h.len(), g.len()), (40, 40, 40));
    for (label, (counted, records, gauged)) in oracle {
        let (Some(Var::Counter(c)), Some(Var::Histogram(h)), Some(Var::FloatGauge(g))) =
            (c.get(&label), h.get(&label), g.get(&label))
        else {
            panic!()
        };
        let seen = h.snapshot();
        assert_eq!((c.get(), seen.count(), g.get()), (counted, records, gauged));
        assert_eq!(seen.sum_float(), counted as f64 / 8.0);
    }
}
