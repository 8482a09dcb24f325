//! Overrides how a variable becomes metrics.

use std::fmt;

use expvar::Unit;

use super::names;

/// How one variable becomes metrics. See [`Prometheus::map`](super::Prometheus::map). Default for
/// each setting: as declared.
///
/// ```
/// use expvar_http::{Format, Mapping, Prometheus};
///
/// let registry = expvar::Registry::new();
/// registry.publish("lib.cache", expvar::Map::new())?.add("0", 7);
/// let mapping = Mapping::new("lib.cache").family("cache_entries").labels(["shard"]).help("Entries.");
/// let text = Prometheus::new().map(mapping)?.to_text(&registry, Format::Text);
/// assert!(text.contains("# HELP cache_entries Entries.\n"));
/// assert!(text.contains("cache_entries{shard=\"0\"} 7\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias("View", "relabel"))]
#[derive(Debug, Clone)]
pub struct Mapping {
    pub(super) variable: String,
    pub(super) name: Option<String>,
    pub(super) family: Option<String>,
    pub(super) labels: Option<Vec<String>>,
    pub(super) constants: Vec<(String, String)>,
    pub(super) counter: Option<bool>,
    pub(super) help: Option<String>,
    pub(super) unit: Option<Unit>,
    pub(super) buckets: Option<Vec<f64>>,
    pub(super) hidden: bool,
}

impl Mapping {
    /// Creates a mapping for the variable of that name, which need not exist yet.
    #[must_use]
    pub fn new(variable: impl Into<String>) -> Self {
        Self {
            variable: variable.into(),
            name: None,
            family: None,
            labels: None,
            constants: Vec::new(),
            counter: None,
            help: None,
            unit: None,
            buckets: None,
            hidden: false,
        }
    }

    /// Sets the exact name of the metric, without unit or `_total`. A text becomes a gauge of that
    /// name; it needs a label, of its own or from [`labels`](Self::labels). For existing dashboards.
    ///
    /// If the name ends in the unit that Prometheus sees (`_seconds`, `_bytes`, `_ratio`), values
    /// are in that unit; otherwise they are as recorded. In OpenMetrics a counter whose name does
    /// not end in `_total` has the type `unknown`.
    ///
    /// ```
    /// use expvar::{Counter, Registry};
    /// use expvar_http::{Format, Mapping, Prometheus};
    ///
    /// let registry = Registry::new();
    /// registry.publish("http.requests", Counter::new())?.add(3);
    /// let prometheus = Prometheus::new().map(Mapping::new("http.requests").name("requests"))?;
    /// assert!(prometheus.to_text(&registry, Format::Text).contains("\nrequests 3\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the name of the metric. Unit and `_total` are appended unless it ends in them.
    #[must_use]
    pub fn family(mut self, name: impl Into<String>) -> Self {
        self.family = Some(name.into());
        self
    }

    /// Sets the labels for the keys of a map or of a function's value, level by level. One more
    /// label shows the text found there.
    #[must_use]
    pub fn labels<L: Into<String>>(mut self, labels: impl IntoIterator<Item = L>) -> Self {
        self.labels = Some(labels.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a label with a constant value to all of the variable's samples.
    #[must_use]
    pub fn constant(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.constants.push((label.into(), value.into()));
        self
    }

    /// Declares that its numbers only go up.
    #[must_use]
    pub fn counter(mut self) -> Self {
        self.counter = Some(true);
        self
    }

    /// Declares that its numbers go up and down.
    #[must_use]
    pub fn gauge(mut self) -> Self {
        self.counter = Some(false);
        self
    }

    /// Sets the help text.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Sets the unit in which the variable is recorded.
    #[must_use]
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// Sets the upper bounds of a histogram's buckets, in the unit that Prometheus sees. Counts
    /// only the histogram's own buckets that lie wholly below a bound, so values within 6 % below
    /// it (more at a coarser precision) may count above. Bounds that the histogram was declared
    /// with count exactly.
    #[doc(alias("set_buckets_for_metric", "linear_buckets", "exponential_buckets"))]
    #[must_use]
    pub fn buckets(mut self, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets = Some(bounds.into());
        self
    }

    /// Hides the variable.
    #[must_use]
    pub fn hide(mut self) -> Self {
        self.hidden = true;
        self
    }

    pub(super) fn check(&self) -> Result<(), MappingError> {
        let refuse = |what: String| Err(MappingError { variable: self.variable.clone(), what });
        if let Some(family) = self.family.as_ref().filter(|name| !names::is_legal(name)) {
            return refuse(format!("{family:?} is no name for a metric: use a-z, 0-9 and _"));
        }
        if let Some(name) = self.name.as_ref().filter(|name| !names::is_legal_exactly(name)) {
            return refuse(format!("{name:?} is no name for a metric: use a-z, 0-9, _ and :"));
        }
        let constants = self.constants.iter().map(|(label, _)| label.as_str());
        let labels = constants.chain(self.labels.iter().flatten().map(String::as_str));
        check_labels(labels).or_else(refuse)?;
        let bounds = self.buckets.as_deref().unwrap_or(&[]);
        let ascend = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascend || bounds.iter().any(|bound| !bound.is_finite() || *bound < 0.0) {
            return refuse("bucket bounds must ascend, be finite and not below zero".to_owned());
        }
        Ok(())
    }
}

/// Checks that label names are legal and distinct.
pub(super) fn check_labels<'l>(labels: impl Iterator<Item = &'l str>) -> Result<(), String> {
    let mut seen: Vec<&str> = Vec::new();
    for label in labels {
        let legal = names::is_legal(label) && names::legal_label(label, 0) == label;
        if !legal || seen.contains(&label) {
            return Err(format!(
                "{label:?} is no name for a label, or used twice: use a-z, 0-9 and _, no leading \
                 __, and not le"
            ));
        }
        seen.push(label);
    }
    Ok(())
}

/// An invalid mapping or setting.
///
/// ```
/// use expvar_http::{Mapping, Prometheus};
///
/// let error = Prometheus::new().map(Mapping::new("jobs").family("no spaces")).unwrap_err();
/// assert_eq!(error.variable(), "jobs");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingError {
    variable: String,
    what: String,
}

impl MappingError {
    pub(super) fn new(variable: &str, what: String) -> Self {
        Self { variable: variable.to_owned(), what }
    }

    pub(super) fn twice(variable: &str) -> Self {
        let what = "there is a mapping for it already".to_owned();
        Self { variable: variable.to_owned(), what }
    }

    /// The variable of the mapping; empty for a setting of all variables.
    pub fn variable(&self) -> &str {
        &self.variable
    }
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.variable.as_str() {
            "" => f.write_str(&self.what),
            variable => write!(f, "cannot map the variable {variable:?}: {}", self.what),
        }
    }
}

impl std::error::Error for MappingError {}
