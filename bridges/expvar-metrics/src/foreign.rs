//! A variable that the program published, used for a metric without labels.

use std::sync::Arc;

use expvar::__private::{Published, report_conflict};
use expvar::{Kind, Unit, Var};

use crate::scale::{self, Scaled};

/// The state that the registry keeps with a variable of the program's own.
pub(crate) struct Foreign {
    kind: Kind,
    declared: Unit,
    /// Converts the unit of what a histogram gets.
    scaled: Option<Arc<Scaled>>,
}

impl Foreign {
    pub(crate) fn new(seen: &Published, name: &str, described: Unit) -> Self {
        let declared = seen.info.get_unit();
        let scaled = match &seen.var {
            Var::Histogram(histogram) => {
                Some(Arc::new(Scaled::new(histogram.clone(), name, declared, described)))
            }
            _ => None,
        };
        Self { kind: seen.var.kind(), declared, scaled }
    }

    pub(crate) fn scaled(&self) -> Option<Arc<Scaled>> {
        self.scaled.clone()
    }

    /// Whether a metric with this description fits; reports a conflict if not.
    pub(crate) fn fits(&self, name: &str, described: Unit) -> bool {
        let Self { kind, declared, .. } = self;
        let fits = scale::fits(described, *declared, *kind == Kind::Histogram);
        if !fits {
            let text = format!(
                "a {kind} in {declared} is shown, a `metrics` {kind} in {described} is not"
            );
            report_conflict(name, text);
        }
        fits
    }

    /// Adopts the described unit.
    pub(crate) fn describe(&self, described: Unit) {
        if let Some(scaled) = &self.scaled {
            scaled.describe(described);
        }
    }
}
