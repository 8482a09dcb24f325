//! Variables in Prometheus text, OpenMetrics and Prometheus' protobuf, from the same walk as the JSON.

use std::collections::BTreeMap;

use expvar::Registry;

mod cache;
mod distribution;
mod escaping;
mod exposition;
mod families;
mod ladder;
mod left_out;
mod mapping;
mod media_type;
mod names;
mod native;
mod plan;
mod protobuf;
mod samples;
mod taken;

use cache::{Cache, Known};
pub use escaping::Escaping;
use exposition::Exposition;
pub use mapping::{Mapping, MappingError};
pub use media_type::{Format, MediaType};

/// Levels of maps that become labels.
const LEVELS: usize = 8;

/// How variables become Prometheus metrics.
///
/// By itself it needs no settings: what was declared of a variable says what it becomes.
///
/// | variable | metric |
/// |---|---|
/// | counter | a counter; its name ends in `_total` |
/// | gauge, float | a gauge, or a counter where declared `counter` |
/// | histogram | a histogram with the buckets that were declared, or a fixed ladder, below; in protobuf a native one too |
/// | map | one family with a label, `key` unless declared; maps in it add `key2`, …, up to 8 levels; the empty key is no label |
/// | text | nothing; where a label was declared, an info metric: `version_info{version="1.2"} 1`. In a variable whose name ends in `_info`, texts by key are the labels of one info metric: `build_info{commit="abc",version="1.2"} 1` |
/// | function | numbers and booleans of what it returns: members join the name (`limits_files`), elements have the label `index`; where labels were declared, each level is a label and what lies deeper or shallower is left out |
/// | `process`, `memstats` | the names that dashboards know: `process_resident_memory_bytes`, `go_memstats_heap_alloc_bytes`, … |
///
/// **Names.** For a reader that takes no other: every character but ASCII letters, digits and `_` becomes `_`; a leading digit gets a
/// `_` before it. The unit follows, unless the name ends in it. Times become seconds and percent
/// becomes a ratio, values included: `latency` in nanoseconds is `latency_seconds` (a `_ns`,
/// `_nanos` or `_nanoseconds` at the end goes first). A name without any ASCII letter or digit
/// cannot be made legal. Label names follow the same rule; a leading `__` loses one, `le` becomes
/// `le_`. Other readers get names as they are, or escaped otherwise: see [`Escaping`]. Unit and ending
/// follow them all the same, so that underscores in place of what is escaped give the names of here.
///
/// A label of a name that another one of the sample has gets a `_`. So does a member that a function
/// returns and whose metric would end in `_count`, `_sum` or `_bucket`, as a histogram's parts do.
///
/// **Left out.** A variable whose name cannot be made legal, or is that of a variable before it, is
/// left out, as is a counter below zero or not a number, and a member of what a function returned
/// whose series is there already. In OpenMetrics a histogram whose sum is below zero or not a number
/// has neither sum nor count, only buckets. The family `expvar_prometheus_left_out`
/// then names variable and reason (the first 100, the rest counted as `(other)`), and so does the
/// variable `expvar.prometheus`.
///
/// **Buckets.** Bounds are powers of two, because there the histogram's own buckets end, so that
/// counts are exact. A histogram of whole numbers has the bound 2ᵏ - 1 in its own unit for k from
///
/// | unit | k | in Prometheus' unit |
/// |---|---|---|
/// | nanoseconds | 14, 15, …, 34 | 16 us to 17 s |
/// | microseconds | 4, 5, …, 24 | 16 us to 17 s |
/// | milliseconds | 0, 1, …, 16 | 0 to 66 s |
/// | seconds | 0, 1, …, 16 | 0 to 18 h |
/// | bytes | 6, 8, …, 30 | 64 B to 1 GiB |
/// | others | 0, 1, …, 20 | 0 to 1,048,575 |
///
/// and one of fractions the bound 2ᵏ for k from -16 to 4 where it is in seconds, from -6 to 14 in
/// milliseconds, 4 to 24 in microseconds, 14 to 34 in nanoseconds, 6, 8, …, 30 in bytes, -7 to 0
/// for ratios and percent, and -16, -14, …, 20 for others. `buckets:` of a declaration
/// ([`Histogram::buckets`](expvar::Histogram::buckets)) are shown in their place, and count exactly;
/// [`Mapping::buckets`] chooses others.
///
/// **Native histograms.** In protobuf histograms have schema 8 beside these buckets: a quantile is at
/// most 0.28 % further from the exact one than the histogram's own, so within 3.4 % by default. What
/// is at most 2⁻³⁰ in a histogram of fractions, and zeros of others, are in the zero bucket; there are
/// no buckets below zero, as histograms keep none.
///
/// Count and sum are those of the process's whole life.
///
/// ```
/// use expvar_http::{Format, Mapping, Prometheus};
///
/// expvar::vars! {
///     /// Requests by route.
///     static ROUTES: Map = "http.routes", label: "route", counter;
/// }
/// ROUTES.add("/login", 1);
///
/// let prometheus = Prometheus::new()
///     .map(Mapping::new("cache").family("app_cache_entries").labels(["shard"]).help("Entries."))?;
/// let text = prometheus.to_text(expvar::global(), Format::Text);
/// assert!(text.contains("http_routes_total{route=\"/login\"} 1\n"));
/// # Ok::<(), expvar_http::MappingError>(())
/// ```
#[doc(alias("TextEncoder", "PrometheusBuilder", "PrometheusHandle", "OpenMetrics"))]
#[derive(Debug, Clone, Default)]
pub struct Prometheus {
    mappings: BTreeMap<String, Mapping>,
    settings: Settings,
    cache: Cache,
}

/// What holds for all variables.
#[derive(Debug, Clone, Default)]
struct Settings {
    /// Names are exact.
    as_recorded: bool,
    constants: Vec<(String, String)>,
    /// Histograms are summaries with these.
    quantiles: Option<Vec<f64>>,
    /// OpenMetrics has `_created`.
    created: bool,
}

impl Prometheus {
    /// What was declared, and nothing else.
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows one variable as the mapping says, whatever was declared of it: for variables of
    /// libraries, and for functions. What Go's expvar collector does.
    ///
    /// A mapping to a variable that is not there when the metrics are read is named by
    /// `expvar_prometheus_left_out`.
    ///
    /// # Errors
    /// The mapping holds a name that Prometheus does not allow, buckets that do not ascend, or is
    /// the second one of its variable.
    pub fn map(mut self, mapping: Mapping) -> Result<Self, MappingError> {
        mapping.check()?;
        self.cache = Cache::default();
        let variable = mapping.variable.clone();
        match self.mappings.insert(variable.clone(), mapping) {
            None => Ok(self),
            Some(_) => Err(MappingError::twice(&variable)),
        }
    }

    /// Keeps all names as they were recorded: neither unit nor `_total` follows them. For services
    /// that showed them so before, through `metrics-exporter-prometheus` or else.
    ///
    /// What is not legal becomes `_` all the same. Values are as they were recorded too, except
    /// where the name ends in the unit that Prometheus sees: see [`Mapping::name`], which does the
    /// same for one variable.
    #[must_use]
    pub fn names_as_recorded(mut self) -> Self {
        self.cache = Cache::default();
        self.settings.as_recorded = true;
        self
    }

    /// A label that is the same for everything. A variable's own label of that name gets a `_`.
    ///
    /// # Errors
    /// The label is no legal name, or is given twice.
    #[doc(alias("add_global_label", "const_labels"))]
    pub fn constant(
        mut self,
        label: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, MappingError> {
        self.cache = Cache::default();
        self.settings.constants.push((label.into(), value.into()));
        let labels = self.settings.constants.iter().map(|(label, _)| label.as_str());
        mapping::check_labels(labels).map_err(|what| MappingError::new("", what))?;
        Ok(self)
    }

    /// Shows histograms as summaries with these quantiles, from 0 to 1 (others are taken as these),
    /// of the last 60 to 70 seconds; `NaN` where nothing was recorded then.
    ///
    /// Quantiles of several processes cannot be joined in Prometheus, buckets can.
    #[doc(alias("set_quantiles", "Summary"))]
    #[must_use]
    pub fn quantiles(mut self, quantiles: impl IntoIterator<Item = f64>) -> Self {
        self.cache = Cache::default();
        let quantiles = quantiles.into_iter().filter(|quantile| !quantile.is_nan());
        let mut quantiles: Vec<f64> = quantiles.map(|quantile| quantile.clamp(0.0, 1.0)).collect();
        quantiles.sort_by(f64::total_cmp);
        quantiles.dedup();
        self.settings.quantiles = Some(quantiles);
        self
    }

    /// Shows in OpenMetrics when counters, histograms and summaries were registered: a sample
    /// `_created` beside each, in Unix seconds. Protobuf always says so, in a field.
    ///
    /// A variable or key is registered when it gets its name; a static when the process starts. Most
    /// Prometheus servers store each `_created` as a series more, so that it is left out by default.
    #[must_use]
    pub fn created(mut self) -> Self {
        self.cache = Cache::default();
        self.settings.created = true;
        self
    }

    /// Appends the variables of a registry as metrics to a buffer that can be used again, in a
    /// [`Format`] or a [`MediaType`], which says how names are escaped too.
    ///
    /// The text of names and help is kept for the next time, about 350 bytes a variable and format.
    pub fn render(
        &self,
        registry: &Registry,
        media_type: impl Into<MediaType>,
        buffer: &mut Vec<u8>,
    ) {
        self.render_all(registry, |_| {}, media_type.into(), buffer);
    }

    /// Like [`render`](Self::render), for the variables whose name `wanted` accepts.
    pub fn render_where(
        &self,
        registry: &Registry,
        mut wanted: impl FnMut(&str) -> bool,
        media_type: impl Into<MediaType>,
        buffer: &mut Vec<u8>,
    ) {
        let mut known = Known::default();
        let mut exposition = self.begin(media_type.into(), (&mut known, false), buffer);
        registry.visit_where(&mut wanted, &mut exposition);
        self.end(registry, wanted, exposition);
    }

    /// Renders all variables. `looked_at` is called with the place of each that is about to be read,
    /// but for numbers.
    pub(crate) fn render_all(
        &self,
        registry: &Registry,
        looked_at: impl FnMut(usize),
        media_type: MediaType,
        buffer: &mut Vec<u8>,
    ) {
        match self.cache.lock(media_type) {
            Some(mut known) => {
                let mut exposition = self.begin(media_type, (&mut known, true), buffer);
                registry.visit_recalling(looked_at, &mut exposition);
                self.end(registry, |_| true, exposition);
            }
            None => self.render_where(registry, |_| true, media_type, buffer),
        }
    }

    fn begin<'e>(
        &'e self,
        media_type: MediaType,
        known: (&'e mut Known, bool),
        buffer: &'e mut Vec<u8>,
    ) -> Exposition<'e> {
        Exposition::begin(&self.mappings, &self.settings, media_type, known, buffer)
    }

    fn end(
        &self,
        registry: &Registry,
        mut wanted: impl FnMut(&str) -> bool,
        mut exposition: Exposition<'_>,
    ) {
        for variable in self.mappings.keys().filter(|name| wanted(name)) {
            if registry.get(variable).is_none() {
                exposition.leave_out(variable, "there is no such variable to map");
            }
        }
        exposition.end();
    }

    /// The variables of a registry as metrics, in one of the formats that are text; empty in protobuf,
    /// which [`render`](Self::render) writes.
    #[doc(alias("encode", "gather"))]
    pub fn to_text(&self, registry: &Registry, media_type: impl Into<MediaType>) -> String {
        let media_type = media_type.into();
        if media_type.format() == Format::Protobuf {
            return String::new();
        }
        let mut buffer = Vec::new();
        self.render(registry, media_type, &mut buffer);
        String::from_utf8(buffer).unwrap_or_default()
    }
}
