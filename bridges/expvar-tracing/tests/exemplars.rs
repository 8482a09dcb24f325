//! Histograms show the traces that spans say they belong to.

#![forbid(unsafe_code)]

use expvar::{Histogram, Registry};
use expvar_tracing::Layer;
use tracing::field::Empty;
use tracing::span::{Attributes, Id};
use tracing::subscriber::with_default;
use tracing::{Subscriber, info_span};
use tracing_subscriber::layer::Context;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

/// A layer, and a histogram that has asked for the current trace once.
fn asked() -> (Layer, Histogram) {
    let layer = Layer::publish(&Registry::new(), "log").unwrap();
    let histogram = Histogram::new().exemplars();
    histogram.record(0);
    (layer, histogram)
}

/// Values with the labels of their traces.
fn kept(histogram: &Histogram) -> Vec<(f64, String)> {
    let labels = |exemplar: &expvar::Exemplar| {
        exemplar.labels().map(|(name, value)| format!("{name}={value} ")).collect::<String>()
    };
    let all = histogram.recorded_exemplars();
    all.iter().map(|exemplar| (exemplar.value(), labels(exemplar).trim_end().to_owned())).collect()
}

fn seen(value: u32, labels: &str) -> (f64, String) {
    (f64::from(value), labels.to_owned())
}

#[test]
fn the_innermost_span_with_a_trace_is_shown() {
    let (layer, histogram) = asked();
    with_default(tracing_subscriber::registry().with(layer), || {
        histogram.record(1);
        let request = info_span!("request", trace_id = "t1", span_id = 7);
        request.in_scope(|| {
            histogram.record(2);
            info_span!("query", table = "users").in_scope(|| histogram.record(4));
            info_span!("call", trace_id = "t2").in_scope(|| histogram.record(8));
            histogram.record_with(16, "given");
        });
        histogram.record(32);
        request.in_scope(|| histogram.record(64));
    });
    assert_eq!(
        kept(&histogram),
        [
            seen(2, "trace_id=t1 span_id=7"),
            seen(4, "trace_id=t1 span_id=7"),
            seen(8, "trace_id=t2"),
            seen(16, "trace_id=given"),
            seen(64, "trace_id=t1 span_id=7"),
        ]
    );
}

#[test]
fn a_trace_that_is_known_later_is_shown_from_then_on() {
    let (layer, histogram) = asked();
    with_default(tracing_subscriber::registry().with(layer), || {
        let request = info_span!("request", trace_id = Empty);
        request.in_scope(|| histogram.record(1));
        request.record("trace_id", tracing::field::display("t3"));
        request.in_scope(|| {
            histogram.record(2);
            request.record("trace_id", "t4");
            request.in_scope(|| histogram.record(4));
        });
    });
    assert_eq!(kept(&histogram), [seen(2, "trace_id=t3"), seen(4, "trace_id=t4")]);
}

#[test]
fn each_thread_has_its_own_trace() {
    let (layer, histogram) = asked();
    with_default(tracing_subscriber::registry().with(layer), || {
        info_span!("request", trace_id = "here").in_scope(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| histogram.record(1));
            });
            histogram.record(2);
        });
    });
    assert_eq!(kept(&histogram), [seen(2, "trace_id=here")]);
}

/// What OpenTelemetry's layer does: it keeps a trace id of its own with each span.
struct Other;
struct OtherId(u32);

impl<S: Subscriber + for<'s> LookupSpan<'s>> tracing_subscriber::Layer<S> for Other {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() == "request" {
            context.span(id).unwrap().extensions_mut().insert(OtherId(0xabc));
        }
    }
}

#[test]
fn another_layer_s_trace_ids_are_found() {
    let (layer, histogram) = asked();
    let layer =
        layer.trace_ids(|extensions| Some(format!("{:08x}", extensions.get::<OtherId>()?.0)));
    with_default(tracing_subscriber::registry().with(Other).with(layer), || {
        info_span!("request").in_scope(|| {
            info_span!("query").in_scope(|| histogram.record(1));
        });
        info_span!("elsewhere").in_scope(|| histogram.record(2));
    });
    assert_eq!(kept(&histogram), [seen(1, "trace_id=00000abc")]);
}
