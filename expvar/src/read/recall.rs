//! Visitors with a name cache.
//!
//! Naming ten thousand points again is most of the cost of rendering them. The benchmarks `carbon`
//! and `prometheus` measure what the cache saves. Not part of the public interface.

use std::convert::Infallible;

use super::visitor::Visitor;
use crate::names::{Generation, List};
use crate::number::Number;

/// A visitor that caches what it derives from names.
pub trait Recall: Visitor {
    /// Called once before the variables of a registry, and after `begin` of each map before its keys.
    /// Return false if you have cached the names of this generation: they stand for the same
    /// variables in the same order.
    fn names(&mut self, generation: Generation) -> bool;

    /// Called with the next numbers, before their names are looked up, if [`names`](Self::names)
    /// returned false. Return how many of them, from the first on, needed no more than the number.
    /// The walk enters the variable after those as usual, as it does with variables that are not
    /// numbers, and calls this with the rest.
    fn numbers(&mut self, numbers: &[Number]) -> usize;
}

/// How a walk uses a visitor's name cache.
pub(crate) trait Memory<V> {
    /// State for the names of a list.
    type Names<'l>;

    /// Called before the variables of a registry, or the keys of a map. `None` to enter each by
    /// name.
    fn names<'l, T>(visitor: &mut V, list: &'l List<T>) -> Option<Self::Names<'l>>;

    /// Passes the numbers from this index of the list on without their names; returns how many of
    /// them that was possible for.
    fn numbers(visitor: &mut V, names: &Self::Names<'_>, at: usize, numbers: &[Number]) -> usize;
}

/// No name cache: any visitor.
pub(crate) struct Nothing;

impl<V: Visitor> Memory<V> for Nothing {
    type Names<'l> = Infallible;

    fn names<T>(_: &mut V, _: &List<T>) -> Option<Infallible> {
        None
    }

    fn numbers(_: &mut V, names: &Infallible, _: usize, _: &[Number]) -> usize {
        match *names {}
    }
}

/// A name cache that is valid for one generation.
pub(crate) struct Names;

impl<V: Recall> Memory<V> for Names {
    type Names<'l> = ();

    fn names<T>(visitor: &mut V, list: &List<T>) -> Option<()> {
        (!visitor.names(list.generation())).then_some(())
    }

    #[inline(always)]
    fn numbers(visitor: &mut V, (): &(), _: usize, numbers: &[Number]) -> usize {
        visitor.numbers(numbers)
    }
}
