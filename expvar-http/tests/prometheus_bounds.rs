//! What cannot be shown is named up to a bound. Alone in its process, whose record it fills.

#![forbid(unsafe_code)]

use expvar::{Gauge, Registry, Var};
use expvar_http::{Format, Prometheus};

#[test]
fn a_thousand_clashes_are_counted_and_a_hundred_named() {
    let registry = Registry::new();
    for n in 0..1000 {
        registry.publish(&format!("v.{n}"), Gauge::new()).unwrap();
        registry.publish(&format!("v_{n}"), Gauge::new()).unwrap();
    }
    let text = Prometheus::new().to_text(&registry, Format::Text);
    assert_eq!(text.matches("expvar_prometheus_left_out{").count(), 101);
    assert!(text.ends_with("{variable=\"(other)\",reason=\"too many to name\"} 900\n"));
    let Some(Var::Map(shown)) = expvar::global().get("expvar.prometheus") else { panic!() };
    assert_eq!(shown.len(), 100);
}
