//! A variable's metadata: help, unit, labels.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The unit of a variable's number.
///
/// ```
/// use expvar::{Histogram, Info, Registry, Unit};
///
/// let info = Info::new().unit(Unit::Milliseconds);
/// let registry = Registry::new();
/// registry.publish_with("took", Histogram::new(), info)?.record(250);
/// assert_eq!(registry.info("took").unwrap().get_unit().name(), "milliseconds");
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// A plain number.
    #[default]
    None,
    /// Bytes.
    Bytes,
    /// Billionths of a second; the default unit of
    /// [`Histogram::record_duration`](crate::Histogram::record_duration).
    Nanoseconds,
    /// Millionths of a second.
    Microseconds,
    /// Thousandths of a second.
    Milliseconds,
    /// Seconds. Durations in them lose their fraction, except in
    /// [`Histogram::floats`](crate::Histogram::floats).
    Seconds,
    /// A ratio, from 0 to 1.
    Ratio,
    /// A percentage, from 0 to 100.
    Percent,
    /// Any other unit, in the plural: `"requests"`.
    Other(&'static str),
}

impl Unit {
    /// The unit's name: lower case, plural; `""` for a plain number.
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

impl Unit {
    /// The exponents of two at which exporters end a histogram's buckets by default: the range that
    /// values of this unit have in services.
    #[doc(hidden)]
    pub fn bucket_exponents(self, floats: bool) -> impl Iterator<Item = i32> {
        let (first, last, step) = match (self, floats) {
            (Self::Nanoseconds, _) => (14, 34, 1),
            (Self::Microseconds, _) => (4, 24, 1),
            (Self::Milliseconds, false) | (Self::Seconds, false) => (0, 16, 1),
            (Self::Milliseconds, true) => (-6, 14, 1),
            (Self::Seconds, true) => (-16, 4, 1),
            (Self::Bytes, _) => (6, 30, 2),
            (Self::Ratio | Self::Percent, true) => (-7, 0, 1),
            (_, false) => (0, 20, 1),
            (_, true) => (-16, 20, 2),
        };
        (first..=last).step_by(step)
    }

    /// Whether it is a unit of time.
    pub(crate) const fn is_time(self) -> bool {
        matches!(self, Self::Nanoseconds | Self::Microseconds | Self::Milliseconds | Self::Seconds)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A variable's metadata: help, unit, labels, whether it only goes up.
///
/// [`vars!`](crate::vars) fills it in. At run time pass it to
/// [`publish_with`](crate::Registry::publish_with). Cloning copies no text. Setters have the plain
/// names, and their getters begin with `get_`, as those of [`std::process::Command`] do.
///
/// ```
/// use expvar::{Counter, Info, Unit};
///
/// let registry = expvar::Registry::new();
/// let info = Info::new().help("Bytes received.").unit(Unit::Bytes);
/// registry.publish_with("received", Counter::new(), info)?;
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[doc(alias("Opts", "Desc", "describe_counter", "description"))]
#[derive(Debug, Clone)]
pub struct Info {
    help: Words,
    unit: Unit,
    labels: Labels,
    counter: bool,
    known_as: &'static str,
    members: &'static [(&'static str, Info)],
}

impl Info {
    /// Creates metadata without help, unit or labels.
    pub const fn new() -> Self {
        Self::with_help("")
    }

    /// `Info::new().help(help)` as a constant.
    pub const fn with_help(help: &'static str) -> Self {
        Self {
            help: Words::Static(help),
            unit: Unit::None,
            labels: Labels::Static(&[]),
            counter: false,
            known_as: "",
            members: &[],
        }
    }

    /// Sets the help text: one sentence that says what the variable means.
    #[must_use]
    pub fn help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = Words::new(help.into());
        self
    }

    /// Sets the unit of the variable's number, or of a map's numbers.
    #[must_use]
    pub const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// Sets one label: the name of a map's keys, for exporters that turn keys into labels. Replaces
    /// earlier labels.
    #[doc(alias = "const_labels")]
    #[must_use]
    pub fn label(self, label: impl Into<Cow<'static, str>>) -> Self {
        self.labels([label])
    }

    /// Sets a label for each level of a map of maps, outermost first: `["route", "method"]`.
    /// Replaces earlier labels.
    #[must_use]
    pub fn labels<S>(mut self, labels: impl IntoIterator<Item = S>) -> Self
    where
        S: Into<Cow<'static, str>>,
    {
        self.labels = Labels::Shared(labels.into_iter().map(Into::into).collect());
        self
    }

    /// Declares that the numbers of a map, a gauge or a function only go up. Those of a
    /// [`Counter`](crate::Counter) always do.
    #[must_use]
    pub const fn counter(mut self) -> Self {
        self.counter = true;
        self
    }

    /// Sets the established name of this number, for exporters with such conventions: Prometheus,
    /// without `_total`. Name and number are then exported unchanged.
    #[must_use]
    pub const fn known_as(mut self, name: &'static str) -> Self {
        self.known_as = name;
        self
    }

    /// Sets the metadata of the members of a nested structure. See
    /// [`Func::members`](crate::Func::members).
    #[must_use]
    pub const fn members(mut self, members: &'static [(&'static str, Info)]) -> Self {
        self.members = members;
        self
    }

    /// The help text; empty without one.
    pub fn get_help(&self) -> &str {
        self.help.as_str()
    }

    /// The unit.
    pub const fn get_unit(&self) -> Unit {
        self.unit
    }

    /// The names of a map's keys, level by level. Empty without labels.
    pub fn get_labels(&self) -> &[Cow<'static, str>] {
        match &self.labels {
            Labels::Static(labels) => labels,
            Labels::Shared(labels) => labels,
        }
    }

    /// Whether the numbers only go up.
    pub const fn is_counter(&self) -> bool {
        self.counter
    }

    /// The established name; empty without one.
    pub const fn get_known_as(&self) -> &'static str {
        self.known_as
    }

    /// Sets labels in a constant: see [`labels`](Self::labels).
    ///
    /// ```
    /// use expvar::Info;
    /// use std::borrow::Cow;
    ///
    /// const LABELS: &[Cow<'static, str>] = &[Cow::Borrowed("reason")];
    /// const REFUSED: Info = Info::with_help("What was refused.").keyed(LABELS);
    /// assert_eq!(REFUSED.get_labels(), ["reason"]);
    /// ```
    #[must_use]
    pub const fn keyed(mut self, labels: &'static [Cow<'static, str>]) -> Self {
        let old = std::mem::replace(&mut self.labels, Labels::Static(labels));
        // A constant's are static: nothing leaks.
        std::mem::forget(old);
        self
    }

    /// The metadata of a structure's member; this same metadata if it is not listed.
    pub(crate) fn member(&self, name: &str) -> &Self {
        self.members.iter().find(|(member, _)| *member == name).map_or(self, |(_, info)| info)
    }
}

impl PartialEq for Info {
    fn eq(&self, other: &Self) -> bool {
        self.help == other.help
            && self.unit == other.unit
            && self.get_labels() == other.get_labels()
            && self.counter == other.counter
            && self.known_as == other.known_as
            && self.members == other.members
    }
}

impl Eq for Info {}

impl Default for Info {
    fn default() -> Self {
        Self::new()
    }
}

/// Labels whose clone copies no bytes.
#[derive(Debug, Clone)]
enum Labels {
    Static(&'static [Cow<'static, str>]),
    Shared(Arc<[Cow<'static, str>]>),
}

/// A text whose clone copies no bytes.
#[derive(Debug, Clone)]
enum Words {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Words {
    fn new(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::Static(text),
            Cow::Owned(text) => Self::Shared(text.into()),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Words {}
