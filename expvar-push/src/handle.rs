//! What the owner of a running push holds.

use std::sync::mpsc as blocking;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::error::ConfigError;
use crate::thread::spawn;
use crate::unsent::Unsent;

/// What a handle asks of its task.
pub enum Order {
    /// Send what waits.
    Flush(Duration, Reply),
    /// Take a last reading, send what waits, end.
    Close(Duration, Reply),
}

/// Is told what is left.
pub type Reply = Box<dyn FnOnce(Unsent) + Send>;

/// The owner's end of a [`Task`](crate::Task). Dropping it leaves the task running.
pub struct Handle {
    orders: mpsc::Sender<Order>,
    shutdown_timeout: Duration,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Handle {
    pub(crate) fn new(orders: mpsc::Sender<Order>, shutdown_timeout: Duration) -> Self {
        Self { orders, shutdown_timeout, thread: Mutex::new(None) }
    }

    /// Runs the task, which is this handle's, on a thread of its own.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn spawn(
        self,
        name: &str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, ConfigError> {
        *self.thread.lock() = Some(spawn(name, task)?);
        Ok(self)
    }

    /// Waits until everything read so far has arrived, or the time is over. Takes no reading of its
    /// own. None where the task has ended.
    pub async fn flush(&self, within: Duration) -> Option<Unsent> {
        self.order(|reply| Order::Flush(within, reply)).await
    }

    /// The same as [`flush`](Self::flush) for callers outside of async code: blocks the thread.
    pub fn flush_blocking(&self, within: Duration) -> Option<Unsent> {
        self.wait(within, |reply| Order::Flush(within, reply))
    }

    /// Takes a last reading, sends what waits within the shutdown timeout, and ends the task. None
    /// where it has ended already.
    pub async fn shutdown(&self) -> Option<Unsent> {
        let within = self.shutdown_timeout;
        self.order(|reply| Order::Close(within, reply)).await
    }

    /// The same as [`shutdown`](Self::shutdown) for callers outside of async code: blocks the
    /// thread until the task's own has ended.
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
        // Where nobody runs any more the reply is dropped, and the answer an error.
        let _ = self.orders.send(order(reply)).await;
        answer.await.ok()
    }

    fn wait(&self, within: Duration, order: impl FnOnce(Reply) -> Order) -> Option<Unsent> {
        let (reply, answer) = blocking::sync_channel(1);
        let reply = Box::new(move |left| {
            let _ = reply.send(left);
        });
        let _ = self.orders.try_send(order(reply));
        // It answers in time; a second more is for a machine that is busy. No answer comes where a
        // variable's function hangs.
        answer.recv_timeout(within.saturating_add(Duration::from_secs(1))).ok()
    }
}
