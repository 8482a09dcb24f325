//! A recorder for the [`metrics`] crate that shows what libraries record as [`expvar`] variables.
//!
//! ```
//! let registry = expvar::Registry::new();
//! let recorder = expvar_metrics::Recorder::new(&registry);
//! // In `main`: expvar_metrics::install()?;
//! metrics::with_local_recorder(&recorder, || {
//!     metrics::counter!("jobs", "queue" => "mail").increment(2);
//! });
//! assert_eq!(registry.to_json(), "{\n\"jobs\": {\"mail\": 2}\n}\n");
//! ```
//!
//! - A metric without labels is a variable of the same name: a counter is a
//!   [`Counter`](expvar::Counter), a gauge a [`FloatGauge`](expvar::FloatGauge), a histogram one
//!   [of fractions](expvar::Histogram::floats). An existing variable of that name and kind is used.
//!   A histogram declared in a unit of time converts recorded values to it, from seconds or from
//!   the described unit of time; other units that differ are a conflict.
//! - Labels make it a [`Map`](expvar::Map) of maps, one level for each label in the order of first
//!   use; a missing label is the key `""`. The variable's [`Info`](expvar::Info) has the label
//!   names, so that Prometheus shows them.
//! - Descriptions and units become the variable's [`Info`](expvar::Info), whether they come before
//!   or after the first recording.
//! - A handle records into the variable's own cells. `counter!` and its siblings look it up in a
//!   thread-local cache of up to 4,096 metrics, without a lock.
//! - Any number of threads can make, describe and read metrics at once: they get the same variables,
//!   and no lock is held while the program's code runs.
//! - Limits: 10,000 names, and 10,000 label sets for each name ([`Recorder::label_sets`]; 1,000 for
//!   histograms, whose sets take 12 KiB a thread) of up to 8 labels of at most 1 KiB. Further sets
//!   are recorded as `(other)`, further names are dropped; `expvar.overflows` counts both.
//! - A name used for two kinds is the first one's; the other records nothing, and `expvar.clashes`
//!   names both. So it does for invalid names.
//!
//! By default nothing expires: a metric that is no longer recorded keeps its last value.
//! [`Recorder::idle_timeout`] removes idle ones. A name that the program removes from the registry
//! comes back at zero with the next `counter!`. Recorders of one registry share their metrics.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use expvar::__private::count_overflow;
use expvar::{Kind, Registry};
use metrics::{Key, KeyName, Metadata, SharedString};

mod cache;
mod descriptions;
mod families;
mod family;
mod foreign;
mod handles;
mod scale;
mod set;

use families::Families;
use handles::{Idle, Recorded};

/// Installs a recorder into the [`global`](expvar::global()) registry for everything that this
/// process records through `metrics`.
///
/// # Errors
/// Another recorder is already installed.
#[doc(alias("install_recorder", "set_global_recorder"))]
pub fn install() -> Result<(), InstallError> {
    Recorder::new(expvar::global()).install()
}

/// A `metrics` recorder that records into a [`Registry`].
///
/// ```
/// let registry = expvar::Registry::new();
/// let recorder = expvar_metrics::Recorder::new(&registry).label_sets(100);
/// metrics::with_local_recorder(&recorder, || metrics::counter!("jobs").increment(1));
/// assert_eq!(registry.get("jobs").unwrap().to_string(), "1");
/// ```
#[derive(Clone)]
pub struct Recorder {
    /// Distinguishes recorders in thread caches.
    id: u64,
    families: Arc<Families>,
}

impl Recorder {
    /// Creates a recorder into `registry`.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Relaxed);
        Self { id, families: Arc::new(Families::new(registry.clone(), id)) }
    }

    /// Sets the maximum number of label sets of each counter and gauge; a histogram has a tenth of
    /// that.
    #[must_use]
    pub fn label_sets(mut self, sets: usize) -> Self {
        Arc::make_mut(&mut self.families).limit_sets(sets);
        self
    }

    /// Makes the histograms of a name count exactly at these upper bounds, in the recorded unit, for
    /// every label set. See [`Histogram::buckets`](expvar::Histogram::buckets). Bounds known only at
    /// run time can be leaked: `Box::leak`.
    ///
    /// ```
    /// let registry = expvar::Registry::new();
    /// let recorder = expvar_metrics::Recorder::new(&registry).buckets("took", &[0.1, 0.25]);
    /// metrics::with_local_recorder(&recorder, || {
    ///     metrics::histogram!("took", "route" => "/").record(0.1);
    ///     metrics::histogram!("took", "route" => "/").record(0.101);
    /// });
    /// let took = registry.get("took").unwrap().as_map().unwrap().histogram("/");
    /// assert_eq!(took.snapshot().at_most(0.1), 1);
    /// ```
    #[doc(alias("set_buckets", "set_buckets_for_metric"))]
    #[must_use]
    pub fn buckets(mut self, name: impl Into<String>, bounds: &'static [f64]) -> Self {
        Arc::make_mut(&mut self.families).set_buckets(name.into(), bounds);
        self
    }

    /// Removes label sets that were idle for this long, as with pods and users that come and go;
    /// they make room for others. A set that returns starts at zero, also through an existing
    /// handle. A gauge set to its current value counts as idle.
    ///
    /// A thread checks every eighth of the time, but at least every second, until the recorder is
    /// dropped.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        Arc::make_mut(&mut self.families).expire_after(timeout);
        let (registry, recorder) = (self.families.registry().clone(), self.id);
        let lifetime = Arc::downgrade(self.families.lifetime());
        let every = (timeout / 8).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let sweep = move || {
            while lifetime.strong_count() > 0 {
                families::expire(&registry, recorder, Instant::now());
                thread::sleep(every);
            }
        };
        // Without a thread nothing expires; there is no way to report it here.
        let _ = thread::Builder::new().name("expvar-metrics".into()).spawn(sweep);
        self
    }

    /// Runs one check of [`idle_timeout`](Self::idle_timeout) as if at that time.
    #[doc(hidden)]
    pub fn expire_at(&self, now: Instant) {
        families::expire(self.families.registry(), self.id, now);
    }

    /// Installs this as the recorder of the process.
    ///
    /// # Errors
    /// Another recorder is already installed.
    pub fn install(self) -> Result<(), InstallError> {
        metrics::set_global_recorder(self).map_err(|_| InstallError(()))
    }

    #[inline]
    pub(crate) fn register(&self, kind: Kind, key: &Key) -> Recorded {
        match cache::get(self.id, kind, key) {
            Some(known) => known,
            None => self.register_cold(kind, key),
        }
    }

    #[cold]
    #[inline(never)]
    fn register_cold(&self, kind: Kind, key: &Key) -> Recorded {
        let found = self.families.find_or_make(kind, key);
        let idle = found.live.clone().filter(|_| found.expires);
        let idle = idle.map(|live| Idle { live, recorder: self.clone(), key: key.clone() });
        let recorded = match &found.scaled {
            Some(scaled) => Recorded::Histogram(metrics::Histogram::from_arc(Arc::clone(scaled))),
            None => Recorded::new(found.var.as_ref(), idle),
        };
        // An overflow is not cached, so that each one counts.
        if found.overflowed {
            count_overflow();
        } else {
            cache::put(self.id, kind, key, recorded.clone(), found.live);
        }
        recorded
    }

    fn describe(&self, name: &KeyName, unit: Option<metrics::Unit>, help: &SharedString) {
        self.families.describe(name.as_str(), unit, help);
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, unit: Option<metrics::Unit>, help: SharedString) {
        self.describe(&name, unit, &help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<metrics::Unit>, help: SharedString) {
        self.describe(&name, unit, &help);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<metrics::Unit>, help: SharedString) {
        self.describe(&name, unit, &help);
    }

    #[inline]
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> metrics::Counter {
        match self.register(Kind::Counter, key) {
            Recorded::Counter(counter) => counter,
            _ => metrics::Counter::noop(),
        }
    }

    #[inline]
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> metrics::Gauge {
        match self.register(Kind::FloatGauge, key) {
            Recorded::Gauge(gauge) => gauge,
            _ => metrics::Gauge::noop(),
        }
    }

    #[inline]
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        match self.register(Kind::Histogram, key) {
            Recorded::Histogram(histogram) => histogram,
            _ => metrics::Histogram::noop(),
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The process already has a `metrics` recorder.
///
/// ```standalone_crate
/// expvar_metrics::install().unwrap();
/// let error: expvar_metrics::InstallError = expvar_metrics::install().unwrap_err();
/// println!("{error}");
/// ```
#[derive(Debug)]
pub struct InstallError(());

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this process has a `metrics` recorder already: install only one, or give both to \
             metrics_util::layers::Fanout and install that (`expvar_metrics::Recorder` is one)",
        )
    }
}

impl std::error::Error for InstallError {}
