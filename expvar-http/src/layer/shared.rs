//! A layer's routes, shared by its clones and by the requests that are under way.

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::Arc;

use super::routes::Routes;

/// Layers that one thread keeps handles of.
const NEAR: usize = 4;

thread_local! {
    /// Handles of the layers that the thread recorded through last, each counted by itself.
    static HANDLES: RefCell<Handles> = const { RefCell::new(Handles { all: Vec::new(), next: 0 }) };
}

/// The routes of a layer.
///
/// A router clones its services for each request, and a request holds its routes. A single count of
/// references would be a cache line that all threads write to: so each thread clones a handle of its
/// own, whose count is its own too. It keeps those of four layers until it ends, and with them their
/// routes.
pub(super) enum Shared {
    /// The process's own, which nobody counts.
    Static(&'static Routes),
    Counted(Arc<Handle>),
}

/// One of several that keep the same routes alive.
pub(super) struct Handle(Arc<Routes>);

struct Handles {
    all: Vec<Arc<Handle>>,
    /// The one to be replaced next.
    next: usize,
}

impl Shared {
    pub(super) fn new(routes: Routes) -> Self {
        Self::Counted(Arc::new(Handle(Arc::new(routes))))
    }
}

impl Clone for Shared {
    fn clone(&self) -> Self {
        match self {
            Self::Static(routes) => Self::Static(routes),
            Self::Counted(handle) => Self::Counted(handle.near()),
        }
    }
}

impl Deref for Shared {
    type Target = Routes;

    fn deref(&self) -> &Routes {
        match self {
            Self::Static(routes) => routes,
            Self::Counted(handle) => &handle.0,
        }
    }
}

impl Handle {
    /// The calling thread's handle of the same routes.
    fn near(self: &Arc<Self>) -> Arc<Self> {
        let near = HANDLES.try_with(|handles| {
            let handles = handles.try_borrow().ok()?;
            let is_same = |near: &&Arc<Self>| Arc::ptr_eq(&near.0, &self.0);
            handles.all.iter().find(is_same).map(Arc::clone)
        });
        near.ok().flatten().unwrap_or_else(|| self.begin())
    }

    #[cold]
    #[inline(never)]
    fn begin(&self) -> Arc<Self> {
        let handle = Arc::new(Self(Arc::clone(&self.0)));
        let old = HANDLES.try_with(|handles| {
            let mut handles = handles.try_borrow_mut().ok()?;
            if handles.all.len() < NEAR {
                handles.all.push(Arc::clone(&handle));
                return None;
            }
            let at = handles.next;
            handles.next = (at + 1) % NEAR;
            Some(std::mem::replace(&mut handles.all[at], Arc::clone(&handle)))
        });
        // The last one of a layer drops its routes, when the handles are no longer borrowed.
        drop(old);
        handle
    }
}

#[cfg(test)]
mod tests {
    use super::super::Maps;
    use super::*;

    fn count(shared: &Shared) -> usize {
        match shared {
            Shared::Static(_) => 0,
            Shared::Counted(handle) => Arc::strong_count(handle),
        }
    }

    #[test]
    fn each_thread_counts_its_own_and_keeps_four_layers() {
        let first = Shared::new(Routes::new(Maps::default()));
        let clones = [first.clone(), first.clone()];
        assert_eq!(count(&first), 1, "a clone is of the thread's own");
        assert_eq!(count(&clones[0]), 3, "two clones, and the thread");
        // Joined: what a thread keeps goes after its closure has returned.
        std::thread::scope(|scope| {
            let other = scope.spawn(|| assert_eq!(count(&clones[0].clone()), 2, "its own"));
            other.join().unwrap();
        });
        assert_eq!(count(&clones[0]), 3);
        let Shared::Counted(handle) = &first else { panic!("it is counted") };
        let routes = Arc::downgrade(&handle.0);
        drop((first, clones));
        assert!(routes.upgrade().is_some(), "the thread keeps them");
        for _ in 0..NEAR {
            drop(Shared::new(Routes::new(Maps::default())).clone());
        }
        assert!(routes.upgrade().is_none(), "until it has recorded through four others");
    }
}
