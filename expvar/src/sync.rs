//! Locks and atomics, in one place so that a model checker can replace them.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64};

pub(crate) use once_cell::race::OnceBox;
#[cfg(feature = "parking_lot")]
pub(crate) use parking_lot::Mutex;

#[cfg(not(feature = "parking_lot"))]
pub(crate) use plain::Mutex;

/// Declares functions that are `const`, except under a model checker, whose atomics are not.
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

/// Numbers that start at zero, on their own cache lines. In a static they take no space in the
/// executable.
#[repr(align(64))]
pub(crate) struct Zeroes<const N: usize>(pub(crate) [AtomicU64; N]);

impl<const N: usize> Zeroes<N> {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }
}

/// A table whose entries are each set once.
pub(crate) struct Table<T, const N: usize>([OnceBox<T>; N]);

impl<T, const N: usize> Table<T, N> {
    pub(crate) const fn new() -> Self {
        Self([const { OnceBox::new() }; N])
    }

    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.0.get(at)?.get()
    }

    /// Sets an entry, unless another thread was faster.
    pub(crate) fn set(&self, at: usize, value: Box<T>) {
        if let Some(entry) = self.0.get(at) {
            let _ = entry.set(value);
        }
    }
}

/// Memory zeroed by the system, so that unused parts take address space only; `None` if the system
/// refuses.
pub(crate) fn zeroed<const N: usize>() -> Option<Box<[AtomicU64; N]>> {
    bytemuck::allocation::try_zeroed_slice_box::<AtomicU64>(N).ok()?.try_into().ok()
}

/// Takes a lock that is only ever held for microseconds. `None` after a timeout: its holder is then
/// a thread of the process that this one was forked from.
pub(crate) fn lock_for_a_while<T>(mutex: &Mutex<T>) -> Option<impl std::ops::DerefMut<Target = T>> {
    (0..TRIES).find_map(|times| {
        let guard = mutex.try_lock();
        if guard.is_none() {
            pause(times);
        }
        guard
    })
}

/// About 30 ms.
const TRIES: u32 = 1_500;

/// Backs off after `times` attempts to get a lock.
pub(crate) fn pause(times: u32) {
    match times {
        0..64 => std::hint::spin_loop(),
        64..1_000 => std::thread::yield_now(),
        _ => std::thread::sleep(std::time::Duration::from_micros(50)),
    }
}

/// `std`'s mutex without poisoning: no foreign code runs under our locks, so a panicking holder
/// leaves a consistent state.
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
