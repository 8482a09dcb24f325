//! The queue between collection and sending.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use expvar_push::{Batch, Event, Observer, Queue, Reply, Unsent};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::send::stats::Counts;

/// Passes requests to a [`Driver`](crate::send::driver::Driver).
#[derive(Clone)]
pub(crate) struct Sender(Arc<Shared>);

struct Shared {
    queue: Mutex<Waiting>,
    /// Something was queued.
    more: Notify,
    /// Something left the queue.
    less: Notify,
    /// A flush is waiting.
    hurry: Notify,
    ended: watch::Sender<bool>,
    /// The driver is gone: nothing is taken any more.
    gone: watch::Sender<bool>,
    destination: String,
    observer: Observer,
    counts: Counts,
}

/// The queue.
struct Waiting {
    queue: Queue,
    /// Points dropped since the queue became full.
    dropping: Option<u64>,
}

impl Sender {
    pub(crate) fn new(destination: String, queue_bytes: usize, observer: Observer) -> Self {
        Self(Arc::new(Shared {
            queue: Mutex::new(Waiting { queue: Queue::new(queue_bytes), dropping: None }),
            more: Notify::new(),
            less: Notify::new(),
            hurry: Notify::new(),
            ended: watch::Sender::new(false),
            gone: watch::Sender::new(false),
            destination,
            observer,
            counts: Counts::default(),
        }))
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    pub(crate) fn destination(&self) -> &str {
        &self.0.destination
    }

    pub(crate) fn tell(&self, event: &Event) {
        self.0.observer.tell(event);
    }

    /// Queues a request, and drops the oldest ones that no longer fit.
    pub(crate) fn push(&self, bytes: Bytes, points: u64) {
        let is_news = {
            let mut waiting = self.0.queue.lock();
            let dropped = waiting.queue.push(Batch { bytes, points }).points;
            self.0.counts.dropped.add(dropped);
            self.show(&waiting.queue);
            let is_news = dropped > 0 && waiting.dropping.is_none();
            if dropped > 0 {
                *waiting.dropping.get_or_insert(0) += dropped;
            }
            is_news
        };
        if is_news {
            self.tell(&Event::Dropping { destination: self.destination().to_owned() });
        }
        self.0.more.notify_one();
    }

    /// Takes the oldest request, which stays in the queue until it is [done](Self::done) or [put
    /// back](Self::put_back).
    pub(crate) fn take(&self) -> Option<Batch> {
        let mut batches = Vec::with_capacity(1);
        self.0.queue.lock().queue.take(0, &mut batches);
        batches.pop()
    }

    /// Returns the taken request to the queue.
    pub(crate) fn put_back(&self) {
        self.0.queue.lock().queue.untake();
    }

    /// Removes the taken request.
    pub(crate) fn done(&self) {
        let dropped = {
            let mut waiting = self.0.queue.lock();
            let queue = &mut waiting.queue;
            queue.wrote(Instant::now(), 0, std::iter::once(0));
            queue.confirm(0);
            queue.forget_confirmed();
            self.show(queue);
            let is_empty = !queue.is_waiting();
            if is_empty { waiting.dropping.take() } else { None }
        };
        if let Some(points) = dropped {
            let destination = self.destination().to_owned();
            self.tell(&Event::Dropped { destination, points });
        }
        self.0.less.notify_waiters();
    }

    fn show(&self, queue: &Queue) {
        let (points, ..) = queue.left(u64::MAX);
        self.0.counts.queue_points.set(points as i64);
        self.0.counts.queue_bytes.set(queue.bytes() as i64);
    }

    /// Waits until there may be something to take.
    pub(crate) async fn more(&self) {
        self.0.more.notified().await;
    }

    /// Waits until a flush is waiting.
    pub(crate) async fn hurry(&self) {
        self.0.hurry.notified().await;
    }

    /// Waits until everything queued now is done.
    async fn drained(&self) {
        let before = self.0.queue.lock().queue.next_seq();
        self.0.hurry.notify_one();
        loop {
            let less = self.0.less.notified();
            tokio::pin!(less);
            less.as_mut().enable();
            if !self.0.queue.lock().queue.is_unflushed(before) {
                return;
            }
            less.await;
        }
    }

    /// Calls `reply` when everything queued now is done, or the time is over.
    pub(crate) fn flush(&self, within: Duration, reply: Reply) {
        let sender = self.clone();
        tokio::spawn(async move {
            let _ = timeout(within, sender.drained()).await;
            reply(sender.left());
        });
    }

    /// Sends what is queued, and ends.
    pub(crate) async fn shutdown(&self, within: Duration) -> Unsent {
        let _ = timeout(within, self.drained()).await;
        self.0.ended.send_replace(true);
        self.left()
    }

    /// Waits until the end.
    pub(crate) async fn ended(&self) {
        let _ = self.0.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// The driver is gone: nothing is taken any more.
    pub(crate) fn driver_ended(&self) {
        self.0.gone.send_replace(true);
    }

    /// Ends another sender, and queues what it has not sent, in order.
    pub(crate) async fn take_over(&self, before: &Sender) {
        before.0.ended.send_replace(true);
        let _ = before.0.gone.subscribe().wait_for(|gone| *gone).await;
        let waiting: Vec<Batch> = {
            let queue = &mut before.0.queue.lock().queue;
            queue.untake();
            let waiting = queue.waiting().collect();
            queue.set_limit(0);
            waiting
        };
        for Batch { bytes, points } in waiting {
            self.push(bytes, points);
        }
    }

    /// What is unsent.
    pub(crate) fn left(&self) -> Unsent {
        let mut unsent = Unsent::default();
        (unsent.points, unsent.bytes, unsent.unconfirmed) =
            self.0.queue.lock().queue.left(u64::MAX);
        unsent
    }
}
