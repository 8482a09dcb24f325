//! Which variables are sent, under which names, and how counters are sent.

use std::collections::HashMap;

use crate::render::name::Path;
use crate::render::pattern::Patterns;
use expvar_push::ConfigError;

/// What is sent of a counter.
///
/// ```
/// use expvar_carbon::{Carbon, Counters};
///
/// // Totals of everything, but requests as the increase since the last push.
/// let carbon = Carbon::new("graphite:2003").counters_matching("http.**", Counters::Deltas);
/// # drop(carbon);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Counters {
    /// Its total since the process started.
    #[default]
    Totals,
    /// Its increase since the previous collection; at the first one, its total.
    Deltas,
    /// Its increase per second; nothing at the first collection.
    Rates,
}

/// The settings as given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choices {
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) renames: Vec<(String, String)>,
    pub(crate) counters: Counters,
    pub(crate) counters_matching: Vec<(String, Counters)>,
    pub(crate) arrays: bool,
    pub(crate) ascii: bool,
}

/// The validated settings. Paths are safe and without the prefix.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    include: Option<Patterns>,
    exclude: Option<Patterns>,
    renames: HashMap<String, String>,
    counters: Counters,
    counters_matching: Option<(Patterns, Vec<Counters>)>,
    pub(crate) arrays: bool,
    pub(crate) ascii: bool,
}

impl Choices {
    pub(crate) fn check(&self) -> Result<Selection, ConfigError> {
        let some = |field: &str, patterns: &[String]| match patterns {
            [] => Ok(None),
            patterns => Patterns::new(field, patterns).map(Some),
        };
        let (patterns, kinds): (Vec<_>, Vec<_>) = self.counters_matching.iter().cloned().unzip();
        let mut renames = HashMap::new();
        for (from, to) in &self.renames {
            let bad = |problem: &str, remedy: &str| {
                Err(ConfigError::new("rename", format!("{from:?} to {to:?} {problem}"), remedy))
            };
            if [from, to].iter().any(|path| path.split('.').any(str::is_empty)) {
                return bad("has an empty segment", "write full paths such as memstats.Alloc");
            }
            let mut path = Path::keeping(self.ascii);
            path.push(from);
            if renames.insert(path.as_str().to_owned(), to.clone()).is_some() {
                return bad("is a second rename of one path", "keep one of them");
            }
        }
        Ok(Selection {
            include: some("include", &self.include)?,
            exclude: some("exclude", &self.exclude)?,
            renames,
            counters: self.counters,
            counters_matching: some("counters_matching", &patterns)?.map(|p| (p, kinds)),
            arrays: self.arrays,
            ascii: self.ascii,
        })
    }
}

impl Selection {
    pub(crate) fn is_wanted(&self, path: &str) -> bool {
        self.include.as_ref().is_none_or(|p| p.matches(path))
            && self.exclude.as_ref().is_none_or(|p| !p.matches(path))
    }

    pub(crate) fn counters(&self, path: &str) -> Counters {
        let matching = self.counters_matching.as_ref();
        let special = matching.and_then(|(p, kinds)| kinds.get(p.first(path)?));
        special.copied().unwrap_or(self.counters)
    }

    /// The new name of the longest renamed prefix of `path`, and its length.
    pub(crate) fn rename(&self, path: &str) -> Option<(&str, usize)> {
        if self.renames.is_empty() {
            return None;
        }
        let ends = path.match_indices('.').map(|(at, _)| at).rev();
        let mut ends = std::iter::once(path.len()).chain(ends);
        ends.find_map(|end| self.renames.get(&path[..end]).map(|to| (to.as_str(), end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_renamed_path_wins_and_carries_what_is_below_it() {
        let rename = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let choices = Choices {
            renames: vec![rename("mem", "m"), rename("mem.heap", "h"), rename("a b", "c")],
            ..Choices::default()
        };
        let selection = choices.check().unwrap();
        assert_eq!(selection.rename("mem.stack"), Some(("m", 3)));
        assert_eq!(selection.rename("mem.heap.x"), Some(("h", 8)));
        assert_eq!(selection.rename("mem.heapx"), Some(("m", 3)));
        assert_eq!(selection.rename("memo"), None);
        assert_eq!(
            selection.rename("a_b_806c5cd3"),
            Some(("c", 12)),
            "paths are compared as they are sent"
        );
    }

    #[test]
    fn bad_renames_are_named() {
        for (from, to) in [("", "a"), ("a", ""), ("a..b", "c"), ("a", "b.")] {
            let choices = Choices { renames: vec![(from.into(), to.into())], ..Choices::default() };
            assert_eq!(choices.check().unwrap_err().field(), "rename");
        }
    }
}
