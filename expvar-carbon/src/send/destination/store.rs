//! A destination's spool and its progress.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use expvar_push::{Batch, Event, Queue, Spool};
use tokio::time::timeout;

use super::Destination;
use crate::send::stats::Counts;

/// How often completed batches are removed from the spool.
const SPOOL_TICK: Duration = Duration::from_millis(500);
/// How long to wait after a failed write before the next one.
const SPOOL_RETRY: Duration = Duration::from_secs(5);

/// A queue's copy on disk.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) spool: Spool,
    /// The number after the last batch on disk.
    pub(super) next_seq: u64,
    /// A write failed: the batches from there on are in memory only.
    has_failed: bool,
}

impl Store {
    pub(super) fn new((spool, next_seq): (Spool, u64)) -> Self {
        Self { spool, next_seq, has_failed: false }
    }

    /// Appends the queue's newest batch. After a failure it is [retried](Self::write) from time to
    /// time.
    pub(super) fn append(
        &mut self,
        seq: u64,
        batch: Batch,
        queue: impl Fn(&mut dyn FnMut(&mut Queue)),
        counts: &Counts,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        if !self.has_failed {
            let written = self.renew(&mut events).and_then(|()| {
                if self.next_seq == seq {
                    self.spool.append(&[(seq, batch)], &mut self.next_seq)
                } else {
                    self.copy(queue)
                }
            });
            events.extend(self.settle(written, counts));
        }
        events
    }

    /// Writes the queue's changes: completed batches, and new ones.
    pub(super) fn write(
        &mut self,
        queue: impl Fn(&mut dyn FnMut(&mut Queue)),
        counts: &Counts,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let written = self.renew(&mut events).and_then(|()| self.copy(queue));
        events.extend(self.settle(written, counts));
        events
    }

    /// Starts over if the directory was removed.
    fn renew(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        if self.spool.renew()? {
            self.next_seq = 0;
            events.push(Event::SpoolDamaged {
                file: self.spool.dir().display().to_string(),
                problem: "it was removed, and is made again".into(),
            });
        }
        Ok(())
    }

    fn copy(&mut self, queue: impl Fn(&mut dyn FnMut(&mut Queue))) -> io::Result<()> {
        let (mut new, mut end, mut first) = (Vec::new(), 0, 0);
        queue(&mut |q| {
            new = q.since(self.next_seq).collect();
            (end, first) = (q.next_seq(), q.first_seq());
        });
        new.sort_by_key(|(seq, _)| *seq);
        // Completed batches first: that frees space.
        self.spool.done_below(first)?;
        self.spool.append(&new, &mut self.next_seq)?;
        self.next_seq = end;
        Ok(())
    }

    /// Counts the result of a write; reports the first failure and the first success after it.
    fn settle(&mut self, written: io::Result<()>, counts: &Counts) -> Option<Event> {
        counts.spool_bytes.store(self.spool.bytes(), Relaxed);
        let had_failed = std::mem::replace(&mut self.has_failed, written.is_err());
        let directory = || self.spool.dir().display().to_string();
        match written {
            Ok(()) => had_failed.then(|| Event::SpoolRecovered { directory: directory() }),
            Err(error) => {
                counts.spool_failures.add(1);
                counts.note(format!("spool: {error}"));
                let error = error.to_string();
                (!had_failed).then(|| Event::SpoolFailed { directory: directory(), error })
            }
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }
}

impl Destination {
    /// Keeps the spool up to date, forever; returns at once without a spool.
    pub(crate) async fn keep_spool(self: Arc<Self>, counts: Arc<Counts>) {
        while self.spool_dir.is_some() {
            let (destination, counted) = (self.clone(), counts.clone());
            let write = move || destination.write_spool(&counted);
            let written = tokio::task::spawn_blocking(write).await.unwrap_or(true);
            let wait = if written { SPOOL_TICK } else { SPOOL_RETRY };
            if written && self.queue(|q| q.bytes()) == 0 {
                self.spool_wake.notified().await;
            } else if written {
                let _ = timeout(wait, self.spool_wake.notified()).await;
            } else {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Writes the queue's changes; returns whether that succeeded.
    pub(crate) fn write_spool(&self, counts: &Counts) -> bool {
        let mut store = self.store.lock();
        let Some(written) = store.as_mut() else { return true };
        let events = written.write(|f| self.queue(f), counts);
        let is_written = !written.has_failed();
        drop(store);
        counts.tell(events);
        is_written
    }

    /// Finishes the spool: batches known to have been read are removed. The directory is free when
    /// this returns.
    pub(crate) fn close_spool(&self, counts: &Counts) {
        self.queue(Queue::forget_confirmed);
        self.write_spool(counts);
        if let Some((spool, _)) = self.take_spool()
            && let Err(error) = spool.sync()
        {
            counts.note(format!("spool: {error}"));
        }
    }

    /// Takes the spool, after any write in progress; the destination continues without it.
    pub(crate) fn take_spool(&self) -> Option<(Spool, u64)> {
        self.store.lock().take().map(|store| (store.spool, store.next_seq))
    }
}
