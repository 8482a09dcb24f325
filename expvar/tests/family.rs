//! Families have their variables by closed sets of labels, and show them as nested maps.

#![forbid(unsafe_code)]

use expvar::{Counter, Family, Gauge, Info, Label, LabelSet, Registry, global};

expvar::label! {
    /// Methods.
    #[derive(PartialOrd)]
    enum Method { Get = "GET", Post = "POST", Other = "other" }
    enum Status { Ok, #[allow(dead_code)] NotFound = concat!("not", "_found") }
}

expvar::vars! {
    /// Requests.
    static REQUESTS: Family<Counter, (Method, Status)> = "family.requests",
        labels: ["method", "status"], unit: Other("requests");
    static LATENCY: Family<Histogram, Method> = "family.latency", label: "method",
        unit: Seconds, init: Family::made_by(Histogram::floats);
    static OPEN: expvar::Family<expvar::Gauge, (bool,)> = "family.open", label: "tls";
    static UNTOUCHED: Family<FloatGauge, (Method, Status, bool)> = "family.untouched",
        labels: ["method", "status", "tls"];
}

mod elsewhere {
    expvar::vars! {
        pub(crate) static REQUESTS: Family<Counter, (super::Method, super::Status)> =
            "family.requests", labels: ["method", "status"];
    }
}

fn shown(name: &str) -> String {
    global().get(name).unwrap().to_string()
}

#[test]
fn variables_appear_at_first_use_under_their_labels() {
    assert_eq!(shown("family.untouched"), "{}");
    let _ = &UNTOUCHED;
    REQUESTS.with((Method::Get, Status::Ok)).inc();
    REQUESTS.with((Method::Get, Status::Ok)).add(2);
    REQUESTS.with((Method::Other, Status::NotFound)).add(0);
    // A static of the same name is the same family.
    elsewhere::REQUESTS.with((Method::Get, Status::Ok)).inc();
    elsewhere::REQUESTS.with((Method::Post, Status::Ok)).inc();
    REQUESTS.with((Method::Post, Status::Ok)).inc();
    assert_eq!(
        shown("family.requests"),
        "{\"GET\": {\"Ok\": 4}, \"POST\": {\"Ok\": 2}, \"other\": {\"not_found\": 0}}"
    );
    let info = global().info("family.requests").unwrap();
    assert_eq!(info.get_labels(), ["method", "status"]);

    LATENCY.with(Method::Post).record_float(0.25);
    assert!(shown("family.latency").starts_with("{\"POST\": {\"count\":1,\"sum\":0.25,"));
    OPEN.with((true,)).inc();
    OPEN.with((false,)).set(-3);
    assert_eq!(shown("family.open"), "{\"false\": -3, \"true\": 1}");
}

#[test]
fn labels_are_shown_by_their_values_and_found_by_them() {
    assert_eq!(Method::Get.to_string(), "GET");
    assert_eq!(Method::from_value("POST"), Some(Method::Post));
    assert_eq!(Method::from_value("PATCH").unwrap_or(Method::Other), Method::Other);
    assert_eq!(bool::from_value("true"), Some(true));
    assert!(Method::Get < Method::Post);
    // Every set has an index of its own.
    let mut seen = [false; <(Method, Status, bool)>::LEN];
    for &method in Method::ALL {
        for &status in Status::ALL {
            for &tls in bool::ALL {
                let set = (method, status, tls);
                assert!(!std::mem::replace(&mut seen[set.index()], true));
                assert_eq!(
                    [set.value(0), set.value(1), set.value(2)],
                    [method.as_str(), status.as_str(), tls.as_str()]
                );
            }
        }
    }
    assert!(seen.iter().all(|seen| *seen));
}

#[test]
fn families_are_published_at_run_time_too() {
    let registry = Registry::new();
    let family = Family::<Gauge, Method>::new();
    family.with(Method::Get).set(1);
    let info = Info::new().label("method");
    let family = registry.publish_with("open", family, info).unwrap();
    family.with(Method::Post).set(2);
    family.with(Method::Get).add(4);
    assert_eq!(registry.to_json(), "{\n\"open\": {\"GET\": 5, \"POST\": 2}\n}\n");
    assert_eq!(
        format!("{family:?}"),
        "Family({\"GET\": Gauge(Gauge(5)), \"POST\": Gauge(Gauge(2))})"
    );
    let error = registry.get_or_publish("open", Counter::new()).unwrap_err();
    assert!(error.to_string().contains("is taken by a map"));
}

#[test]
fn threads_that_begin_at_once_make_each_variable_once() {
    let family = Family::<Counter, (Method, Status)>::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for &method in Method::ALL {
                    for &status in Status::ALL {
                        for _ in 0..100 {
                            family.with((method, status)).inc();
                        }
                    }
                }
            });
        }
    });
    for &method in Method::ALL {
        for &status in Status::ALL {
            assert_eq!(family.with((method, status)).get(), 400);
        }
    }
}
