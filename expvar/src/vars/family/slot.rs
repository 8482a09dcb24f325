//! How a family finds the variable of a set of labels.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use once_cell::sync::OnceCell;

use super::Start;
use crate::Counter;

/// What a family has for each set of labels: nothing at first, then its variable.
pub trait Slot<V>: Start {
    /// The variable; before there is one, what `set` returns, which is for `or` to call.
    fn get_or<'s>(&'s self, or: impl FnOnce() -> &'s V) -> &'s V;

    /// Shows a variable from now on. The family keeps it as long as the slot.
    fn set(&self, var: Arc<V>) -> &V;
}

/// A counter that counts in the cell of another: the cell is found without the one that owns it.
pub struct Twin(ManuallyDrop<Counter>);

impl Start for Twin {
    #[allow(clippy::declare_interior_mutable_const, reason = "each use is to be a new one")]
    const START: Self = Self(ManuallyDrop::new(Counter::new()));
}

impl Slot<Counter> for Twin {
    #[inline]
    fn get_or<'s>(&'s self, or: impl FnOnce() -> &'s Counter) -> &'s Counter {
        if self.0.cell().is_none() {
            // It returns this one: where it is need not be looked at.
            or();
        }
        &self.0
    }

    fn set(&self, var: Arc<Counter>) -> &Counter {
        self.0.count_in(&var);
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
