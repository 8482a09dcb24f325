//! The handle of a running push.

use std::sync::mpsc as blocking;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::error::ConfigError;
use crate::thread::spawn;
use crate::unsent::Unsent;

/// A handle's request to its task.
///
/// ```
/// use std::time::Duration;
/// use expvar_push::Order;
///
/// let flush = Order::Flush(Duration::from_secs(5), Box::new(|unsent| println!("{unsent:?}")));
/// ```
pub enum Order {
    /// Send what is queued.
    Flush(Duration, Reply),
    /// Collect once more, send what is queued, end.
    Close(Duration, Reply),
}

/// Called with what is unsent.
///
/// ```
/// use expvar_push::{Reply, Unsent};
///
/// let reply: Reply = Box::new(|unsent| assert_eq!(unsent.points, 0));
/// reply(Unsent::default());
/// ```
pub type Reply = Box<dyn FnOnce(Unsent) + Send>;

/// The handle of a [`Task`](crate::Task). Dropping it leaves the task running.
///
/// ```
/// use std::time::Duration;
/// use expvar_push::{Export, Task};
///
/// async fn push(export: impl Export + 'static) {
///     let (handle, task) = Task::new(export, Duration::from_secs(60), Duration::from_secs(5));
///     let running = tokio::spawn(task.run(std::future::pending()));
///     handle.shutdown().await;
/// }
/// ```
pub struct Handle {
    orders: mpsc::Sender<Order>,
    shutdown_timeout: Duration,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Handle {
    pub(crate) fn new(orders: mpsc::Sender<Order>, shutdown_timeout: Duration) -> Self {
        Self { orders, shutdown_timeout, thread: Mutex::new(None) }
    }

    /// Runs this handle's task on a thread of its own.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn spawn(
        self,
        name: &str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, ConfigError> {
        *self.thread.lock() = Some(spawn(name, task)?);
        Ok(self)
    }

    /// Waits until everything collected so far has arrived, or the time is over. Does not collect.
    /// `None` if the task has ended.
    pub async fn flush(&self, within: Duration) -> Option<Unsent> {
        self.order(|reply| Order::Flush(within, reply)).await
    }

    /// Like [`flush`](Self::flush), outside of async code: blocks the thread.
    pub fn flush_blocking(&self, within: Duration) -> Option<Unsent> {
        self.wait(within, |reply| Order::Flush(within, reply))
    }

    /// Collects once more, sends what is queued within the shutdown timeout, and ends the task.
    /// `None` if it has already ended.
    pub async fn shutdown(&self) -> Option<Unsent> {
        let within = self.shutdown_timeout;
        self.order(|reply| Order::Close(within, reply)).await
    }

    /// Like [`shutdown`](Self::shutdown), outside of async code: blocks until the task's thread has
    /// ended.
    pub fn close(&self) -> Option<Unsent> {
        let within = self.shutdown_timeout;
        let left = self.wait(within, |reply| Order::Close(within, reply));
        let thread = self.thread.lock().take();
        if let (Some(_), Some(thread)) = (left, thread) {
            let _ = thread.join();
        }
        left
    }

    async fn order(&self, order: impl FnOnce(Reply) -> Order) -> Option<Unsent> {
        let (reply, answer) = oneshot::channel();
        let reply = Box::new(move |left| {
            let _ = reply.send(left);
        });
        // If the task has ended, the reply is dropped, and the answer is an error.
        let _ = self.orders.send(order(reply)).await;
        answer.await.ok()
    }

    fn wait(&self, within: Duration, order: impl FnOnce(Reply) -> Order) -> Option<Unsent> {
        let (reply, answer) = blocking::sync_channel(1);
        let reply = Box::new(move |left| {
            let _ = reply.send(left);
        });
        let _ = self.orders.try_send(order(reply));
        // The task answers in time; the extra second is for a busy machine. There is no answer if a
        // variable's function hangs.
        answer.recv_timeout(within.saturating_add(Duration::from_secs(1))).ok()
    }
}
