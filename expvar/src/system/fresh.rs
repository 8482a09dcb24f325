//! A value that is read again when it is asked for and older than a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sync::Mutex;

/// How old a value may be.
const AGE: Duration = Duration::from_secs(1);

/// Keeps the last value, and what its reader reuses from one reading to the next.
///
/// Nothing runs while nobody asks. Who finds the value too old reads it; who comes meanwhile
/// gets the last one and does not wait.
pub(crate) struct Fresh<T, R> {
    last: Mutex<Option<(Instant, Arc<T>)>>,
    reader: Mutex<Option<R>>,
}

impl<T, R: Default> Fresh<T, R> {
    pub(crate) const fn new() -> Fresh<T, R> {
        Fresh { last: Mutex::new(None), reader: Mutex::new(None) }
    }

    /// The last value, or a new one.
    pub(crate) fn get(&self, read: impl FnOnce(&mut R) -> T) -> Arc<T> {
        match self.last() {
            Some((at, value)) if at.elapsed() < AGE => value,
            Some((_, value)) => match self.reader.try_lock() {
                Some(mut reader) => self.refresh(&mut reader, read),
                None => value,
            },
            None => {
                let mut reader = self.reader.lock();
                // Somebody else may have read it while this one waited.
                match self.last() {
                    Some((_, value)) => value,
                    None => self.refresh(&mut reader, read),
                }
            }
        }
    }

    fn last(&self) -> Option<(Instant, Arc<T>)> {
        self.last.lock().clone()
    }

    /// A new value, whatever the age of the last.
    pub(crate) fn get_now(&self, read: impl FnOnce(&mut R) -> T) -> Arc<T> {
        self.refresh(&mut self.reader.lock(), read)
    }

    fn refresh(&self, reader: &mut Option<R>, read: impl FnOnce(&mut R) -> T) -> Arc<T> {
        let value = Arc::new(read(reader.get_or_insert_default()));
        *self.last.lock() = Some((Instant::now(), value.clone()));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::sync::mpsc::channel;
    use std::thread;

    #[test]
    fn a_young_value_is_not_read_again() {
        let fresh = Fresh::new();
        assert_eq!(*fresh.get(|_: &mut ()| 1), 1);
        assert_eq!(*fresh.get(|_| 2), 1);
        assert_eq!(*fresh.get_now(|_| 3), 3);
        assert_eq!(*fresh.get(|_| 4), 3);
    }

    #[test]
    fn an_old_value_is_read_once_and_the_others_do_not_wait() {
        let fresh: Fresh<u64, ()> = Fresh::new();
        *fresh.last.lock() = Some((Instant::now() - AGE, Arc::new(1)));
        let (reading, is_reading) = channel();
        let (finish, may_finish) = channel();
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                *fresh.get(move |_| {
                    reading.send(()).unwrap();
                    may_finish.recv().unwrap();
                    2
                })
            });
            is_reading.recv().unwrap();
            // The reader is in the middle of it, and will stay there.
            assert_eq!(*fresh.get(|_| unreachable!("one reads already")), 1);
            finish.send(()).unwrap();
            assert_eq!(reader.join().unwrap(), 2);
        });
        assert_eq!(*fresh.get(|_| unreachable!("it is new")), 2);
    }

    #[test]
    fn the_first_value_is_read_once_by_many() {
        let fresh: Fresh<u64, ()> = Fresh::new();
        let reads = AtomicU64::new(0);
        let read = |_: &mut ()| reads.fetch_add(1, Relaxed);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(*fresh.get(read), 0));
            }
        });
        assert_eq!(reads.into_inner(), 1);
    }
}
