//! What a key of a map stands for.

use std::sync::Arc;

use once_cell::sync::OnceCell;

use super::LEVELS;
use super::cache::Known;
use super::held::Held;
use crate::clock::unix_nanos;
use crate::names::Named;
use crate::var::Var;

/// The value at a key.
#[derive(Clone)]
pub(crate) struct Child {
    pub(crate) var: Var,
    /// Shared with thread caches, for a key that `add` made.
    pub(super) known: Option<Arc<Known>>,
    /// Shared with thread caches, for a key that was requested by kind.
    pub(super) held: OnceCell<Arc<Held>>,
    /// In nanoseconds since 1970.
    pub(crate) registered: u64,
}

impl Child {
    pub(super) fn new(var: Var, known: Option<Arc<Known>>) -> Self {
        Self { var, known, held: OnceCell::new(), registered: unix_nanos() }
    }

    /// Invalidates the cache entries, here and in nested maps.
    pub(super) fn retire(&self) {
        self.retire_to(LEVELS);
    }

    /// A clone, with the state shared with caches.
    pub(super) fn clone_held(&self) -> Self {
        // A key that `add` made has a cache of its own.
        if self.known.is_none() {
            self.held.get_or_init(|| Arc::new(Held::new(self.var.clone())));
        }
        self.clone()
    }

    fn retire_to(&self, levels: usize) {
        if let Some(known) = &self.known {
            known.retire();
        }
        if let Some(held) = self.held.get() {
            held.retire();
        }
        if let (Var::Map(map), Some(levels)) = (&self.var, levels.checked_sub(1)) {
            map.list_now().values().iter().for_each(|child| child.retire_to(levels));
        }
    }
}

impl Named for Child {
    fn var(&self) -> &Var {
        &self.var
    }
}
