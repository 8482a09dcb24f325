//! Variables whose publisher keeps a state with them: compare-and-swap of both at once.

use std::any::Any;
use std::sync::Arc;

use super::table::State;
use super::{Entry, PublishError, Registry, check_name};
use crate::clock::unix_nanos;
use crate::info::Info;
use crate::var::Var;

/// What was published under a name at one moment.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Published {
    pub var: Var,
    pub info: Arc<Info>,
    state: Option<State>,
}

impl Published {
    /// The publisher's state, if it is of this type.
    pub fn state<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(self.state.as_ref()?).downcast().ok()
    }
}

/// What to publish in place of a [`Published`].
#[doc(hidden)]
#[derive(Debug)]
pub struct Publication {
    pub var: Var,
    pub info: Info,
    pub state: State,
}

impl Registry {
    #[doc(hidden)]
    pub fn __published(&self, name: &str) -> Option<Published> {
        let table = self.table();
        let Entry { var, info, .. } = table.get(name)?;
        let state = table.state(name).cloned();
        Some(Published { var: var.clone(), info: Arc::clone(info), state })
    }

    /// Publishes, replaces or removes a variable if `name` still has the variable and the metadata
    /// that were `seen`, and `if_so` agrees. Returns whether it did.
    ///
    /// `if_so` runs under the registry's lock.
    ///
    /// # Errors
    /// The name is empty, or contains a control character.
    #[doc(hidden)]
    pub fn __exchange(
        &self,
        name: &str,
        seen: Option<&Published>,
        new: Option<Publication>,
        if_so: impl FnOnce() -> bool,
    ) -> Result<bool, PublishError> {
        check_name(name)?;
        let mut table = self.table();
        let as_seen = match (table.get(name), seen) {
            (None, None) => true,
            (Some(entry), Some(seen)) => {
                entry.var.is(&seen.var) && Arc::ptr_eq(&entry.info, &seen.info)
            }
            _ => false,
        };
        // Rejected publications are dropped after the lock, and so are removed ones.
        if !as_seen || !if_so() {
            drop(table);
            return Ok(false);
        }
        let removed = match new {
            Some(Publication { var, info, state }) => {
                let registered = table.get(name).map_or_else(unix_nanos, |entry| entry.registered);
                table.insert(name, Entry::new(var, info, registered), Some(state))
            }
            None => table.remove(name),
        };
        drop(table);
        drop(removed);
        Ok(true)
    }

    /// The state of a variable that was `seen`; sets it to `state` if there is none. `None` if
    /// another variable has the name by now, or the state is of another type.
    #[doc(hidden)]
    pub fn __get_or_set_state<T: Any + Send + Sync>(
        &self,
        name: &str,
        seen: &Var,
        state: Arc<T>,
    ) -> Option<Arc<T>> {
        let mut table = self.table();
        if !table.get(name)?.var.is(seen) {
            return None;
        }
        if let Some(state) = table.state(name) {
            return Arc::clone(state).downcast().ok();
        }
        table.set_state(name, Arc::clone(&state) as State);
        Some(state)
    }

    /// The names whose publisher keeps a state of this type.
    #[doc(hidden)]
    pub fn __states<T: Any + Send + Sync>(&self) -> Vec<(Arc<str>, Arc<T>)> {
        let all: Vec<_> = {
            let table = self.table();
            table.states().map(|(name, state)| (Arc::clone(name), Arc::clone(state))).collect()
        };
        let ours = |(name, state): (Arc<str>, State)| Some((name, state.downcast().ok()?));
        all.into_iter().filter_map(ours).collect()
    }
}
