//! How a variable that one does not own becomes a metric.

use std::fmt;

use expvar::Unit;

use super::names;

/// How one variable becomes a metric: see [`Prometheus::map`](super::Prometheus::map). What is not
/// told is as declared.
#[derive(Debug, Clone)]
pub struct Mapping {
    pub(super) variable: String,
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
    /// For the variable of that name, which need not exist yet.
    pub fn new(variable: impl Into<String>) -> Self {
        Self {
            variable: variable.into(),
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

    /// The name of the metric; unit and `_total` follow it unless it ends in them.
    #[must_use]
    pub fn family(mut self, name: impl Into<String>) -> Self {
        self.family = Some(name.into());
        self
    }

    /// The labels that stand for the keys of a map, or of what a function returns, level by level;
    /// or, one more, for the text that is found there.
    #[must_use]
    pub fn labels<L: Into<String>>(mut self, labels: impl IntoIterator<Item = L>) -> Self {
        self.labels = Some(labels.into_iter().map(Into::into).collect());
        self
    }

    /// A label that is the same for all that comes of the variable.
    #[must_use]
    pub fn constant(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.constants.push((label.into(), value.into()));
        self
    }

    /// Its numbers only go up.
    #[must_use]
    pub fn counter(mut self) -> Self {
        self.counter = Some(true);
        self
    }

    /// Its numbers go up and down.
    #[must_use]
    pub fn gauge(mut self) -> Self {
        self.counter = Some(false);
        self
    }

    /// The help text.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The unit that the variable is recorded in.
    #[must_use]
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// The upper bounds of a histogram's buckets, in the unit that Prometheus sees. The
    /// histogram's own buckets are counted where they lie as a whole below a bound, so that values
    /// within 6 % below it (more for a coarser precision) may count above it.
    #[must_use]
    pub fn buckets(mut self, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets = Some(bounds.into());
        self
    }

    /// Not shown at all.
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
        let constants = self.constants.iter().map(|(label, _)| label.as_str());
        let given = || constants.clone().chain(self.labels.iter().flatten().map(String::as_str));
        let legal = names::labels(given());
        if let Some((label, _)) = given().zip(&legal).find(|(label, legal)| label != legal) {
            return refuse(format!(
                "{label:?} is no name for a label, or used twice: use a-z, 0-9 and _, no leading \
                 __, and not le"
            ));
        }
        let bounds = self.buckets.as_deref().unwrap_or(&[]);
        let ascend = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascend || bounds.iter().any(|bound| !bound.is_finite()) {
            return refuse("bucket bounds must ascend and be finite".to_owned());
        }
        Ok(())
    }
}

/// A mapping cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingError {
    variable: String,
    what: String,
}

impl MappingError {
    pub(super) fn twice(variable: &str) -> Self {
        let what = "there is a mapping for it already".to_owned();
        Self { variable: variable.to_owned(), what }
    }

    /// The variable that the mapping is for.
    pub fn variable(&self) -> &str {
        &self.variable
    }
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot map the variable {:?}: {}", self.variable, self.what)
    }
}

impl std::error::Error for MappingError {}
