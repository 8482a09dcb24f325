//! The presentation of one variable.

use expvar::{Info, Unit};

use super::mapping::Mapping;
use super::names::{self, Shown};
use super::samples::Type;
use super::{Escaping, LEVELS, Settings};

/// The presentation of one variable, from declaration, mapping and settings.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) variable: String,
    /// Whether there is a mapping for it.
    pub(super) is_mapped: bool,
    /// The metric's name, to which unit and suffix are appended unless it is `exact`.
    pub(super) stem: String,
    pub(super) exact: bool,
    pub(super) labels: Labels,
    /// Whether its numbers are counters, overriding the declaration.
    pub(super) counter: Option<bool>,
    /// The help text of a mapping.
    pub(super) help: Option<String>,
    /// The unit of a mapping.
    pub(super) unit: Option<Unit>,
    pub(super) buckets: Option<Vec<f64>>,
    /// Texts by key are the labels of one info metric.
    pub(super) is_info: bool,
}

impl Plan {
    /// `None` if no name can be made.
    pub(super) fn new(
        variable: &str,
        info: &Info,
        mapping: Option<&Mapping>,
        settings: &Settings,
        escaping: Escaping,
    ) -> Option<Self> {
        let declared = match mapping.and_then(|mapping| mapping.labels.as_ref()) {
            Some(labels) => labels.clone(),
            None => info.get_labels().iter().map(|label| label.to_string()).collect(),
        };
        let of_mapping = mapping.map_or(&[][..], |mapping| &mapping.constants);
        let constants = settings.constants.iter().chain(of_mapping);
        let labels = Labels::new(constants, &declared, settings.quantiles.is_some(), escaping);
        let exact = mapping.and_then(|mapping| mapping.name.as_ref());
        let stem = match exact.or(mapping.and_then(|mapping| mapping.family.as_ref())) {
            Some(name) => name.clone(),
            None => names::stem(variable, escaping)?,
        };
        Some(Self {
            variable: variable.to_owned(),
            is_mapped: mapping.is_some(),
            is_info: stem.len() > "_info".len() && names::ends_in(&stem, "_info"),
            exact: exact.is_some() || settings.as_recorded,
            stem,
            labels,
            counter: mapping.and_then(|mapping| mapping.counter),
            help: mapping.and_then(|mapping| mapping.help.clone()),
            unit: mapping.and_then(|mapping| mapping.unit),
            buckets: mapping.and_then(|mapping| mapping.buckets.clone()),
        })
    }

    /// The name of the family for these members, its type, and the presentation of its values.
    pub(super) fn family(&self, members: &str, kind: Type, unit: Unit) -> (String, Type, Shown) {
        let mut name = format!("{}{members}", self.stem);
        let shown = self.shown(unit, &name);
        let kind = match kind {
            Type::Counter if !names::strip(&mut name, "_total") && self.exact => {
                Type::Alone { ending: "" }
            }
            Type::Info if !names::strip(&mut name, "_info") && self.exact => Type::Gauge,
            kind => kind,
        };
        if !self.exact && kind != Type::Info {
            shown.name(&mut name);
        }
        if !self.exact && kind == Type::Counter && !shown.unit.is_empty() {
            // `_total` comes last, after the unit.
            let ending = format!("_total_{}", shown.unit);
            if names::strip(&mut name, &ending) {
                name.push('_');
                names::push_legal(&mut name, shown.unit);
            }
        }
        let of_histograms = ["_bucket", "_count", "_sum"];
        let is_like = of_histograms.iter().any(|ending| names::ends_in(&name, ending));
        if !self.exact && !members.is_empty() && kind == Type::Gauge && is_like {
            name.push('_');
        }
        (name, kind, shown)
    }

    /// The presentation of numbers with this unit under a name.
    fn shown(&self, unit: Unit, name: &str) -> Shown {
        let shown = Shown::from(unit);
        // An exact name determines its unit.
        let mut stem = name.to_owned();
        names::strip(&mut stem, "_total");
        if self.exact && !shown.ends(&stem) {
            return names::PLAIN;
        }
        shown
    }
}

/// The labels of a variable's samples, each name once.
#[derive(Debug)]
pub(super) struct Labels {
    /// Constants with their values.
    constants: Vec<(String, String)>,
    /// For each level of maps, or of a function's value.
    levels: Vec<String>,
    /// The number of declared levels.
    pub(super) declared: usize,
    /// For arrays in arrays, beyond the levels.
    elements: Vec<String>,
    escaping: Escaping,
}

impl Labels {
    fn new<'c>(
        constants: impl Iterator<Item = &'c (String, String)>,
        declared: &[String],
        quantiles: bool,
        escaping: Escaping,
    ) -> Self {
        let mut this = Self {
            constants: Vec::new(),
            levels: Vec::new(),
            declared: declared.len(),
            elements: Vec::new(),
            escaping,
        };
        // Summaries reserve `quantile`.
        let beside_quantiles = |mut label: String| {
            label.push_str(if quantiles && label == "quantile" { "_" } else { "" });
            label
        };
        for (label, value) in constants {
            let label = this.free(beside_quantiles(escaping.escape(label).into_owned()));
            this.constants.push((label, value.clone()));
        }
        for (level, label) in declared.iter().enumerate() {
            let label = this.free(beside_quantiles(names::label(label.trim(), level, escaping)));
            this.levels.push(label);
        }
        this
    }

    pub(super) fn constants(&self) -> &[(String, String)] {
        &self.constants
    }

    /// The label of the keys at a level.
    pub(super) fn level(&mut self, level: usize) -> &str {
        while self.levels.len() <= level {
            let label = self.free(names::default_label(self.levels.len()));
            self.levels.push(label);
        }
        &self.levels[level]
    }

    /// The label of the elements of the `n`th enclosing array, from 0.
    pub(super) fn element(&mut self, n: usize) -> &str {
        // Those of all levels come first, used or not, so that a name means the same in all
        // samples.
        self.level(LEVELS - 1);
        while self.elements.len() <= n {
            let label = match self.elements.len() {
                0 => "index".to_owned(),
                n => format!("index{}", n + 1),
            };
            let label = self.free(label);
            self.elements.push(label);
        }
        &self.elements[n]
    }

    /// A label for a text by its key, distinct from those in `used`.
    pub(super) fn of_key(&mut self, key: &str, used: &[(String, String)]) -> String {
        self.level(LEVELS - 1);
        let mut label = self.free(names::label(key, 0, self.escaping));
        while used.iter().any(|(used, _)| *used == label) {
            label.push('_');
        }
        label
    }

    fn free(&self, mut label: String) -> String {
        let is_used = |label: &String| {
            self.levels.contains(label)
                || self.elements.contains(label)
                || self.constants.iter().any(|(constant, _)| constant == label)
        };
        while is_used(&label) {
            label.push('_');
        }
        label
    }
}
