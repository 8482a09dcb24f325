//! The current trace of a thread, for histograms' exemplars.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use tracing_core::Field;
use tracing_core::field::{FieldSet, Visit};
use tracing_core::span::Id;

/// Whether a histogram with exemplars has recorded. Before, entering a span costs nothing more.
static IS_ASKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The entered spans that have a trace.
    static ENTERED: RefCell<Vec<(Id, Trace)>> = const { RefCell::new(Vec::new()) };
}

/// The trace of a span.
#[derive(Clone, Default)]
pub(crate) struct Trace {
    trace_id: Option<Arc<str>>,
    span_id: Option<Arc<str>>,
}

impl Trace {
    /// Whether spans with these fields may have a trace.
    pub(crate) fn is_in(fields: &FieldSet) -> bool {
        fields.field("trace_id").is_some()
    }

    pub(crate) fn of(trace_id: String) -> Self {
        Self { trace_id: Some(trace_id.into()), span_id: None }
    }

    pub(crate) fn is_known(&self) -> bool {
        self.trace_id.is_some()
    }
}

impl Visit for Trace {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "trace_id" => self.trace_id = Some(value.into()),
            "span_id" => self.span_id = Some(value.into()),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if matches!(field.name(), "trace_id" | "span_id") {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

/// Sets the trace hook, unless the program has one.
pub(crate) fn set_hook() {
    expvar::set_trace_hook(|give| {
        IS_ASKED.store(true, Relaxed);
        // `None` in a thread that ends.
        let _ = ENTERED.try_with(|entered| {
            let Ok(entered) = entered.try_borrow() else { return };
            let Some((_, trace)) = entered.last() else { return };
            match (&trace.trace_id, &trace.span_id) {
                (Some(trace_id), Some(span_id)) => {
                    give(&[("trace_id", &**trace_id), ("span_id", &**span_id)]);
                }
                (Some(trace_id), None) => give(&&**trace_id),
                (None, _) => {}
            }
        });
    });
}

/// Pushes an entered span, if `find` finds its trace.
pub(crate) fn enter(id: &Id, find: impl FnOnce() -> Option<Trace>) {
    if IS_ASKED.load(Relaxed)
        && let Some(trace) = find()
    {
        let _ = ENTERED.try_with(|entered| entered.borrow_mut().push((id.clone(), trace)));
    }
}

/// Pops a span.
pub(crate) fn exit(id: &Id) {
    if !IS_ASKED.load(Relaxed) {
        return;
    }
    let _ = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        if let Some(at) = entered.iter().rposition(|(entered, _)| entered == id) {
            entered.remove(at);
        }
    });
}

/// Updates the trace of an entered span.
pub(crate) fn update(id: &Id, trace: &Trace) {
    let _ = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        let same = entered.iter_mut().filter(|(entered, _)| entered == id);
        same.for_each(|(_, known)| known.clone_from(trace));
    });
}
