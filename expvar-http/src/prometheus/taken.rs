//! Tracks used names, so that no series is duplicated and no family is split.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;

use expvar::__private::BuildIdentity;

use super::samples::Type;

/// Suffixes of samples' names.
const ENDINGS: [&str; 6] = ["_total", "_created", "_bucket", "_count", "_sum", "_info"];

/// A name for lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hashed {
    name: u64,
    /// The name without its suffix, and which suffix that is.
    stem: Option<(u64, u8)>,
}

impl Hashed {
    pub(super) fn new(name: &str) -> Self {
        let stem = ENDINGS.iter().enumerate().find_map(|(at, ending)| {
            let stem = name.strip_suffix(ending)?;
            Some((hash(stem), 1 << at))
        });
        Self { name: hash(name), stem }
    }
}

fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name.as_bytes());
    hasher.finish()
}

/// The families' names.
///
/// Scrapes mostly use the same names in the same order. So names are kept in order with their
/// verdicts, and while a scrape repeats the previous one, each name costs a comparison; from the
/// first difference on they are looked up.
#[derive(Debug, Default)]
pub(super) struct Taken {
    log: Vec<Take>,
    at: usize,
    has_diverged: bool,
    /// Names, with a bit for each suffix of their samples.
    families: HashMap<u64, u8, BuildIdentity>,
    /// Names without their suffix, of families whose own name has one.
    stems: HashMap<u64, u8, BuildIdentity>,
}

#[derive(Debug, Clone, Copy)]
struct Take {
    name: Hashed,
    kind: Type,
    was_free: bool,
}

impl Taken {
    /// Begins a scrape.
    pub(super) fn begin(&mut self) {
        self.at = 0;
        self.has_diverged = false;
    }

    /// Ends a scrape.
    pub(super) fn end(&mut self) {
        self.log.truncate(self.at);
        if self.has_diverged {
            (self.families, self.stems) = Default::default();
        }
    }

    /// The number of names used so far.
    pub(super) fn len(&self) -> usize {
        self.at
    }

    /// Uses the same names as the last scrape at this position; returns whether all names before
    /// were the same.
    #[inline]
    pub(super) fn repeat(&mut self, took: &Range<usize>) -> bool {
        let repeats = !self.has_diverged && self.at == took.start;
        if repeats {
            self.at = took.end;
        }
        repeats
    }

    /// Uses a family's name with its samples' names. Returns whether they were free.
    pub(super) fn take(&mut self, name: Hashed, kind: Type) -> bool {
        if !self.has_diverged {
            match self.log.get(self.at) {
                Some(last) if last.name == name && last.kind == kind => {
                    self.at += 1;
                    return last.was_free;
                }
                _ => self.diverge(),
            }
        }
        let was_free = self.insert(name, kind);
        self.log.push(Take { name, kind, was_free });
        self.at += 1;
        was_free
    }

    fn diverge(&mut self) {
        self.has_diverged = true;
        let last = self.log.len();
        self.log.truncate(self.at);
        self.families.reserve(last);
        for at in 0..self.log.len() {
            let Take { name, kind, was_free } = self.log[at];
            if was_free {
                self.insert(name, kind);
            }
        }
    }

    fn insert(&mut self, name: Hashed, kind: Type) -> bool {
        let endings = kind.reserved().iter().fold(0, |endings, reserved| {
            let at = ENDINGS.iter().position(|ending| ending == reserved);
            endings | at.map_or(0, |at| 1 << at)
        });
        let has = |of: Option<&u8>, endings: u8| of.is_some_and(|has| has & endings != 0);
        if let Some((stem, ending)) = name.stem
            && has(self.families.get(&stem), ending)
        {
            return false;
        }
        if !self.stems.is_empty() && has(self.stems.get(&name.name), endings) {
            return false;
        }
        match self.families.entry(name.name) {
            std::collections::hash_map::Entry::Occupied(_) => return false,
            std::collections::hash_map::Entry::Vacant(free) => free.insert(endings),
        };
        if let Some((stem, ending)) = name.stem {
            *self.stems.entry(stem).or_default() |= ending;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_takes_its_samples_names_too() {
        let mut taken = Taken::default();
        let mut take = |name: &str, kind| taken.take(Hashed::new(name), kind);
        assert!(take("took", Type::Histogram));
        assert!(!take("took", Type::Gauge), "the same name");
        assert!(!take("took_count", Type::Gauge), "a sample's name");
        assert!(take("took_total", Type::Gauge), "no sample's name");
        assert!(!take("took_total", Type::Gauge));
        // In the other order.
        assert!(take("queue_sum", Type::Gauge));
        assert!(!take("queue", Type::Histogram));
        assert!(take("queue", Type::Gauge));
        assert!(take("x_total", Type::Gauge));
        assert!(!take("x", Type::Counter), "x_total is there");
    }

    #[test]
    fn every_text_gets_the_verdicts_that_it_would_get_alone() {
        let texts: [&[(&str, Type)]; 6] = [
            &[
                ("a", Type::Gauge),
                ("b", Type::Counter),
                ("b_total", Type::Gauge),
                ("c", Type::Gauge),
            ],
            &[
                ("a", Type::Gauge),
                ("b", Type::Counter),
                ("b_total", Type::Gauge),
                ("c", Type::Gauge),
            ],
            &[
                ("a", Type::Gauge),
                ("b_total", Type::Gauge),
                ("b", Type::Counter),
                ("a", Type::Info),
            ],
            &[("a", Type::Counter), ("b_total", Type::Gauge)],
            &[("a", Type::Counter)],
            &[
                ("a", Type::Counter),
                ("a_total", Type::Gauge),
                ("c", Type::Gauge),
                ("c", Type::Gauge),
            ],
        ];
        let mut kept = Taken::default();
        for text in texts.iter().cycle().take(12) {
            let mut alone = Taken::default();
            kept.begin();
            for &(name, kind) in *text {
                let verdict = alone.take(Hashed::new(name), kind);
                assert_eq!(kept.take(Hashed::new(name), kind), verdict, "{name} of {text:?}");
            }
            kept.end();
            assert_eq!(kept.len(), text.len());
        }
    }
}
