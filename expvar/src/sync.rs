//! The locks and atomics that the crate uses, in one place so that a model checker can replace them.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64};

pub(crate) use once_cell::race::OnceBox;
#[cfg(feature = "parking_lot")]
pub(crate) use parking_lot::Mutex;

#[cfg(not(feature = "parking_lot"))]
pub(crate) use plain::Mutex;

/// Declares functions that are `const`, which those of a model checker's atomics cannot be.
macro_rules! constant {
    ($($(#[$about:meta])* $visible:vis fn $name:ident() -> $out:ty $body:block)*) => {
        $($(#[$about])* $visible const fn $name() -> $out $body)*
    };
}

/// An array whose elements are made one by one.
macro_rules! each {
    ($element:expr) => {
        [const { $element }; _]
    };
}

/// A static array of zeroes.
macro_rules! zeroes {
    ($len:expr) => {{
        static ZEROES: $crate::sync::Zeroes<{ $len }> = $crate::sync::Zeroes::new();
        &ZEROES.0
    }};
}

pub(crate) use {constant, each, zeroes};

/// Numbers that start at zero, on cache lines of their own. As part of a static they take no room
/// in the program's file.
#[repr(align(64))]
pub(crate) struct Zeroes<const N: usize>(pub(crate) [AtomicU64; N]);

impl<const N: usize> Zeroes<N> {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }
}

/// A table whose entries are made one by one, each once.
pub(crate) struct Table<T, const N: usize>([OnceBox<T>; N]);

impl<T, const N: usize> Table<T, N> {
    pub(crate) const fn new() -> Self {
        Self([const { OnceBox::new() }; N])
    }

    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.0.get(at)?.get()
    }

    /// Makes an entry, unless somebody else has meanwhile.
    pub(crate) fn set(&self, at: usize, value: Box<T>) {
        if let Some(entry) = self.0.get(at) {
            let _ = entry.set(value);
        }
    }
}

/// Memory that comes zeroed from the system, so that what nobody touches takes address space only;
/// `None` where the system refuses.
pub(crate) fn zeroed<const N: usize>() -> Option<Box<[AtomicU64; N]>> {
    bytemuck::allocation::try_zeroed_slice_box::<AtomicU64>(N).ok()?.try_into().ok()
}

/// Takes a lock that is only ever held for microseconds. `None` after a while: then a thread holds
/// it that is not there, because this process was forked from one in which it did.
pub(crate) fn lock_for_a_while<T>(mutex: &Mutex<T>) -> Option<impl std::ops::DerefMut<Target = T>> {
    (0..TRIES).find_map(|times| {
        let guard = mutex.try_lock();
        if guard.is_none() {
            pause(times);
        }
        guard
    })
}

/// Some 30 ms.
const TRIES: u32 = 1_500;

/// Waits for another thread, which has been waited for `times` already.
pub(crate) fn pause(times: u32) {
    match times {
        0..64 => std::hint::spin_loop(),
        64..1_000 => std::thread::yield_now(),
        _ => std::thread::sleep(std::time::Duration::from_micros(50)),
    }
}

/// `std`'s mutex without poisoning: what a panicking holder left is still a consistent state here,
/// because no foreign code runs under our locks.
#[cfg(not(feature = "parking_lot"))]
mod plain {
    use std::sync::{MutexGuard, PoisonError, TryLockError};

    pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(std::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        }
    }
}
