//! Compile-time checks of a declaration's options.

use crate::histogram::detail::MAX_BOUNDS;
use crate::info::{Info, Unit};
use crate::var::Kind;

/// The options that [`vars!`](crate::vars) or a field of [`group!`](crate::group) declares for a
/// variable. Its functions run at compile time, where a panic is a compile error.
#[doc(hidden)]
#[derive(Debug)]
pub struct Spec {
    pub(crate) name: &'static str,
    help: &'static [&'static str],
    kind: Kind,
    /// How many labels the kind has: none, any number, or as many as the family.
    levels: Levels,
    unit: Option<Unit>,
    labels: Option<&'static [&'static str]>,
    counter: bool,
    buckets: bool,
    exemplars: bool,
}

/// How many labels a kind of variable takes.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub enum Levels {
    None,
    Any,
    Exactly(usize),
}

impl Spec {
    #[doc(hidden)]
    pub const fn new(
        name: &'static str,
        help: &'static [&'static str],
        (kind, levels): (Kind, Levels),
    ) -> Self {
        check_name(name);
        Self {
            name,
            help,
            kind,
            levels,
            unit: None,
            labels: None,
            counter: false,
            buckets: false,
            exemplars: false,
        }
    }

    #[doc(hidden)]
    pub const fn unit(mut self, unit: Unit) -> Self {
        assert!(self.unit.is_none(), "`unit:` is given twice: remove one");
        assert!(
            !matches!(self.kind, Kind::Text),
            "`unit:` says what a number counts, and a `Text` has none: remove it"
        );
        self.unit = Some(unit);
        self
    }

    #[doc(hidden)]
    pub const fn labels(mut self, labels: &'static [&'static str]) -> Self {
        assert!(self.labels.is_none(), "labels are given twice: keep one `label:` or `labels:`");
        match self.levels {
            Levels::None => panic!(
                "`label:` names a map's keys, and this kind has none: remove it, or declare a \
                 `Map` or a `Family`"
            ),
            Levels::Any => {}
            Levels::Exactly(levels) => check_number(labels.len(), levels),
        }
        let mut at = 0;
        while at < labels.len() {
            assert!(!labels[at].is_empty(), "a label needs a name: write `label: \"route\"`");
            assert!(
                !has_comma(labels[at]),
                "a comma in a label: write several labels as `labels: [\"route\", \"method\"]`"
            );
            assert!(!has_control(labels[at]), "a label holds a control character: remove it");
            at += 1;
        }
        self.labels = Some(labels);
        self
    }

    #[doc(hidden)]
    pub const fn counter(mut self) -> Self {
        assert!(!self.counter, "`counter` is given twice: remove one");
        assert!(
            !matches!(self.kind, Kind::Text | Kind::Histogram),
            "`counter` says that numbers only go up, and this kind is no number: remove it"
        );
        self.counter = true;
        self
    }

    #[doc(hidden)]
    pub const fn buckets(mut self, bounds: &[f64]) -> Self {
        assert!(!self.buckets, "`buckets:` is given twice: remove one");
        assert!(
            matches!(self.kind, Kind::Histogram | Kind::Map),
            "`buckets:` are a histogram's, and this kind is none: remove it"
        );
        assert!(!bounds.is_empty(), "`buckets:` needs a bound: write `buckets: [100, 250]`");
        assert!(bounds.len() <= MAX_BOUNDS, "a histogram has at most 64 `buckets:`: remove some");
        let mut at = 0;
        while at < bounds.len() {
            let bound = bounds[at];
            let is_number = bound >= 0.0 && bound < f64::INFINITY;
            assert!(is_number, "`buckets:` must be finite and not below zero");
            assert!(at == 0 || bounds[at - 1] < bound, "`buckets:` must ascend: sort them");
            at += 1;
        }
        self.buckets = true;
        self
    }

    #[doc(hidden)]
    pub const fn exemplars(mut self) -> Self {
        assert!(!self.exemplars, "`exemplars:` is given twice: remove one");
        assert!(
            matches!(self.kind, Kind::Histogram | Kind::Map),
            "`exemplars:` are a histogram's, and this kind is none: remove it"
        );
        self.exemplars = true;
        self
    }

    /// Checks conditions over several options.
    #[doc(hidden)]
    pub const fn end(self) -> Self {
        if let (Levels::Exactly(levels), None) = (self.levels, self.labels) {
            check_number(0, levels);
        }
        self
    }

    /// The metadata; a map's own labels follow `outer`.
    #[doc(hidden)]
    pub fn info_under(&self, outer: Option<&'static str>) -> Info {
        let mut help = String::new();
        for line in self.help.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
            if !help.is_empty() {
                help.push(' ');
            }
            help.push_str(line);
        }
        let labels = self.labels.unwrap_or(&[]).iter().copied();
        let info = Info::new().help(help).labels(outer.into_iter().chain(labels));
        let info = info.unit(self.unit.unwrap_or(Unit::None));
        if self.counter { info.counter() } else { info }
    }

    pub(crate) fn info(&self) -> Info {
        self.info_under(None)
    }

    /// How two declarations of the same kind and name differ; `None` if they agree. A declaration
    /// without unit or labels agrees with any, except for units of time, which change what a
    /// histogram records. Help texts may differ.
    pub(crate) fn difference(&self, late: &Self) -> Option<String> {
        let mut found = Vec::new();
        let units = [self, late].map(|spec| spec.unit.unwrap_or(Unit::None));
        let is_said = |unit: &Unit| {
            let records = matches!(self.kind, Kind::Histogram | Kind::Map);
            *unit != Unit::None || (records && units.iter().any(|unit| unit.is_time()))
        };
        if units[0] != units[1] && units.iter().all(is_said) {
            let [first, late] = units.map(|unit| match unit {
                Unit::None => "none",
                unit => unit.name(),
            });
            found.push(format!("units {first} and {late}"));
        }
        if let (Some(first), Some(late)) = (self.labels, late.labels)
            && first != late
        {
            found.push(format!("labels {first:?} and {late:?}"));
        }
        let rises = |spec: &Self| spec.counter || matches!(spec.kind, Kind::Counter);
        match (rises(self), rises(late)) {
            (true, false) => found.push("`counter` at the first alone".into()),
            (false, true) => found.push("`counter` at the second alone".into()),
            _ => {}
        }
        (!found.is_empty()).then(|| found.join(", "))
    }

    #[doc(hidden)]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// Fails to compile for a name that no variable can have.
#[doc(hidden)]
pub const fn check_name(name: &'static str) -> &'static str {
    assert!(!name.is_empty(), "a variable needs a name: write one like \"http.requests\"");
    assert!(!has_control(name), "a variable's name holds a control character: remove it");
    name
}

const fn check_number(given: usize, levels: usize) {
    assert!(
        given == levels,
        "a `Family` needs a name for each of its labels: \
         `Family<Counter, (Method, Status)> = \"requests\", labels: [\"method\", \"status\"]`"
    );
}

const fn has_comma(text: &str) -> bool {
    let (bytes, mut at) = (text.as_bytes(), 0);
    while at < bytes.len() {
        if bytes[at] == b',' {
            return true;
        }
        at += 1;
    }
    false
}

/// `text.contains(char::is_control)`, at compile time.
const fn has_control(text: &str) -> bool {
    let (bytes, mut at) = (text.as_bytes(), 0);
    while at < bytes.len() {
        let control = match bytes[at] {
            0..0x20 | 0x7f => true,
            // U+0080 to U+009F.
            0xc2 => bytes[at + 1] < 0xa0,
            _ => false,
        };
        if control {
            return true;
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::has_control;

    #[test]
    fn control_characters_are_those_of_char() {
        for c in (0..0x3000).filter_map(char::from_u32) {
            let text = format!("é{c}ü");
            assert_eq!(has_control(&text), c.is_control(), "{c:?}");
        }
    }
}
