//! The variables of a registry by name, and their publishers' states.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Entry;
use crate::names::{List, Names};

/// What a publisher keeps with a variable.
pub(super) type State = Arc<dyn Any + Send + Sync>;

/// The variables by name. Few have a state, so states are in a table of their own.
pub(super) struct Table {
    names: Names<Entry>,
    states: BTreeMap<Arc<str>, State>,
}

/// A removed entry and its state, to be dropped outside the lock.
pub(super) struct Removed {
    pub(super) entry: Option<Entry>,
    _state: Option<State>,
}

impl Table {
    pub(super) const fn new() -> Self {
        Self { names: Names::new(), states: BTreeMap::new() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.names.get(name)
    }

    pub(super) fn state(&self, name: &str) -> Option<&State> {
        self.states.get(name)
    }

    /// Every name with a state.
    pub(super) fn states(&self) -> impl Iterator<Item = (&Arc<str>, &State)> {
        self.states.iter()
    }

    /// Puts an entry under `name`, and returns the previous one.
    #[must_use]
    pub(super) fn insert(&mut self, name: &str, entry: Entry, state: Option<State>) -> Removed {
        let name: Arc<str> = name.into();
        let old = match state {
            Some(state) => self.states.insert(Arc::clone(&name), state),
            None => self.states.remove(&name),
        };
        Removed { entry: self.names.insert(name, entry), _state: old }
    }

    /// Sets the state of the entry under `name`.
    pub(super) fn set_state(&mut self, name: &str, state: State) -> Option<State> {
        self.states.insert(name.into(), state)
    }

    #[must_use]
    pub(super) fn remove(&mut self, name: &str) -> Removed {
        Removed { entry: self.names.remove(name), _state: self.states.remove(name) }
    }

    pub(super) fn list(&mut self) -> List<Entry> {
        self.names.list()
    }
}
