//! What is told about a variable beside its value: help, unit, label.

use std::borrow::Cow;
use std::fmt;

/// What a variable's number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// A plain number.
    #[default]
    None,
    /// Bytes.
    Bytes,
    /// Billionths of a second; what [`Histogram::record_duration`](crate::Histogram::record_duration) records.
    Nanoseconds,
    /// Millionths of a second.
    Microseconds,
    /// Thousandths of a second.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// A share, from 0 to 1.
    Ratio,
    /// A share, from 0 to 100.
    Percent,
    /// Anything else, by its plural: `"requests"`.
    Other(&'static str),
}

impl Unit {
    /// The unit's name in lower case, plural; `""` for a plain number.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Bytes => "bytes",
            Self::Nanoseconds => "nanoseconds",
            Self::Microseconds => "microseconds",
            Self::Milliseconds => "milliseconds",
            Self::Seconds => "seconds",
            Self::Ratio => "ratio",
            Self::Percent => "percent",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is told about a variable beside its value.
///
/// [`vars!`](crate::vars) fills it in; at run time it goes to
/// [`publish_with`](crate::Registry::publish_with):
///
/// ```
/// use expvar::{Counter, Info, Unit};
///
/// let registry = expvar::Registry::new();
/// let info = Info::new().help("Bytes received.").unit(Unit::Bytes);
/// registry.publish_with("received", Counter::new(), info)?;
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    help: Cow<'static, str>,
    unit: Unit,
    label: Cow<'static, str>,
    counter: bool,
}

impl Info {
    /// No help, a plain number, the label `key`.
    pub const fn new() -> Self {
        Self {
            help: Cow::Borrowed(""),
            unit: Unit::None,
            label: Cow::Borrowed("key"),
            counter: false,
        }
    }

    /// With a sentence that says what the variable means.
    #[must_use]
    pub fn help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = help.into();
        self
    }

    /// With the unit of the variable's number, or of a map's numbers.
    #[must_use]
    pub const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// With what a map's keys are, for exporters that turn keys into labels: `route`, or
    /// `route,method` for a map of maps.
    #[must_use]
    pub fn label(mut self, label: impl Into<Cow<'static, str>>) -> Self {
        self.label = label.into();
        self
    }

    /// Says that the numbers of a map, a gauge or a function only go up. Those of a
    /// [`Counter`](crate::Counter) always do.
    #[must_use]
    pub const fn counter(mut self) -> Self {
        self.counter = true;
        self
    }

    /// The help text; empty when there is none.
    pub fn get_help(&self) -> &str {
        &self.help
    }

    /// The unit.
    pub const fn get_unit(&self) -> Unit {
        self.unit
    }

    /// What a map's keys are; `key` unless told.
    pub fn get_label(&self) -> &str {
        &self.label
    }

    /// Whether the numbers were said to only go up.
    pub const fn is_counter(&self) -> bool {
        self.counter
    }
}

impl Default for Info {
    fn default() -> Self {
        Self::new()
    }
}
