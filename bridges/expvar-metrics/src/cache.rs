//! A thread's cache of metric handles, so that finding a known one takes no lock.

use std::cell::RefCell;
use std::collections::HashMap;

use expvar::__private::{BuildIdentity, Live};
use expvar::Kind;
use metrics::Key;

use crate::handles::Recorded;

/// The size of a thread's cache, over all recorders; it is emptied when full.
const LIMIT: usize = 4096;

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::new(Known::default());
}

/// Keys are hashes.
type Known = HashMap<u64, Place, BuildIdentity>;

struct Place {
    recorder: u64,
    key: Key,
    recorded: Recorded,
    /// `None` for one that is never removed.
    live: Option<Live>,
}

/// The cached handle of a metric.
#[inline]
pub(crate) fn get(recorder: u64, kind: Kind, key: &Key) -> Option<Recorded> {
    let known = |known: &RefCell<Known>| {
        let known = known.try_borrow().ok()?;
        let place = known.get(&hash(recorder, kind, key))?;
        let live = place.live.as_ref().is_none_or(Live::is_live);
        let same = live && place.recorder == recorder && place.key == *key;
        // With the same recorder and key, the same hash means the same kind.
        same.then(|| place.recorded.clone())
    };
    KNOWN.try_with(known).ok().flatten()
}

/// Caches a handle for the calling thread.
pub(crate) fn put(recorder: u64, kind: Kind, key: &Key, recorded: Recorded, live: Option<Live>) {
    let hash = hash(recorder, kind, key);
    let place = Place { recorder, key: key.to_retained(), recorded, live };
    let old = KNOWN.try_with(|known| {
        let mut known = known.try_borrow_mut().ok()?;
        let forgotten = (known.len() >= LIMIT).then(|| std::mem::take(&mut *known));
        Some((known.insert(hash, place), forgotten))
    });
    // Dropped after the cache is released.
    drop(old);
}

#[inline]
fn hash(recorder: u64, kind: Kind, key: &Key) -> u64 {
    key.get_hash() ^ (recorder << 8) ^ kind as u64
}
