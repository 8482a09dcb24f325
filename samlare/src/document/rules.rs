//! Which values of a document become points, and their names.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Limits above which a document is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the document, after decompression. Default 16 MiB.
    pub bytes: usize,
    /// Nesting of objects and arrays. Default: 128, at most 1,000.
    pub depth: usize,
    /// Numbers that become points. Default: 100,000.
    pub numbers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 16 << 20, depth: 128, numbers: 100_000 }
    }
}

/// What is ignored, renamed, and included besides numbers.
///
/// Single keys are matched at every level. Ignoring matches the document's key, before renaming,
/// and drops everything below it.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    keys: HashMap<String, Rule, RandomState>,
    /// Send `true` as 1 and `false` as 0.
    pub booleans: bool,
    /// Send arrays, each value under its index.
    pub arrays: bool,
    /// Limits of a document.
    pub limits: Limits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Ignore,
    Rename(String),
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len()
            && self.keys.iter().all(|(key, rule)| other.keys.get(key) == Some(rule))
            && self.booleans == other.booleans
            && self.arrays == other.arrays
            && self.limits == other.limits
    }
}

impl Rules {
    /// The rules as text, independent of their order.
    pub(crate) fn written(&self) -> String {
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_unstable_by_key(|(key, _)| *key);
        format!("{keys:?} {} {} {:?}", self.booleans, self.arrays, self.limits)
    }

    /// Ignores `key` at every level.
    pub fn ignore(&mut self, key: impl Into<String>) {
        self.keys.insert(key.into(), Rule::Ignore);
    }

    /// Renames `key`, unless it is ignored; the last rename of a key wins.
    pub fn rename(&mut self, key: impl Into<String>, to: impl Into<String>) {
        let rule = self.keys.entry(key.into()).or_insert(Rule::Rename(String::new()));
        if let Rule::Rename(name) = rule {
            *name = to.into();
        }
    }

    /// Nothing but these limits.
    pub(crate) fn limited(limits: Limits) -> Self {
        Rules { limits, ..Rules::default() }
    }

    /// Whether a key is ignored or renamed.
    pub(crate) fn names(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    pub(super) fn ignores(&self, key: &str) -> bool {
        !self.keys.is_empty() && self.keys.get(key) == Some(&Rule::Ignore)
    }

    pub(super) fn renamed<'a>(&'a self, key: &'a str) -> &'a str {
        if self.keys.is_empty() {
            return key;
        }
        match self.keys.get(key) {
            Some(Rule::Rename(name)) => name,
            _ => key,
        }
    }
}
