//! Kinds and units of variables, from a service's `/metrics`, read once after each start.

use std::collections::{HashMap, HashSet};

use super::units::Unit;
use crate::client::Target;

/// The most families.
const MAX_FAMILIES: usize = 20_000;

/// The parts of a histogram in a document.
const PARTS: &[&str] = &["sum", "min", "max", "mean", "p50", "p90", "p95", "p99", "p999"];

/// The declarations of a service.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds {
    families: HashMap<String, Kind>,
    /// Values of samples without labels.
    values: HashMap<String, f64>,
    /// Names of samples with labels that not all samples have: families of maps.
    keyed: HashSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The declaration of one variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    /// It only goes up.
    pub(super) counts: bool,
    /// Its unit, if known.
    pub(super) unit: Option<Unit>,
}

/// Whether a document is from expvar: it has `expvar.` variables.
pub(super) fn is_ours(document: &[u8]) -> bool {
    memchr::memmem::find(document, b"\"expvar.").is_some()
}

/// The URL of such a service's metrics, beside `/debug/vars`.
pub(super) fn metrics_of(target: &Target) -> Option<Target> {
    let base = target.url().strip_suffix("/debug/vars")?;
    Target::parse(&format!("{base}/metrics")).ok()
}

impl Kinds {
    /// Parses Prometheus' text format; skips what it does not understand.
    pub(super) fn parse(text: &str) -> Kinds {
        let mut kinds = Kinds::default();
        let constants = constants(text);
        for line in text.lines() {
            let mut words = line.split(' ');
            if let Some(declared) = line.strip_prefix("# TYPE ") {
                let (name, kind) = declared.split_once(' ').unwrap_or((declared, ""));
                let kind = match kind {
                    "counter" => Kind::Counter,
                    "gauge" => Kind::Gauge,
                    "histogram" => Kind::Histogram,
                    _ => continue,
                };
                if kinds.families.len() < MAX_FAMILIES {
                    kinds.families.insert(name.to_owned(), kind);
                }
            } else if let Some((name, labels)) = labels(line) {
                if pairs(labels).any(|pair| !constants.contains(pair))
                    && kinds.keyed.len() < MAX_FAMILIES
                    && !kinds.keyed.contains(name)
                {
                    kinds.keyed.insert(name.to_owned());
                }
            } else if let (Some(name), Some(value)) = (words.next(), words.next())
                && !line.starts_with('#')
                && let Ok(value) = value.parse()
                && kinds.values.len() < MAX_FAMILIES
            {
                kinds.values.insert(name.to_owned(), value);
            }
        }
        kinds
    }

    /// The declaration of the variable of this dotted name, or of the map that contains it;
    /// `number` returns the document's numbers.
    pub(super) fn of(&self, name: &str, number: impl Fn(&str) -> Option<f64>) -> Option<Declared> {
        if let Some((base, part)) = name.rsplit_once('.')
            && (part == "count" || PARTS.contains(&part))
            && let Some((family, suffix)) = self.family(base, Kind::Histogram)
        {
            let unit = self.unit(suffix, &format!("{family}_sum"), &format!("{base}.sum"), number);
            // The usual unit of its recordings, if there is none yet.
            let unit = unit.or((suffix == "_seconds").then_some(Unit::Nanoseconds));
            return Some(match part {
                "count" => Declared { counts: true, unit: Some(Unit::Number) },
                part => Declared { counts: part == "sum", unit },
            });
        }
        let mut above = name;
        loop {
            for kind in [Kind::Counter, Kind::Gauge] {
                if let Some((family, suffix)) = self.family(above, kind)
                    && (above == name || self.keyed.contains(&family))
                {
                    let unit = self.unit(suffix, &family, name, &number);
                    return Some(Declared { counts: kind == Kind::Counter, unit });
                }
            }
            above = above.rsplit_once('.')?.0;
        }
    }

    /// The family of a variable, and the unit appended to its name.
    fn family(&self, name: &str, kind: Kind) -> Option<(String, &'static str)> {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
        let name: String = name.chars().map(plain).collect();
        let total = if kind == Kind::Counter { "_total" } else { "" };
        ["", "_seconds", "_bytes"].into_iter().find_map(|suffix| {
            let family = format!("{name}{suffix}{total}");
            let family = if self.families.contains_key(&family) {
                family
            } else {
                name.ends_with(total).then(|| format!("{name}{suffix}"))?
            };
            (self.families.get(&family) == Some(&kind)).then_some((family, suffix))
        })
    }

    /// The unit of a number in the document that its family shows in seconds or bytes.
    fn unit(
        &self,
        suffix: &str,
        sample: &str,
        name: &str,
        number: impl Fn(&str) -> Option<f64>,
    ) -> Option<Unit> {
        match suffix {
            "_bytes" => Some(Unit::Bytes),
            "_seconds" => {
                let ratio = number(name)? / self.values.get(sample)?;
                // Both were read one after the other, so they are close.
                match ratio.log10().round() {
                    9.0 => Some(Unit::Nanoseconds),
                    6.0 => Some(Unit::Microseconds),
                    3.0 => Some(Unit::Milliseconds),
                    0.0 => Some(Unit::Seconds),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// The name and the labels of a sample that has labels.
fn labels(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once('{')?;
    let (labels, _) = rest.rsplit_once('}')?;
    (!name.contains([' ', '#'])).then_some((name, labels))
}

/// Each label with its value, as written.
fn pairs(labels: &str) -> impl Iterator<Item = &str> {
    labels.trim_end_matches(['"', ',']).split("\",")
}

/// The labels with one value in all samples.
fn constants(text: &str) -> HashSet<&str> {
    let mut samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let of = |line| labels(line).map_or_else(HashSet::new, |(_, labels)| pairs(labels).collect());
    let mut constants: HashSet<&str> = samples.next().map_or_else(HashSet::new, of);
    for line in samples {
        if constants.is_empty() {
            break;
        }
        let found = of(line);
        constants.retain(|pair| found.contains(pair));
    }
    constants
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP hits Hits.\n# TYPE hits_total counter\nhits_total 7\n\
# TYPE queue gauge\nqueue 80\n# TYPE pool_count gauge\npool_count 20\n\
# TYPE sent_bytes_total counter\nsent_bytes_total 5\n\
# TYPE lag_seconds gauge\nlag_seconds 0.0118\n\
# TYPE http_latency_seconds histogram\nhttp_latency_seconds_bucket{le=\"1\"} 3\n\
http_latency_seconds_sum 0.0354\nhttp_latency_seconds_count 3\n\
# TYPE routes_total counter\nroutes_total{route=\"/a\"} 4\n\
# TYPE notes_bytes gauge\nnotes_bytes 9\n\
# TYPE link_bytes_total counter\nlink_bytes_total 9\n";

    #[test]
    fn constant_labels_make_no_family_one_of_a_map() {
        let text = "# TYPE notes_bytes gauge\nnotes_bytes{zone=\"eu\",app=\"a b\"} 9\n\
            # TYPE routes_total counter\nroutes_total{route=\"/a\",zone=\"eu\",app=\"a b\"} 4\n";
        let kinds = Kinds::parse(text);
        let number = |_: &str| Some(1.0);
        assert_eq!(kinds.of("notes.count", number), None);
        let routes = Declared { counts: true, unit: None };
        assert_eq!(kinds.of("routes./a", number), Some(routes));
    }

    #[test]
    fn a_service_of_ours_says_what_its_variables_are() {
        let kinds = Kinds::parse(TEXT);
        let number = |name: &str| match name {
            "lag" => Some(11_800.0),
            "http.latency.sum" => Some(35_400_000.0),
            _ => Some(1.0),
        };
        let is = |name: &str, counts, unit| {
            let declared = kinds.of(name, number);
            assert_eq!(declared, Some(Declared { counts, unit }), "{name}");
        };
        is("hits", true, None);
        is("queue", false, None);
        is("pool.count", false, None);
        is("sent", true, Some(Unit::Bytes));
        is("lag", false, Some(Unit::Microseconds));
        is("http.latency.p99", false, Some(Unit::Nanoseconds));
        is("http.latency.count", true, Some(Unit::Number));
        is("http.latency.sum", true, Some(Unit::Nanoseconds));
        is("routes./a", true, None);
        is("routes./new", true, None);
        is("notes.bytes", false, None);
        is("link.bytes", true, None);
        // Members beside those, whose own families have other names.
        assert_eq!(kinds.of("notes.count", number), None);
        assert_eq!(kinds.of("link.age_ns", number), None);
        assert_eq!(kinds.of("unknown", number), None);
    }
}
