//! What the owner of a running push holds.

use std::sync::{Mutex, mpsc as blocking};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::error::ConfigError;
use crate::push::{Order, Push, Reply};
use crate::send::left::Left;
use crate::send::sender::{Sender, spawn};
use crate::send::stats::{Stats, lock};

/// A running push. Dropping it takes a last reading, sends what waits within the
/// [`shutdown_timeout`](crate::Carbon::shutdown_timeout), and ends it.
pub struct Handle {
    orders: mpsc::Sender<Order>,
    sender: Sender,
    shutdown_timeout: Duration,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Handle {
    pub(crate) fn new(orders: mpsc::Sender<Order>, sender: Sender, timeout: Duration) -> Self {
        Self { orders, sender, shutdown_timeout: timeout, thread: Mutex::new(None) }
    }

    pub(crate) fn spawn(self, push: Push) -> Result<Self, ConfigError> {
        let thread = spawn(async move {
            push.run(std::future::pending()).await;
        })?;
        *lock(&self.thread) = Some(thread);
        Ok(self)
    }

    /// What the sender has counted so far.
    pub fn stats(&self) -> Stats {
        self.sender.stats()
    }

    /// Reads the certificates and keys of `tls://` addresses again: see [`Sender::reload_tls`].
    ///
    /// # Errors
    /// When a file cannot be used; then all goes on with what was read before.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self) -> Result<(), ConfigError> {
        self.sender.reload_tls()
    }

    /// Waits until everything read so far has been read by the servers, or the time is over, and
    /// returns what is left then. Takes no reading of its own.
    pub async fn flush(&self, within: Duration) -> Left {
        self.order(|reply| Order::Flush(within, reply)).await
    }

    /// The same as [`flush`](Self::flush) for callers outside of async code: blocks the thread.
    pub fn flush_blocking(&self, within: Duration) -> Left {
        self.wait(within, |reply| Order::Flush(within, reply)).unwrap_or_else(|| self.sender.left())
    }

    /// Takes a last reading, sends what waits, ends, and returns what is left when the
    /// [`shutdown_timeout`](crate::Carbon::shutdown_timeout) is over.
    pub async fn shutdown(self) -> Left {
        let within = self.shutdown_timeout;
        self.order(|reply| Order::Close(within, reply)).await
    }

    /// The same as [`shutdown`](Self::shutdown) for callers outside of async code: blocks the
    /// thread.
    pub fn close(self) -> Left {
        let within = self.shutdown_timeout;
        self.wait(within, |reply| Order::Close(within, reply)).unwrap_or_else(|| self.sender.left())
    }

    async fn order(&self, order: impl FnOnce(Reply) -> Order) -> Left {
        let (reply, answer) = oneshot::channel();
        let reply = Box::new(move |left| {
            let _ = reply.send(left);
        });
        // Where nobody runs any more the reply is dropped, and the answer an error.
        let _ = self.orders.send(order(reply)).await;
        answer.await.unwrap_or_else(|_| self.sender.left())
    }

    /// None where no answer came in time: a variable's function hangs.
    fn wait(&self, within: Duration, order: impl FnOnce(Reply) -> Order) -> Option<Left> {
        let (reply, answer) = blocking::sync_channel(1);
        let reply = Box::new(move |left| {
            let _ = reply.send(left);
        });
        let _ = self.orders.try_send(order(reply));
        // It answers in time; a second more is for a machine that is busy.
        match answer.recv_timeout(within.saturating_add(Duration::from_secs(1))) {
            Ok(left) => Some(left),
            Err(blocking::RecvTimeoutError::Disconnected) => Some(self.sender.left()),
            Err(blocking::RecvTimeoutError::Timeout) => None,
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let Some(thread) = lock(&self.thread).take() else { return };
        let within = self.shutdown_timeout;
        if self.wait(within, |reply| Order::Close(within, reply)).is_some() {
            let _ = thread.join();
        }
    }
}
