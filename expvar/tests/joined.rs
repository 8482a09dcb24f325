//! What statics of one name recorded before anybody looked is in the variable that they share.

#![forbid(unsafe_code)]

mod other {
    expvar::vars! {
        pub static COUNT: Counter = "joined.count";
        pub static ADDED: Gauge = "joined.added";
        pub static SET: Gauge = "joined.set";
        pub static FLOAT: FloatGauge = "joined.float";
        pub static TEXT: Text = "joined.text";
        pub static MAP: Map = "joined.map";
        pub static SIZES: Histogram = "joined.sizes";
        pub static TIMES: Histogram = "joined.times", init: Histogram::floats();
    }
}

expvar::vars! {
    static COUNT: Counter = "joined.count";
    static ADDED: Gauge = "joined.added";
    static SET: Gauge = "joined.set";
    static FLOAT: FloatGauge = "joined.float";
    static TEXT: Text = "joined.text";
    static MAP: Map = "joined.map";
    static SIZES: Histogram = "joined.sizes";
    static TIMES: Histogram = "joined.times", init: Histogram::floats();
}

// One test: what is early is so for the whole process.
#[test]
fn nothing_that_was_recorded_early_is_lost() {
    COUNT.add(3);
    other::COUNT.add(4);
    ADDED.add(5);
    other::ADDED.sub(7);
    SET.set(11);
    other::SET.add(100);
    FLOAT.add(0.5);
    other::FLOAT.add(0.25);
    TEXT.set("early");
    MAP.add("both", 1);
    MAP.add("here", 2);
    other::MAP.add("both", 10);
    other::MAP.add("there", 20);
    for n in 1..=100 {
        SIZES.record(n);
        TIMES.record_float(n as f64 / 8.0);
    }
    other::SIZES.record(1000);
    other::TIMES.record_float(0.125);
    // Another thread has cells of its own, and holds them while it lives.
    let (recorded, has_recorded) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let record = || {
            (0..10_000).for_each(|_| COUNT.inc());
            MAP.add("both", 100);
            SIZES.record(5);
        };
        record();
        recorded.send(()).unwrap();
        may_go_on.recv().unwrap();
        record();
    });
    has_recorded.recv().unwrap();

    let shown = |name: &str| expvar::global().get(name).unwrap().to_string();
    assert_eq!(shown("joined.count"), "10007");
    assert_eq!((COUNT.get(), other::COUNT.get()), (10_007, 10_007));
    assert_eq!((shown("joined.added"), ADDED.get()), ("-2".into(), -2));
    assert_eq!((shown("joined.set"), other::SET.get()), ("11".into(), 11));
    assert_eq!(shown("joined.float"), "0.75");
    assert_eq!(shown("joined.text"), "\"early\"");
    assert_eq!(shown("joined.map"), "{\"both\": 111, \"here\": 2, \"there\": 20}");
    let sizes = other::SIZES.snapshot();
    assert_eq!((sizes.count(), sizes.sum(), sizes.max()), (102, 6055, 1023));
    let times = TIMES.snapshot();
    assert_eq!((times.count(), times.sum_float()), (101, 5050.0 / 8.0 + 0.125));

    go_on.send(()).unwrap();
    thread.join().unwrap();
    COUNT.inc();
    other::SIZES.record(1);
    assert_eq!(shown("joined.count"), "20008");
    assert_eq!(shown("joined.map"), "{\"both\": 211, \"here\": 2, \"there\": 20}");
    assert_eq!((SIZES.snapshot().count(), SIZES.snapshot().sum()), (104, 6061));
}
