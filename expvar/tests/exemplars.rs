//! Exemplars and exact counts, where a histogram is declared to have them.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::time::Duration;

use expvar::{
    Exemplar, Histogram, Info, Map, Recorded, Registry, Step, Visitor, set_trace_hook, testing,
};

expvar::label! { enum Method { Get = "GET", Put = "PUT" } }

expvar::vars! {
    /// Time to answer.
    static LATENCY: Histogram = "exemplars.latency",
        unit: Milliseconds, buckets: [100, 250.5], exemplars: true;
    static SIZES: Histogram = "exemplars.sizes", buckets: [100], init: Histogram::floats();
    static ROUTES: Map = "exemplars.routes", label: "route", exemplars: true, buckets: [100];
    static METHODS: Family<Histogram, Method> = "exemplars.methods", label: "method", exemplars;
    static PLAIN: Histogram = "exemplars.plain";
}

fn traces(exemplars: &[Exemplar]) -> Vec<(f64, &str)> {
    exemplars.iter().map(|one| (one.value(), one.trace_id().unwrap())).collect()
}

#[test]
fn the_newest_value_of_each_bucket_is_kept_with_its_trace() {
    let before = std::time::SystemTime::now();
    LATENCY.record_with(7, "first");
    LATENCY.record_with(7, "second");
    LATENCY.record_with(1000, "slow");
    LATENCY.record_with(1001, String::from("same bucket"));
    LATENCY.record(99);
    LATENCY.record_duration_with(Duration::from_secs(5), [("trace_id", "t"), ("span_id", "s")]);
    let kept = LATENCY.recorded_exemplars();
    assert_eq!(traces(&kept), [(7.0, "second"), (1001.0, "same bucket"), (5000.0, "t")]);
    assert_eq!(kept[2].labels().last(), Some(("span_id", "s")));
    let at = std::time::UNIX_EPOCH + Duration::from_nanos(kept[0].unix_nanos());
    assert!(at >= before && at <= std::time::SystemTime::now());
    assert_eq!(LATENCY.snapshot().count(), 6, "each of them is a value too");
}

#[test]
fn what_cannot_be_a_label_leaves_the_value() {
    let histogram = Histogram::floats().exemplars();
    histogram.record_float_with(0.5, "x".repeat(121).as_str());
    histogram.record_float_with(0.5, "line\nfeed");
    histogram.record_float_with(0.5, [("not-a-name", "1")]);
    assert_eq!(histogram.recorded_exemplars(), []);
    histogram.record_float_with(0.25, "x".repeat(120).as_str());
    assert_eq!(histogram.recorded_exemplars().len(), 1);
    assert_eq!(histogram.snapshot().sum_float(), 1.75);
}

#[test]
fn undeclared_there_are_none() {
    PLAIN.record_with(7, "trace");
    PLAIN.record_float_with(7.5, "trace");
    PLAIN.record_duration_with(Duration::from_nanos(7), "trace");
    assert_eq!(PLAIN.recorded_exemplars(), []);
    assert_eq!((PLAIN.snapshot().count(), PLAIN.snapshot().sum()), (3, 21));
}

#[test]
fn a_map_and_a_family_pass_it_on() {
    ROUTES.histogram("/").record_with(100, "route");
    ROUTES.map("nested").histogram("a").record_with(1, "nested");
    METHODS.with(Method::Put).record_with(8, "method");
    let kept = ROUTES.histogram("/").recorded_exemplars();
    assert_eq!(traces(&kept), [(100.0, "route")]);
    assert_eq!(ROUTES.map("nested").histogram("a").recorded_exemplars().len(), 1);
    assert_eq!(METHODS.with(Method::Put).recorded_exemplars().len(), 1);
    assert_eq!(METHODS.with(Method::Get).recorded_exemplars().len(), 0);
    assert_eq!(ROUTES.histogram("/").snapshot().bounds(), [100.0]);
    let map = Map::new().exemplars().buckets(&[3.0]);
    map.histogram_with("own", || Histogram::new().buckets(&[5.0])).record(1);
    assert_eq!(map.histogram("own").snapshot().bounds(), [5.0], "its own go first");
}

#[test]
fn a_walk_sees_them_and_when_a_name_was_registered() {
    #[derive(Default)]
    struct Seen {
        name: String,
        registered: Vec<(String, u64)>,
        exemplars: Vec<(String, Vec<Exemplar>)>,
    }
    impl Visitor for Seen {
        fn enter(&mut self, step: Step<'_>, _: &Info) {
            self.name = step.to_string();
        }
        fn registered(&mut self, unix_nanos: u64) {
            self.registered.push((self.name.clone(), unix_nanos));
        }
        fn leave(&mut self) {}
        fn histogram(&mut self, histogram: Recorded<'_>) {
            self.exemplars.push((self.name.clone(), histogram.exemplars()));
        }
    }
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let start = now();
    let registry = Registry::new();
    let map = registry.publish("map", Map::new()).unwrap();
    let between = now();
    map.set("key", Histogram::new().exemplars()).record_with(3, "t");
    let mut seen = Seen::default();
    registry.visit(&mut seen);
    assert_eq!(traces(&seen.exemplars[0].1), [(3.0, "t")]);
    let [(map, first), (key, second)] = &seen.registered[..] else { panic!("two names") };
    assert_eq!((map.as_str(), key.as_str()), ("map", "key"));
    assert!(start <= *first && *first <= between && between <= *second && *second <= now());

    let mut seen = Seen::default();
    expvar::global().visit_where(|name| name == "exemplars.plain", &mut seen);
    let started = seen.registered[0].1;
    assert!(started <= start, "a static is there from the start of the process");
    assert!(started + 600_000_000_000 > start, "which was minutes ago at most");
    #[cfg(all(feature = "process", target_os = "linux"))]
    {
        let told = expvar::process::read().start_time_seconds.unwrap();
        assert!((started as f64 / 1e9 - told).abs() < 0.1, "{started} and {told}");
    }
}

#[test]
fn a_hook_gives_the_current_trace_to_those_that_are_declared() {
    testing::alone(|| {
        thread_local! {
            static TRACE: RefCell<Option<String>> = const { RefCell::new(None) };
            static ASKED: RefCell<u32> = const { RefCell::new(0) };
        }
        let is_set = set_trace_hook(|give| {
            ASKED.with_borrow_mut(|asked| *asked += 1);
            TRACE.with_borrow(|trace| trace.iter().for_each(|trace| give(trace)));
        });
        assert!(is_set && !set_trace_hook(|_| {}), "it is set once");
        PLAIN.record(1);
        assert_eq!(ASKED.take(), 0, "others do not ask");
        LATENCY.record(1);
        assert_eq!(LATENCY.recorded_exemplars(), [], "there is no trace");
        TRACE.set(Some("current".into()));
        LATENCY.record(2);
        LATENCY.record_duration(Duration::from_millis(30));
        drop(LATENCY.start());
        LATENCY.record_with(500, "given");
        let kept = LATENCY.recorded_exemplars();
        let expected = [(0.0, "current"), (2.0, "current"), (30.0, "current"), (500.0, "given")];
        assert_eq!(traces(&kept), expected);
    });
}

#[test]
fn threads_record_and_none_is_lost() {
    let histogram = Histogram::new().exemplars().buckets(&[500.0, 501.0]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for value in 0..20_000u64 {
                    histogram.record_with(value % 1000, "trace");
                }
            });
        }
    });
    let seen = histogram.snapshot();
    assert_eq!((seen.count(), seen.sum()), (80_000, 80 * 499_500));
    assert_eq!((seen.at_most(500.0), seen.at_most(501.0)), (80 * 501, 80 * 502));
    assert_eq!(seen.quantile(0.0), 0);
    assert!(histogram.recorded_exemplars().iter().all(|one| one.trace_id() == Some("trace")));
}

#[test]
fn counts_at_a_declared_bound_are_exact() {
    for value in [99, 100, 101, 250, 251] {
        SIZES.record_float(f64::from(value));
    }
    SIZES.record_float(-1.0);
    assert_eq!(SIZES.snapshot().at_most(100.0), 3);
    for bits in [1, 4, 8] {
        let bounds = &[0.0, 1.0, 7.5, 100.0, 1e6, 1e6 + 1.0, 1e19, 1e30];
        let histogram = Histogram::with_precision(bits).buckets(bounds);
        let values = [0, 1, 2, 7, 8, 99, 100, 101, 999_999, 1_000_000, 1_000_001, 1_000_002];
        for value in values.into_iter().chain([10_u64.pow(19), u64::MAX]) {
            histogram.record(value);
        }
        let seen = histogram.snapshot();
        assert_eq!(seen.bounds(), bounds);
        let counts: Vec<u64> = bounds.iter().map(|&bound| seen.at_most(bound)).collect();
        assert_eq!(counts, [1, 2, 4, 7, 10, 11, 13, 14], "{bits} bits");
    }
    let floats = Histogram::floats().buckets(&[0.0, 1e-10, 0.1]);
    for value in [-1.0, 0.0, 1e-11, 1e-10, 2e-10, 0.1, 0.1000001] {
        floats.record_float(value);
    }
    let seen = floats.snapshot();
    assert_eq!([0.0, 1e-10, 0.1].map(|bound| seen.at_most(bound)), [2, 4, 6]);
    assert_eq!(seen.since(&seen).at_most(0.1), 0);
}

#[test]
fn bounds_that_make_no_sense_are_left_out() {
    let histogram = Histogram::new().buckets(&[5.0, 5.0, f64::NAN, -1.0, 3.0, f64::INFINITY, 9.0]);
    histogram.record(6);
    assert_eq!(histogram.snapshot().bounds(), [5.0, 9.0]);
}

mod twice {
    expvar::vars! {
        pub(super) static FIRST: Histogram = "exemplars.twice", buckets: [10], exemplars: true;
    }
    pub(super) mod other {
        expvar::vars! {
            pub(crate) static SECOND: Histogram = "exemplars.twice", buckets: [10], exemplars: true;
            pub(crate) static OTHER: Histogram = "exemplars.twice", buckets: [11];
        }
    }
}

#[test]
fn statics_of_one_name_share_what_they_keep() {
    testing::alone(|| {
        use twice::FIRST;
        use twice::other::{OTHER, SECOND};
        // Before and after the registry joins them.
        SECOND.record_with(10, "early");
        FIRST.record(11);
        let shown = expvar::global().get("exemplars.twice").unwrap();
        SECOND.record_with(200, "late");
        OTHER.record(5);
        let histogram = shown.as_histogram().unwrap();
        assert_eq!((histogram.snapshot().count(), histogram.snapshot().at_most(10.0)), (3, 1));
        assert_eq!(SECOND.snapshot(), FIRST.snapshot());
        assert_eq!(traces(&SECOND.recorded_exemplars()), [(200.0, "late")]);
        let clashes = expvar::global().get("expvar.clashes").unwrap().to_string();
        assert!(clashes.contains("exemplars.twice"), "{clashes}");
    });
}
