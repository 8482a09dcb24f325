//! Which variables of a document become points, and under which names.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// How large a document may be before it is refused whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the document, after decompression. Default 16 MiB.
    pub bytes: usize,
    /// Objects and arrays inside each other. Default 128, at most 1,000.
    pub depth: usize,
    /// Numbers that become points. Default 100,000.
    pub numbers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 16 << 20, depth: 128, numbers: 100_000 }
    }
}

/// What is left out, what is called otherwise, and what is taken besides numbers.
///
/// Keys are matched bare, at every level; ignoring is tested on the document's own key,
/// before it is renamed. Ignoring a map leaves out all that is in it.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    keys: HashMap<String, Rule, RandomState>,
    /// Take `true` as 1 and `false` as 0.
    pub booleans: bool,
    /// Take arrays, each value under its index.
    pub arrays: bool,
    /// What a document may hold at most.
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
    /// All of them as one text: the same for the same rules, in whatever order they were given.
    pub(crate) fn written(&self) -> String {
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_unstable_by_key(|(key, _)| *key);
        format!("{keys:?} {} {} {:?}", self.booleans, self.arrays, self.limits)
    }

    /// Leaves `key` out, wherever it stands.
    pub fn ignore(&mut self, key: impl Into<String>) {
        self.keys.insert(key.into(), Rule::Ignore);
    }

    /// Calls `key` by another name, unless it is ignored; of two renames of one key the later counts.
    pub fn rename(&mut self, key: impl Into<String>, to: impl Into<String>) {
        let rule = self.keys.entry(key.into()).or_insert(Rule::Rename(String::new()));
        if let Rule::Rename(name) = rule {
            *name = to.into();
        }
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
