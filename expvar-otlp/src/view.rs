//! Overrides how one variable becomes a metric.

use expvar::Unit;
use expvar_push::ConfigError;

use crate::encode::name;

/// How one variable becomes a metric: what OpenTelemetry's SDK calls a view. See
/// [`Otlp::view`](crate::Otlp::view). Default for each setting: as declared.
///
/// ```
/// use expvar::{Counter, Registry};
/// use expvar_otlp::{Otlp, View};
///
/// let registry = Registry::new();
/// registry.publish("hits", Counter::new())?.add(3);
/// let view = View::new("hits").name("http.server.hits").constant("zone", "eu");
/// let mut shown = Otlp::new("http://collector:4318").registry(&registry).view(view).renderer()?;
/// assert!(shown.to_json().contains(r#"{"name":"http.server.hits","sum":"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias("Mapping", "relabel"))]
#[derive(Debug, Clone)]
pub struct View {
    pub(crate) variable: String,
    pub(crate) name: Option<String>,
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) constants: Vec<(String, String)>,
    pub(crate) numbers: Option<Numbers>,
    pub(crate) help: Option<String>,
    pub(crate) unit: Option<Unit>,
    pub(crate) buckets: Option<Vec<f64>>,
    pub(crate) hidden: bool,
}

/// The instrument of a variable's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    Counters,
    Gauges,
    UpDown,
}

impl View {
    /// Creates a view for the variable of that name, which need not exist yet.
    #[must_use]
    pub fn new(variable: impl Into<String>) -> Self {
        Self {
            variable: variable.into(),
            name: None,
            labels: None,
            constants: Vec::new(),
            numbers: None,
            help: None,
            unit: None,
            buckets: None,
            hidden: false,
        }
    }

    /// Sets the metric's name. Names of a structure's members are appended.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the attributes for the keys of a map or of a function's value, level by level.
    #[must_use]
    pub fn labels<L: Into<String>>(mut self, labels: impl IntoIterator<Item = L>) -> Self {
        self.labels = Some(labels.into_iter().map(Into::into).collect());
        self
    }

    /// Adds an attribute with a constant value to all of the variable's points.
    #[must_use]
    pub fn constant(mut self, attribute: impl Into<String>, value: impl Into<String>) -> Self {
        self.constants.push((attribute.into(), value.into()));
        self
    }

    /// Declares that its numbers only go up: a monotonic sum.
    #[must_use]
    pub fn counter(mut self) -> Self {
        self.numbers = Some(Numbers::Counters);
        self
    }

    /// Declares that its numbers are states that must not be summed: a gauge.
    #[must_use]
    pub fn gauge(mut self) -> Self {
        self.numbers = Some(Numbers::Gauges);
        self
    }

    /// Declares that its numbers go up and down and can be summed over processes, such as the
    /// length of a queue: a sum that is not monotonic, OpenTelemetry's `UpDownCounter`.
    #[must_use]
    pub fn up_down(mut self) -> Self {
        self.numbers = Some(Numbers::UpDown);
        self
    }

    /// Sets the description.
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

    /// Sets the upper bounds of a histogram's buckets, in the recorded unit. Counts only the
    /// histogram's own buckets that lie wholly below a bound.
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

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |problem: String, remedy: &str| {
            let problem = format!("of the variable {:?}: {problem}", self.variable);
            Err(ConfigError::new("view", problem, remedy))
        };
        if let Some(given) = &self.name {
            let mut legal = String::new();
            name::push(&mut legal, given);
            if legal != *given || legal.len() > name::MAX_BYTES {
                return refuse(
                    format!("{given:?} is no name for a metric"),
                    "begin with a letter; use letters, digits, _ . - and /, 255 at most",
                );
            }
        }
        let constants = self.constants.iter().map(|(name, _)| name);
        let mut names: Vec<_> = constants.chain(self.labels.iter().flatten()).collect();
        names.sort();
        if names.iter().any(|name| name.is_empty()) || names.windows(2).any(|two| two[0] == two[1])
        {
            return refuse(
                "an attribute has no name, or two have the same".to_owned(),
                "give each label and constant a name of its own",
            );
        }
        let bounds = self.buckets.as_deref().unwrap_or(&[]);
        let ascend = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascend || bounds.iter().any(|bound| !bound.is_finite()) {
            return refuse(
                "its bucket bounds do not ascend, or are not finite".to_owned(),
                "write them from the lowest to the highest",
            );
        }
        Ok(())
    }
}
