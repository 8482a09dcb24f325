//! The locks and atomics that the crate uses, in one place so that a model checker can replace them.

pub(crate) use std::sync::atomic::AtomicU64;

#[cfg(feature = "parking_lot")]
pub(crate) use parking_lot::Mutex;

#[cfg(not(feature = "parking_lot"))]
pub(crate) use plain::Mutex;

/// A zeroed run of at least `len` cells that shares no cache line with anything else.
///
/// The memory comes zeroed from the system, so cells that nobody touches cost address space only.
/// It is never freed: the pool recycles it.
pub(crate) fn zeroed_slab(len: usize) -> &'static [AtomicU64] {
    const LINE: usize = 128 / size_of::<AtomicU64>();
    let len = len.next_multiple_of(LINE);
    let cells: &'static [AtomicU64] =
        Box::leak(bytemuck::allocation::zeroed_slice_box::<AtomicU64>(len + LINE));
    let skip = cells.as_ptr().align_offset(128);
    &cells[skip..skip + len]
}

/// `std`'s mutex without poisoning: what a panicking holder left is still a consistent state here,
/// because no foreign code runs under our locks.
#[cfg(not(feature = "parking_lot"))]
mod plain {
    #[cfg(feature = "process")]
    use std::sync::TryLockError;
    use std::sync::{MutexGuard, PoisonError};

    pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(std::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        #[cfg(feature = "process")]
        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        }
    }
}
