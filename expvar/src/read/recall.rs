//! Visitors that remember names from one walk to the next.
//!
//! Naming ten thousand points anew is most of what it costs to render them for Graphite; the
//! benchmark `carbon` shows what this saves. It is for that exporter alone and no part of the public
//! interface.

use super::visitor::Visitor;
use crate::names::Generation;
use crate::number::Number;

/// A visitor that remembers what it made of names.
pub trait Recall: Visitor {
    /// Called before the variables of a registry, and before the keys of a map, after its `begin`.
    /// Return false where what was made of the names of this generation was kept: they stand for
    /// the same variables in the same order.
    fn names(&mut self, generation: Generation) -> bool;

    /// Called with the number that comes next, before its name is looked up, where
    /// [`names`](Self::names) returned false. Return true if that was all that is needed; else, and
    /// for what is no number, the walk enters it as ever.
    fn next(&mut self, number: Number) -> bool;
}

/// How a walk asks a visitor what it remembers.
pub(crate) trait Memory<V> {
    fn names(visitor: &mut V, generation: Generation) -> bool;
    fn next(visitor: &mut V, number: Number) -> bool;
}

/// Nothing: any visitor.
pub(crate) struct Nothing;

impl<V: Visitor> Memory<V> for Nothing {
    fn names(_: &mut V, _: Generation) -> bool {
        true
    }

    fn next(_: &mut V, _: Number) -> bool {
        false
    }
}

/// Names of a generation.
pub(crate) struct Names;

impl<V: Recall> Memory<V> for Names {
    fn names(visitor: &mut V, generation: Generation) -> bool {
        visitor.names(generation)
    }

    #[inline]
    fn next(visitor: &mut V, number: Number) -> bool {
        visitor.next(number)
    }
}
