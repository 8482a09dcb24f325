//! Ordered names that are read without a lock.

mod heads;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use crate::numbers::Numbers;
use crate::var::Var;

pub(crate) use heads::{Heads, SEPARATOR};

/// A shared list of names and their values, in byte order.
pub(crate) struct List<T>(Arc<Listing<T>>);

/// Fields that a walk reads for every variable are together, apart from rarely used ones.
struct Listing<T> {
    names: Box<[Arc<str>]>,
    values: Box<[T]>,
    numbers: Numbers,
    heads: OnceLock<Heads>,
    generation: Generation,
}

/// Identifies a list of names of a registry or map. While it is equal, the same names stand for the
/// same variables, in the same order.
///
/// A visitor may cache what it derives from names until it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(u64);

impl Generation {
    fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Relaxed))
    }
}

impl<T> List<T> {
    pub(crate) fn generation(&self) -> Generation {
        self.0.generation
    }

    pub(crate) fn len(&self) -> usize {
        self.0.names.len()
    }

    /// The name at this index, and its value.
    pub(crate) fn at(&self, at: usize) -> (&str, &T) {
        (&self.0.names[at], &self.0.values[at])
    }

    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.0.names
    }

    pub(crate) fn values(&self) -> &[T] {
        &self.0.values
    }

    pub(crate) fn numbers(&self) -> &Numbers {
        &self.0.numbers
    }

    /// What precedes each value in JSON. Always called with the same separator.
    pub(crate) fn heads(&self, separator: &[u8; SEPARATOR]) -> &Heads {
        let names = || self.0.names.iter().map(|name| &**name);
        self.0.heads.get_or_init(|| Heads::new(separator, names()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &T)> {
        self.0.names.iter().zip(&self.0.values)
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A value with a name.
pub(crate) trait Named: Clone {
    fn var(&self) -> &Var;
}

/// An ordered table with shared immutable lists: a reader clones a pointer under the lock and walks
/// without it. The first read after a change makes a new list.
pub(crate) struct Names<T> {
    table: BTreeMap<Arc<str>, T>,
    list: Option<List<T>>,
}

impl<T: Named> Names<T> {
    pub(crate) const fn new() -> Self {
        Self { table: BTreeMap::new(), list: None }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.table.get(name)
    }

    /// Puts `value` under `name` and returns the previous value.
    pub(crate) fn insert(&mut self, name: Arc<str>, value: T) -> Option<T> {
        self.list = None;
        self.table.insert(name, value)
    }

    /// Whether the shared list is this one. False after a change.
    pub(crate) fn is_at(&self, generation: Generation) -> bool {
        self.list.as_ref().is_some_and(|list| list.generation() == generation)
    }

    /// Drops the shared list and its handles.
    pub(crate) fn unlist(&mut self) {
        self.list = None;
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<T> {
        let value = self.table.remove(name)?;
        self.list = None;
        Some(value)
    }

    /// Empties the table and returns its content, to be dropped outside the lock.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new())
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.table.values()
    }

    pub(crate) fn list(&mut self) -> List<T> {
        let table = &self.table;
        let made = || {
            List(Arc::new(Listing {
                names: table.keys().cloned().collect(),
                values: table.values().cloned().collect(),
                numbers: Numbers::of(table.values().map(Named::var)),
                heads: OnceLock::new(),
                generation: Generation::next(),
            }))
        };
        self.list.get_or_insert_with(made).clone()
    }
}
