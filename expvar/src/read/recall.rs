//! Visitors that remember names from one walk to the next.
//!
//! Naming ten thousand points anew is most of what it costs to render them. The benchmarks `carbon`
//! and `prometheus` show what this saves; it is no part of the public interface.

use std::convert::Infallible;

use super::visitor::Visitor;
use crate::names::{Generation, List};
use crate::number::Number;

/// A visitor that remembers what it made of names.
pub trait Recall: Visitor {
    /// Called once before the variables of a registry, and after `begin` of each map before its keys.
    /// Return false if you have cached the names of this generation: they stand for the same
    /// variables in the same order.
    fn names(&mut self, generation: Generation) -> bool;

    /// Called with the number that comes next, before its name is looked up, where
    /// [`names`](Self::names) returned false. Return true if that was all that is needed; else, and
    /// for what is no number, the walk enters it as ever.
    fn next(&mut self, number: Number) -> bool;
}

/// How a walk asks a visitor what it remembers.
pub(crate) trait Memory<V> {
    /// What is known of the names of a list.
    type Names<'l>;

    /// Called before the variables of a registry, or the keys of a map. `None` where each is to be
    /// entered by its name.
    fn names<'l, T>(visitor: &mut V, list: &'l List<T>) -> Option<Self::Names<'l>>;

    /// Shows the number in this place of the list, where that is possible without its name.
    fn next(visitor: &mut V, names: &Self::Names<'_>, at: usize, number: Number) -> bool;
}

/// Nothing: any visitor.
pub(crate) struct Nothing;

impl<V: Visitor> Memory<V> for Nothing {
    type Names<'l> = Infallible;

    fn names<T>(_: &mut V, _: &List<T>) -> Option<Infallible> {
        None
    }

    fn next(_: &mut V, names: &Infallible, _: usize, _: Number) -> bool {
        match *names {}
    }
}

/// Names of a generation.
pub(crate) struct Names;

impl<V: Recall> Memory<V> for Names {
    type Names<'l> = ();

    fn names<T>(visitor: &mut V, list: &List<T>) -> Option<()> {
        (!visitor.names(list.generation())).then_some(())
    }

    #[inline]
    fn next(visitor: &mut V, (): &(), _: usize, number: Number) -> bool {
        visitor.next(number)
    }
}
