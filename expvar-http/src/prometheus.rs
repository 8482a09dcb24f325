//! Prometheus metrics: text, OpenMetrics and protobuf, from the same walk as the JSON.

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
mod output;
mod place;
mod plan;
mod protobuf;
mod samples;
mod taken;

use cache::{Cache, Known};
pub use escaping::Escaping;
use exposition::Exposition;
pub use mapping::{Mapping, MappingError};
pub use media_type::{Format, MediaType};

/// Levels of nested maps that become labels.
const LEVELS: usize = 8;

/// How variables become Prometheus metrics.
///
/// Without settings, a variable's declaration determines its metrics.
///
/// | variable | metric |
/// |---|---|
/// | counter | a counter; its name ends in `_total` |
/// | gauge, float | a gauge, or a counter where declared `counter` |
/// | histogram | a histogram with the declared buckets, or the default ones below; in protobuf also a native one |
/// | map | one family with a label, `key` by default; nested maps add `key2`, …, up to 8 levels; an empty key sets no label. With [`members`](expvar::Map::members), shown like a function's value |
/// | text | nothing; with a declared label, an info metric: `version_info{version="1.2"} 1`. In a variable whose name ends in `_info`, texts by key are the labels of one info metric: `build_info{commit="abc",version="1.2"} 1` |
/// | function | the numbers and booleans of its value: members join the name (`limits_files`), elements have the label `index`; with declared labels, each level is a label, and values at other depths are omitted |
/// | `process`, `memstats` | the established names: `process_resident_memory_bytes`, `go_memstats_heap_alloc_bytes`, … |
///
/// **Names.** By default every character but ASCII letters, digits and `_` becomes `_`, and a
/// leading digit gets a `_` before it. The unit is appended, unless the name ends in it. Times
/// become seconds and percent becomes a ratio, values included: `latency` in nanoseconds is
/// `latency_seconds` (a suffix `_ns`, `_nanos` or `_nanoseconds` is removed first). A counter's
/// `_total` comes last: `wait.total_seconds` is `wait_seconds_total`. A name without any ASCII letter
/// or digit cannot be made legal. Label names follow the same rules; a leading
/// `__` loses one, `le` becomes `le_`. A client that accepts other characters gets names unchanged
/// or escaped: see [`Escaping`]. Unit and suffix are appended all the same, so replacing escaped
/// characters by underscores gives the names above.
///
/// A label with the name of another label of the sample gets a `_`. So does a function's member
/// whose metric would end in `_count`, `_sum` or `_bucket`, like a histogram's parts.
///
/// **Omitted variables.** A variable is omitted if its name cannot be made legal or is taken by an
/// earlier variable. So is a counter that is negative or NaN, and a function's member whose series
/// already exists. In OpenMetrics a histogram whose sum is negative or NaN has buckets but neither
/// sum nor count. The family `expvar_prometheus_left_out` lists variables and reasons (the first
/// 100, the others counted as `(other)`), and so does the variable `expvar.prometheus`.
///
/// **Buckets.** Default bounds are powers of two, where the histogram's own buckets end, so that
/// counts are exact. A histogram of whole numbers has the bounds 2ᵏ - 1 in its own unit for k from
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
/// A histogram of fractions has the bounds 2ᵏ for k from -16 to 4 in seconds, from -6 to 14 in
/// milliseconds, 4 to 24 in microseconds, 14 to 34 in nanoseconds, 6, 8, …, 30 in bytes, -7 to 0
/// for ratios and percent, and -16, -14, …, 20 for others. Declared `buckets:`
/// ([`Histogram::buckets`](expvar::Histogram::buckets)) replace them and count exactly;
/// [`Mapping::buckets`] sets others.
///
/// **Native histograms.** In protobuf, histograms also have native buckets of schema 8: a quantile
/// is at most 0.28 % further from the exact one than the histogram's own, so within 3.5 % by
/// default. The zero bucket has zeros, for fractions all values up to 2⁻³⁰. There are no negative
/// buckets, because histograms have none.
///
/// Count and sum cover the life of the process.
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

/// Settings that apply to all variables.
#[derive(Debug, Clone, Default)]
struct Settings {
    /// Names are kept unchanged.
    as_recorded: bool,
    constants: Vec<(String, String)>,
    /// Quantiles of summaries, if histograms are shown as such.
    quantiles: Option<Vec<f64>>,
    /// Whether OpenMetrics has `_created`.
    created: bool,
    /// The escaping for every client; `None` if the client chooses.
    escaping: Option<Escaping>,
}

impl Prometheus {
    /// Creates settings under which declarations alone determine metrics.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a mapping, which overrides a variable's declaration: for variables of libraries, and
    /// for functions. Like the settings of Go's expvar collector.
    ///
    /// If the variable does not exist on a scrape, `expvar_prometheus_left_out` says so.
    ///
    /// # Errors
    /// The mapping contains a name that Prometheus does not allow or buckets that do not ascend, or
    /// the variable already has a mapping.
    pub fn map(mut self, mapping: Mapping) -> Result<Self, MappingError> {
        mapping.check()?;
        self.cache = Cache::default();
        let variable = mapping.variable.clone();
        match self.mappings.insert(variable.clone(), mapping) {
            None => Ok(self),
            Some(_) => Err(MappingError::twice(&variable)),
        }
    }

    /// Keeps all names as recorded, without unit and `_total`. For services whose dashboards use
    /// such names, as from `metrics-exporter-prometheus`.
    ///
    /// Illegal characters still become `_`. Values are as recorded, unless the name ends in the
    /// unit that Prometheus sees: see [`Mapping::name`], which does the same for one variable.
    #[must_use]
    pub fn names_as_recorded(mut self) -> Self {
        self.cache = Cache::default();
        self.settings.as_recorded = true;
        self
    }

    /// Adds a label with a constant value to everything. A variable's own label of that name gets a
    /// `_`.
    ///
    /// # Errors
    /// The label name is not legal, or is set twice.
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

    /// Shows histograms as summaries with these quantiles (clamped to 0 to 1) of the last 60 to 70
    /// seconds; `NaN` without recordings in that time. Histograms with declared buckets, or with
    /// those of a [`Mapping`], stay histograms.
    ///
    /// Prometheus can aggregate buckets over processes, but not quantiles.
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

    /// Shows in OpenMetrics when counters, histograms and summaries were registered, as samples
    /// `_created` in Unix seconds. Protobuf always has this, in a field.
    ///
    /// A variable or key is registered when it gets its name, a static when the process starts.
    /// Default: false, because most Prometheus servers store each `_created` as another series.
    #[must_use]
    pub fn created(mut self) -> Self {
        self.cache = Cache::default();
        self.settings.created = true;
        self
    }

    /// Escapes names in one way, whatever a client asks for.
    ///
    /// By default the client chooses. Prometheus 3 asks for `allow-utf-8` and gets `http.requests` as
    /// `{"http.requests_total"}`, which a dashboard written for `http_requests_total` does not find.
    /// With [`Escaping::Underscores`] every client gets `http_requests_total`. In Prometheus'
    /// configuration of a scrape, `metric_name_validation_scheme: legacy` or
    /// `metric_name_escaping_scheme: underscores` has the same effect.
    ///
    /// ```
    /// use expvar_http::{Escaping, Format, MediaType, Prometheus};
    ///
    /// let registry = expvar::Registry::new();
    /// registry.publish("http.requests", expvar::Counter::new())?;
    /// let prometheus = Prometheus::new().escaping(Escaping::Underscores);
    /// let asked = MediaType::accepted("text/plain; version=1.0.0; escaping=allow-utf-8");
    /// assert!(prometheus.to_text(&registry, asked).contains("\nhttp_requests_total 0\n"));
    /// # Ok::<(), expvar::PublishError>(())
    /// ```
    #[must_use]
    pub fn escaping(mut self, escaping: Escaping) -> Self {
        self.cache = Cache::default();
        self.settings.escaping = Some(escaping);
        self
    }

    /// The media type that a client gets who asks for this one: the same, unless
    /// [`escaping`](Self::escaping) is set. Its [`content_type`](MediaType::content_type) is that of
    /// what [`render`](Self::render) writes.
    pub fn media_type(&self, asked: impl Into<MediaType>) -> MediaType {
        let asked = asked.into();
        self.settings.escaping.map_or(asked, |escaping| asked.escaped(escaping))
    }

    /// Appends a registry's variables as metrics to a reusable buffer, in a [`Format`] or in a
    /// [`MediaType`], which also sets the escaping.
    ///
    /// Caches names and help texts for the next call: about 350 bytes for each variable and format,
    /// and 1.5 KiB for a histogram.
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
        let media_type = self.media_type(media_type);
        let mut exposition = self.begin(media_type, (&mut known, false), buffer);
        registry.visit_where(&mut wanted, &mut exposition);
        self.end(registry, wanted, exposition);
    }

    /// Renders all variables. Calls `looked_at` with the index of each that is about to be read,
    /// numbers excepted.
    pub(crate) fn render_all(
        &self,
        registry: &Registry,
        looked_at: impl FnMut(usize),
        media_type: MediaType,
        buffer: &mut Vec<u8>,
    ) {
        let media_type = self.media_type(media_type);
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

    /// Returns a registry's variables as metrics in a text format. Empty for protobuf, which
    /// [`render`](Self::render) writes.
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
