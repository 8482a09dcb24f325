//! The process has one recorder: the first is the global registry's, a second is an error.

#![forbid(unsafe_code)]

#[test]
fn the_global_registry_gets_what_libraries_record_and_a_second_recorder_is_refused() {
    expvar_metrics::install().unwrap();
    metrics::describe_counter!("jobs", metrics::Unit::Count, "Jobs done.");
    metrics::counter!("jobs").increment(3);
    assert_eq!(expvar::global().get("jobs").unwrap().to_string(), "3");
    assert_eq!(expvar::global().info("jobs").unwrap().get_help(), "Jobs done.");

    let error = expvar_metrics::install().unwrap_err();
    assert!(error.to_string().contains("has a `metrics` recorder already"), "{error}");
    metrics::counter!("jobs").increment(1);
    assert_eq!(expvar::global().get("jobs").unwrap().to_string(), "4", "the first one stays");
}
