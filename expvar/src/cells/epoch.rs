//! How long an epoch lasts.

use std::time::Duration;

use super::{STORE, sizes};
use crate::clock::Time;
use crate::sync::Mutex;

/// The least duration of an epoch. A private copy unused for three is reclaimed.
const EPOCH: Duration = Duration::from_secs(20);

/// When the current epoch began.
static EPOCH_BEGAN: Mutex<Option<Time>> = Mutex::new(None);

/// Begins an epoch if the current one has lasted long enough. Called by readers: without reads, no
/// epoch ends.
pub(super) fn begin() {
    // Another thread has the lock and does it.
    let Some(mut began) = EPOCH_BEGAN.try_lock() else { return };
    let now = Time::now();
    match *began {
        Some(before) if now.since(before) < EPOCH => {}
        Some(_) => {
            STORE.begin_epoch();
            *began = Some(now);
        }
        None => *began = Some(now),
    }
}

/// For tests: makes all private copies look unused for a long time. No thread may be recording.
#[doc(hidden)]
pub fn age() {
    (0..sizes::OLD).for_each(|_| STORE.begin_epoch());
}
