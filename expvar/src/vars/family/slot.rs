//! How a family finds the variable of a combination of labels.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use once_cell::sync::OnceCell;

use super::Start;
use crate::Counter;

/// A family's storage for one combination of labels: empty, then its variable.
pub trait Slot<V>: Start {
    /// Returns the variable. Without one, calls `or`, which must call [`set`](Self::set).
    fn get_or<'s>(&'s self, or: impl FnOnce() -> &'s V) -> &'s V;

    /// Stores the variable, for as long as the slot exists.
    fn set(&self, var: Arc<V>) -> &V;
}

/// A counter that shares another's cell, so that recording does not follow a pointer to the owner.
#[derive(Debug)]
pub struct Twin(ManuallyDrop<Counter>);

impl Start for Twin {
    #[allow(clippy::declare_interior_mutable_const, reason = "each use is to be a new one")]
    const START: Self = Self(ManuallyDrop::new(Counter::new()));
}

impl Slot<Counter> for Twin {
    #[inline]
    fn get_or<'s>(&'s self, or: impl FnOnce() -> &'s Counter) -> &'s Counter {
        if self.0.cell().is_none() {
            // `or` returned this same counter.
            or();
        }
        &self.0
    }

    fn set(&self, var: Arc<Counter>) -> &Counter {
        self.0.count_in(&var);
        &self.0
    }
}

/// A variable of any other kind.
#[derive(Debug)]
pub struct Shared<V>(OnceCell<Arc<V>>);

impl<V: Send + Sync + 'static> Start for Shared<V> {
    #[allow(clippy::declare_interior_mutable_const, reason = "each use is to be a new one")]
    const START: Self = Self(OnceCell::new());
}

impl<V: Send + Sync + 'static> Slot<V> for Shared<V> {
    #[inline]
    fn get_or<'s>(&'s self, or: impl FnOnce() -> &'s V) -> &'s V {
        match self.0.get() {
            Some(var) => var,
            None => or(),
        }
    }

    fn set(&self, var: Arc<V>) -> &V {
        self.0.get_or_init(|| var)
    }
}
