//! Handles that a thread got from maps before, so that getting one again takes no lock.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::identity::BuildIdentity;
use crate::member::Member;
use crate::var::Var;

use super::query::Query;

/// Handles that one thread remembers at the most, of all maps together; it then starts anew.
const LIMIT: usize = 4096;

thread_local! {
    static HELD: RefCell<Table> = RefCell::default();
}

/// Queries come with a hash.
type Table = HashMap<u64, Place, BuildIdentity>;

/// What threads share of a variable in a map.
pub(super) struct Held {
    /// False once the variable was taken out of its map.
    live: AtomicBool,
    /// Whether anybody asked for it since this was last cleared.
    used: AtomicBool,
    var: Var,
}

impl Held {
    pub(super) fn new(var: Var) -> Self {
        Self { live: AtomicBool::new(true), used: AtomicBool::new(true), var }
    }

    /// Makes every thread look again.
    pub(super) fn retire(&self) {
        // Pairs with the load in `with`.
        self.live.store(false, Release);
    }

    /// Whether anybody asked for it since the last time this was asked.
    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Relaxed)
    }
}

struct Place {
    map: u64,
    ends: [u64; 2],
    key: Box<str>,
    held: Arc<Held>,
}

/// Runs `f` on a variable that the calling thread got before; `None` if it is to be looked for.
#[inline]
pub(super) fn with<M: Member, R>(query: &Query<'_>, f: impl FnOnce(&Arc<M>) -> R) -> Option<R> {
    let known = |table: &RefCell<Table>| {
        let table = table.try_borrow().ok()?;
        let place = table.get(&query.hash)?;
        // Pairs with the store in `retire`: what comes after a removal finds it done.
        if !query.is(place.map, place.ends, &place.key) || !place.held.live.load(Acquire) {
            return None;
        }
        let member = M::of(&place.held.var)?;
        if !place.held.used.load(Relaxed) {
            place.held.used.store(true, Relaxed);
        }
        Some(f(member))
    };
    HELD.try_with(known).ok().flatten()
}

/// Remembers a variable in the calling thread.
pub(super) fn learn(query: &Query<'_>, held: Arc<Held>) {
    let Query { map, key, ends, hash } = *query;
    let place = Place { map, ends, key: key.into(), held };
    // A thread in its teardown remembers nothing, which is slow and right.
    let old = HELD.try_with(|table| {
        let mut table = table.try_borrow_mut().ok()?;
        let forgotten = (table.len() >= LIMIT).then(|| std::mem::take(&mut *table));
        Some((table.insert(hash, place), forgotten))
    });
    // Dropped when the table is no longer borrowed.
    drop(old);
}

/// Forgets, in the calling thread, variables that were taken out of their maps.
pub(super) fn forget_retired() {
    let gone = HELD.try_with(|table| {
        let mut table = table.try_borrow_mut().ok()?;
        Some(table.extract_if(|_, place| !place.held.live.load(Acquire)).collect::<Vec<_>>())
    });
    drop(gone);
}
