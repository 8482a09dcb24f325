//! How a family finds the variable of a set of labels.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use once_cell::sync::OnceCell;

use super::Start;
use crate::Counter;

/// What a family has for each set of labels: nothing at first, then its variable.
pub trait Slot<V>: Start {
    /// The variable; before there is one, `make` makes it. The family keeps that as long as the
    /// slot.
    fn get_or_make(&self, make: impl FnOnce() -> Arc<V>) -> &V;
}

/// A counter that counts in the cell of another: the cell is found without the one that owns it.
pub struct Twin(ManuallyDrop<Counter>);

impl Start for Twin {
    #[allow(clippy::declare_interior_mutable_const, reason = "each use is to be a new one")]
    const START: Self = Self(ManuallyDrop::new(Counter::new()));
}

impl Slot<Counter> for Twin {
    #[inline]
    fn get_or_make(&self, make: impl FnOnce() -> Arc<Counter>) -> &Counter {
        if self.0.cell().is_none() {
            self.0.count_in(&make());
        }
        &self.0
    }
}

/// Any other variable.
pub struct Shared<V>(OnceCell<Arc<V>>);

impl<V: Send + Sync + 'static> Start for Shared<V> {
    #[allow(clippy::declare_interior_mutable_const, reason = "each use is to be a new one")]
    const START: Self = Self(OnceCell::new());
}

impl<V: Send + Sync + 'static> Slot<V> for Shared<V> {
    #[inline]
    fn get_or_make(&self, make: impl FnOnce() -> Arc<V>) -> &V {
        match self.0.get() {
            Some(var) => var,
            None => self.0.get_or_init(make),
        }
    }
}
