//! Names in order, read without a lock.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A shared list of names and what they stand for, in byte order.
pub(crate) type List<T> = Arc<[(Arc<str>, T)]>;

/// An ordered table that hands out immutable lists of itself: a reader clones a pointer under the
/// lock and walks without it. A list is made anew by the first read after a change.
pub(crate) struct Names<T> {
    table: BTreeMap<Arc<str>, T>,
    list: Option<List<T>>,
}

impl<T: Clone> Names<T> {
    pub(crate) const fn new() -> Self {
        Self { table: BTreeMap::new(), list: None }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.table.get(name)
    }

    /// Puts `value` under `name` and returns what was there.
    pub(crate) fn insert(&mut self, name: Arc<str>, value: T) -> Option<T> {
        self.list = None;
        self.table.insert(name, value)
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<T> {
        let value = self.table.remove(name)?;
        self.list = None;
        Some(value)
    }

    /// Empties the table and returns what was in it, to be dropped outside the lock.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new())
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.table.values()
    }

    pub(crate) fn list(&mut self) -> List<T> {
        let table = &self.table;
        Arc::clone(self.list.get_or_insert_with(|| {
            table.iter().map(|(name, value)| (Arc::clone(name), value.clone())).collect()
        }))
    }
}
