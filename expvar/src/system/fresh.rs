//! A cache for values that take system calls to read.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::clock::{self, Time};
use crate::sync::Mutex;

/// A value is cached for this many times as long as it took to read, so that reading takes at most
/// a twentieth of a processor with any number of readers.
const SHARE: u32 = 20;

/// Caches the last value for a short time, and keeps the reader's state between reads.
///
/// Nothing runs without readers. A value that took 200 us to read is cached for 4 ms, so a reader
/// with a longer period gets a fresh value each time. Concurrent readers wait for a read in
/// progress.
///
/// After a `fork` the child starts over. If another thread was reading at that moment, the lock
/// stays locked in the child, where each read then starts from scratch.
pub(crate) struct Fresh<T, R> {
    kept: Mutex<Option<Kept<T, R>>>,
    /// The process that used this last.
    process: AtomicU32,
    /// The process in which the lock's holder does not exist.
    orphaned: AtomicU32,
}

struct Kept<T, R> {
    process: u32,
    /// When the read began and how long it took. Zero without a clock, so nothing is cached.
    read: (Time, Duration),
    value: Arc<T>,
    reader: R,
}

impl<T, R: Default> Fresh<T, R> {
    pub(crate) const fn new() -> Fresh<T, R> {
        let [process, orphaned] = [const { AtomicU32::new(0) }; 2];
        Fresh { kept: Mutex::new(None), process, orphaned }
    }

    /// The cached value, or a new one.
    pub(crate) fn get(&self, read: impl FnOnce(&mut R) -> T) -> Arc<T> {
        self.get_if(|kept| kept.read.0.elapsed() < kept.read.1 * SHARE, read)
    }

    /// A new value.
    pub(crate) fn get_now(&self, read: impl FnOnce(&mut R) -> T) -> Arc<T> {
        self.get_if(|_| false, read)
    }

    fn get_if(
        &self,
        is_fresh: impl FnOnce(&Kept<T, R>) -> bool,
        read: impl FnOnce(&mut R) -> T,
    ) -> Arc<T> {
        let process = clock::process_id();
        let before = self.process.swap(process, Relaxed);
        let mut kept = match self.kept.try_lock() {
            Some(kept) => kept,
            None => {
                if before != process {
                    self.orphaned.store(process, Relaxed);
                }
                if self.orphaned.load(Relaxed) == process {
                    return Arc::new(read(&mut R::default()));
                }
                self.kept.lock()
            }
        };
        let last = kept.take().filter(|kept| kept.process == process);
        if let Some(last) = last {
            if is_fresh(&last) {
                let value = Arc::clone(&last.value);
                *kept = Some(last);
                return value;
            }
            return Self::refresh(&mut kept, last.reader, process, read);
        }
        Self::refresh(&mut kept, R::default(), process, read)
    }

    fn refresh(
        kept: &mut Option<Kept<T, R>>,
        mut reader: R,
        process: u32,
        read: impl FnOnce(&mut R) -> T,
    ) -> Arc<T> {
        let began = Time::now();
        let value = Arc::new(read(&mut reader));
        let read = (began, began.elapsed());
        *kept = Some(Kept { process, read, value: Arc::clone(&value), reader });
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::thread;

    impl<T, R> Fresh<T, R> {
        /// Sets when the last read began and how long it took.
        fn set_last(&self, ago: Duration, took: Duration) {
            let mut kept = self.kept.lock();
            kept.as_mut().unwrap().read = (Time::ago(ago), took);
        }
    }

    #[test]
    fn a_value_is_kept_for_twenty_times_as_long_as_it_took() {
        let fresh = Fresh::new();
        let (hour, minute) = (Duration::from_secs(3600), Duration::from_secs(60));
        assert_eq!(*fresh.get(|_: &mut ()| 1), 1);
        fresh.set_last(Duration::ZERO, hour);
        assert_eq!(*fresh.get(|_| unreachable!("it is fresh")), 1);
        fresh.set_last(hour, minute);
        assert_eq!(*fresh.get(|_| 2), 2, "an hour is more than 20 minutes");
        fresh.set_last(Duration::ZERO, hour);
        assert_eq!(*fresh.get_now(|_| 3), 3);
    }

    #[test]
    fn many_at_once_share_one_reading() {
        let fresh = Fresh::new();
        let reads = AtomicU64::new(0);
        fresh.get(|_: &mut ()| 7);
        fresh.set_last(Duration::ZERO, Duration::from_secs(3600));
        let read = |_: &mut ()| {
            reads.fetch_add(1, Relaxed);
            8
        };
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(*fresh.get(read), 7));
            }
        });
        assert_eq!(reads.into_inner(), 0);
    }

    #[test]
    fn a_reader_waits_for_the_reading_that_runs_and_gets_no_older_value() {
        let fresh: Fresh<u64, ()> = Fresh::new();
        fresh.get(|_| 1);
        fresh.set_last(Duration::from_secs(3600), Duration::ZERO);
        let (begin, begun) = std::sync::mpsc::channel();
        let (end, may_end) = std::sync::mpsc::channel::<()>();
        thread::scope(|scope| {
            let fresh = &fresh;
            scope.spawn(move || {
                fresh.get(|_| {
                    begin.send(()).unwrap();
                    may_end.recv().unwrap();
                    2
                })
            });
            begun.recv().unwrap();
            let late = scope.spawn(|| *fresh.get(|_| 3));
            end.send(()).unwrap();
            assert_ne!(late.join().unwrap(), 1);
        });
    }

    #[test]
    fn what_another_process_read_is_not_handed_out() {
        let fresh: Fresh<u64, u64> = Fresh::new();
        fresh.get(|reader| {
            *reader += 1;
            *reader
        });
        fresh.set_last(Duration::ZERO, Duration::from_secs(3600));
        // The state in a child after a fork.
        fresh.kept.lock().as_mut().unwrap().process += 1;
        assert_eq!(*fresh.get(|reader| *reader + 10), 10, "the reader begins anew too");
    }

    #[test]
    fn a_lock_that_a_fork_left_locked_is_not_waited_for() {
        let fresh: Fresh<u64, ()> = Fresh::new();
        let parent = std::process::id() + 1;
        fresh.process.store(parent, Relaxed);
        let _held = fresh.kept.lock();
        assert_eq!(*fresh.get(|_| 1), 1);
        assert_eq!(*fresh.get(|_| 2), 2);
    }
}
