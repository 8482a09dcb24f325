//! Counts [`tracing`](https://docs.rs/tracing) events and times spans, as [`expvar`] variables.
//!
//! ```
//! use tracing_subscriber::prelude::*;
//!
//! let subscriber = tracing_subscriber::registry().with(expvar_tracing::layer());
//! // In `main`: subscriber.init();
//! tracing::subscriber::with_default(subscriber, || {
//!     tracing::error!(target: "shop::cart", "no such item");
//! });
//! let events = expvar::global().get("tracing.events").unwrap();
//! assert_eq!(events.to_string(), r#"{"ERROR": {"shop::cart": 1}}"#);
//! ```
//!
//! | variable | what | Prometheus |
//! |---|---|---|
//! | `tracing.events` | events, by level and target | `tracing_events_total{level="ERROR",target="shop::cart"}` |
//! | `tracing.spans` | nanoseconds from a span's start to its end, by name | `tracing_spans_seconds{span="checkout"}` |
//!
//! The layer's filter determines which events count: give it its own (`Layer::with_filter`) to
//! count others than are printed. Each map has up to 1,000 entries; further ones are counted as
//! `(other)`. The default target is the module, so targets and levels are bounded in most programs.
//! Counting an event that the same thread has counted before does not allocate.
//!
//! # Exemplars
//! Histograms declared with exemplars get the thread's current trace: the field `trace_id` of the
//! innermost span that has one, and its `span_id`. For trace ids that another layer stores, such as
//! OpenTelemetry's, see [`Layer::trace_ids`]. Spans cost nothing more until such a histogram
//! records.
//!
//! ```
//! use tracing_subscriber::prelude::*;
//!
//! expvar::vars! {
//!     static LATENCY: Histogram = "latency", unit: Nanoseconds, exemplars: true;
//! }
//! let subscriber = tracing_subscriber::registry().with(expvar_tracing::layer());
//! tracing::subscriber::with_default(subscriber, || {
//!     LATENCY.record(1_000);
//!     tracing::info_span!("request", trace_id = "4bf92f3577b34da6a3ce929d0e0e4736").in_scope(|| {
//!         LATENCY.record(2_000);
//!     });
//! });
//! assert_eq!(LATENCY.recorded_exemplars()[0].value(), 2_000.0);
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use expvar::{Histogram, Info, Map, PublishError, Registry, Unit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{Extensions, LookupSpan};

mod trace;

use trace::Trace;

/// The most entries of each map.
const LIMIT: usize = 1000;

/// Returns the layer of the [`global`](expvar::global()) registry, under `tracing`.
///
/// All calls share their variables. If a name is taken by another kind of variable, nothing is
/// shown, and the variable `expvar.clashes` says so; [`Layer::publish`] returns that as an error.
#[must_use]
pub fn layer() -> Layer {
    static LAYER: OnceLock<Layer> = OnceLock::new();
    let publish = || {
        Layer::publish(expvar::global(), "tracing").unwrap_or_else(|error| {
            expvar::__private::report_conflict(error.name(), error.to_string());
            Layer { events: Arc::new(map()), spans: Arc::new(map()), trace_ids: None }
        })
    };
    LAYER.get_or_init(publish).clone()
}

/// A `tracing_subscriber::Layer` that counts events and times spans.
///
/// ```
/// use tracing_subscriber::prelude::*;
///
/// let subscriber = tracing_subscriber::registry().with(expvar_tracing::layer());
/// tracing::subscriber::with_default(subscriber, || tracing::error!("no space left"));
/// ```
#[derive(Clone)]
pub struct Layer {
    events: Arc<Map>,
    spans: Arc<Map>,
    trace_ids: Option<TraceIds>,
}

/// Finds a trace id in another layer's extensions of a span.
type TraceIds = Arc<dyn Fn(&Extensions<'_>) -> Option<String> + Send + Sync>;

impl Layer {
    /// Creates a layer whose variables are under `prefix` in `registry`; layers with the same
    /// arguments share them.
    ///
    /// # Errors
    /// A name is taken by something that is not a map.
    pub fn publish(registry: &Registry, prefix: &str) -> Result<Self, PublishError> {
        trace::set_hook();
        let events = Info::new().help("Events.").labels(["level", "target"]).counter();
        let spans = Info::new().help("Time from a span's start to its end.").label("span");
        let name = |name| format!("{prefix}.{name}");
        Ok(Self {
            events: registry.get_or_publish_with(&name("events"), map(), events)?,
            spans: registry.get_or_publish_with(
                &name("spans"),
                map(),
                spans.unit(Unit::Nanoseconds),
            )?,
            trace_ids: None,
        })
    }

    /// Sets a function that finds the exemplars' trace id in what another layer stores in a span,
    /// for spans without a field `trace_id`. From the first recording into a histogram with
    /// exemplars on, `find` runs when a thread enters a span, for it and its parents.
    ///
    /// ```
    /// /// What another layer puts there.
    /// struct OtelData(u128);
    ///
    /// let layer = expvar_tracing::layer()
    ///     .trace_ids(|extensions| Some(format!("{:032x}", extensions.get::<OtelData>()?.0)));
    /// # drop(layer);
    /// ```
    #[must_use]
    pub fn trace_ids(
        mut self,
        find: impl Fn(&Extensions<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.trace_ids = Some(Arc::new(find));
        self
    }
}

impl Layer {
    /// Distinguishes layers that record elsewhere.
    fn id(&self) -> usize {
        Arc::as_ptr(&self.spans).addr()
    }
}

fn map() -> Map {
    Map::with_limit(LIMIT)
}

/// The time of a span in one layer. A subscriber may have several.
struct Running {
    /// [`Layer::id`].
    layer: usize,
    start: Instant,
    time: Arc<Histogram>,
}

impl<S> tracing_subscriber::Layer<S> for Layer
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        self.events.add_at([metadata.level().as_str(), metadata.target()], 1);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            if Trace::is_in(attributes.metadata().fields()) {
                let mut trace = Trace::default();
                attributes.record(&mut trace);
                span.extensions_mut().replace(trace);
            }
            let time = self.spans.histogram(attributes.metadata().name());
            let running = Running { layer: self.id(), start: Instant::now(), time };
            let mut extensions = span.extensions_mut();
            match extensions.get_mut::<Vec<Running>>() {
                Some(all) => all.push(running),
                None => extensions.insert(vec![running]),
            }
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if Trace::is_in(span.metadata().fields()) {
            let mut extensions = span.extensions_mut();
            if let Some(trace) = extensions.get_mut::<Trace>() {
                values.record(trace);
                trace::update(id, trace);
            }
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        trace::enter(id, || {
            let mut around = context.span(id)?.scope();
            around.find_map(|span| {
                let extensions = span.extensions();
                let own = extensions.get::<Trace>().filter(|trace| trace.is_known()).cloned();
                own.or_else(|| Some(Trace::of(self.trace_ids.as_ref()?(&extensions)?)))
            })
        });
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        trace::exit(id);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(all) = extensions.get_mut::<Vec<Running>>() else { return };
        let ours = all.iter().position(|running| running.layer == self.id());
        if let Some(Running { start, time, .. }) = ours.map(|at| all.swap_remove(at)) {
            drop(extensions);
            time.record_duration(start.elapsed());
        }
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").finish_non_exhaustive()
    }
}
