//! A flat map whose variables are shown at other keys: in a tree of nested maps.
//!
//! The flat map alone decides which variable a key has. So a tree can be made again in another
//! shape, by any thread, and no two threads record into different variables.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use once_cell::sync::OnceCell;

use super::child::Child;
use super::expiry::Handles;
use super::held::Held;
use super::{Map, OTHER};
use crate::names::Generation;
use crate::var::Var;

/// A variable of a flat map.
#[doc(hidden)]
#[derive(Debug)]
pub struct Flat {
    pub var: Var,
    pub live: Live,
    /// Whether this call made it.
    pub is_new: bool,
    /// Whether it is the one of `(other)`, because the map is full.
    pub is_other: bool,
}

/// Says whether a variable is still in its map.
#[doc(hidden)]
#[derive(Clone)]
pub struct Live(Arc<Held>);

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Live").finish_non_exhaustive()
    }
}

impl Live {
    #[inline]
    pub fn is_live(&self) -> bool {
        self.0.is_live()
    }
}

impl Map {
    /// The variable at `key`, made if missing; the one at `(other)` if the map is full and its limit
    /// applies, which is not counted. `None` if the key was added in another way.
    #[doc(hidden)]
    pub fn __get_or_make(&self, key: &str, limited: bool, make: impl Fn() -> Var) -> Option<Flat> {
        let this = self.this();
        let made = RefCell::new(None);
        let (child, placed) = this.child_within(limited, key, || {
            let var = make();
            made.replace(Some(var.clone()));
            Child::new(var, None)
        });
        let is_new = made.into_inner().is_some_and(|made| made.is(&child.var));
        let live = Live(Arc::clone(child.held.get()?));
        Some(Flat { var: child.var, live, is_new, is_other: !placed || key == OTHER })
    }

    /// A tree of this map's variables, each at the keys that `path` returns, without those for
    /// which it returns `None`.
    #[doc(hidden)]
    pub fn __tree(&self, path: impl Fn(&str) -> Option<Vec<String>>) -> Arc<Map> {
        let list = self.this().list_now();
        // This map's limit is the tree's.
        let tree = Arc::new(Map::with_limit(usize::MAX).key_bytes(usize::MAX));
        for (key, child) in list.iter() {
            if let Some(path) = path(key) {
                tree.put_child(&path, child);
            }
        }
        tree
    }

    /// Puts this map's variable at `key` into a tree.
    #[doc(hidden)]
    pub fn __put_into(&self, tree: &Map, key: &str, path: &[String]) {
        let child = self.this().keys.lock().get(key).cloned();
        if let Some(child) = child {
            tree.put_child(path, &child);
        }
    }

    /// Identifies the present keys.
    #[doc(hidden)]
    pub fn __generation(&self) -> Generation {
        self.this().list_now().generation()
    }

    /// Whether no key was added or removed since.
    #[doc(hidden)]
    pub fn __is_at(&self, generation: Generation) -> bool {
        self.this().keys.lock().is_at(generation)
    }

    /// Removes the keys whose variables have not changed for this long, although handles on them
    /// exist. Returns whether it removed any.
    #[doc(hidden)]
    pub fn __expire_unchanged(&self, now: Instant, after: Duration) -> bool {
        self.this().expire_at(now, after, Handles::Ignored)
    }

    /// Puts a variable at the end of a path, making the maps on the way. It keeps its age.
    fn put_child(&self, path: &[String], child: &Child) {
        let [outer @ .., last] = path else { return };
        let mut map: Option<Arc<Map>> = None;
        for key in outer {
            let of = map.as_deref().unwrap_or(self);
            let Some((next, _)) = of.try_get_or_make(key, || of.nested()) else { return };
            map = Some(next);
        }
        // Not the state of caches, which ends with the tree.
        let (var, held) = (child.var.clone(), OnceCell::new());
        let child = Child { var, known: None, held, registered: child.registered };
        let old = map.as_deref().unwrap_or(self).keys.lock().insert(last.as_str().into(), child);
        drop(old);
    }
}
