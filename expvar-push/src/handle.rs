//! The handle of a running push.

use std::fmt;
use std::ops::Deref;
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

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::Flush(within, _) => f.debug_tuple("Flush").field(within).finish_non_exhaustive(),
            Order::Close(within, _) => f.debug_tuple("Close").field(within).finish_non_exhaustive(),
        }
    }
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

/// The sender behind a [`PushHandle`]: its statistics, unsent points and certificates.
///
/// ```
/// use expvar_push::{Sends, Unsent};
///
/// struct Printer;
///
/// impl Sends for Printer {
///     type Stats = u64;
///
///     fn stats(&self) -> u64 {
///         0
///     }
///
///     fn left(&self) -> Unsent {
///         Unsent::default()
///     }
/// }
/// ```
pub trait Sends {
    /// The type of its statistics.
    type Stats: fmt::Debug;

    /// The statistics so far.
    fn stats(&self) -> Self::Stats;

    /// What is unsent if the task has ended.
    fn left(&self) -> Unsent;

    /// Reloads certificates and keys. Does nothing if there are none.
    ///
    /// # Errors
    /// A file is invalid.
    fn reload_tls(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}

/// A running push: the handle of a [`Task`](crate::Task).
///
/// Dropping it does not stop the push, which runs until the process ends, like
/// `expvar_http::spawn`; the last values are then not pushed. To push them, keep the
/// [`drop_guard`](Self::drop_guard) in `main`, or call [`close`](Self::close) or
/// [`shutdown`](Self::shutdown) at its end.
///
/// ```
/// use std::time::Duration;
/// use expvar_push::{Export, Sends, Task};
///
/// async fn push(export: impl Export + 'static, sender: impl Sends) {
///     let (minute, timeout) = (Duration::from_secs(60), Duration::from_secs(5));
///     let (handle, task) = Task::new(export, sender, minute, timeout);
///     let running = tokio::spawn(task.run(std::future::pending()));
///     handle.shutdown().await;
/// }
/// ```
#[must_use = "the push goes on without it, but what the program does last is not pushed: \
              keep its drop_guard() in main"]
pub struct PushHandle<S> {
    sender: S,
    orders: mpsc::Sender<Order>,
    shutdown_timeout: Duration,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<S> PushHandle<S> {
    pub(crate) fn new(sender: S, orders: mpsc::Sender<Order>, shutdown_timeout: Duration) -> Self {
        Self { sender, orders, shutdown_timeout, thread: Mutex::new(None) }
    }

    /// Runs this handle's task on a thread of its own.
    #[doc(hidden)]
    pub fn spawn(
        self,
        name: &str,
        task: impl Future<Output = Unsent> + Send + 'static,
    ) -> Result<Self, ConfigError> {
        let thread = spawn(name, async {
            task.await;
        })?;
        *self.thread.lock() = Some(thread);
        Ok(self)
    }

    /// Collects once more, sends what is queued within the shutdown timeout, and ends the task.
    /// `None` if it has already ended.
    fn end(&self) -> Option<Unsent> {
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

impl<S: Sends> PushHandle<S> {
    /// The push's statistics so far.
    pub fn stats(&self) -> S::Stats {
        self.sender.stats()
    }

    /// Reloads the certificates and keys of TLS connections, for new connections. Does nothing
    /// without TLS.
    ///
    /// # Errors
    /// A file is invalid; the previous certificates stay in use.
    pub fn reload_tls(&self) -> Result<(), ConfigError> {
        self.sender.reload_tls()
    }

    /// Waits until everything collected so far has arrived, or the time is over, and returns what
    /// is unsent. Does not collect.
    pub async fn flush(&self, within: Duration) -> Unsent {
        let left = self.order(|reply| Order::Flush(within, reply)).await;
        left.unwrap_or_else(|| self.sender.left())
    }

    /// Like [`flush`](Self::flush), outside of async code: blocks the thread.
    pub fn flush_blocking(&self, within: Duration) -> Unsent {
        let left = self.wait(within, |reply| Order::Flush(within, reply));
        left.unwrap_or_else(|| self.sender.left())
    }

    /// Collects once more, sends what is queued, ends, and returns what is unsent at the push's
    /// `shutdown_timeout`.
    pub async fn shutdown(self) -> Unsent {
        let within = self.shutdown_timeout;
        let left = self.order(|reply| Order::Close(within, reply)).await;
        left.unwrap_or_else(|| self.sender.left())
    }

    /// Like [`shutdown`](Self::shutdown), outside of async code: blocks until the push's thread has
    /// ended.
    pub fn close(self) -> Unsent {
        self.end().unwrap_or_else(|| self.sender.left())
    }

    /// [Closes](Self::close) the push when the guard is dropped. Keep it in `main` to push the last
    /// values when `main` returns or panics.
    pub fn drop_guard(self) -> DropGuard<S> {
        DropGuard(self)
    }
}

impl<S: Sends> fmt::Debug for PushHandle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushHandle").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// On drop, collects once more, sends what is queued within the push's `shutdown_timeout`, and ends
/// the push. Blocks the thread meanwhile. Does nothing if the push has ended.
///
/// ```no_run
/// use expvar_push::{PushHandle, Sends};
///
/// fn until_the_end<S: Sends>(push: PushHandle<S>) {
///     let _guard = push.drop_guard();
///     // What the program does until here is pushed.
/// }
/// ```
#[must_use = "it closes the push at once unless it is kept: `let _guard = …`"]
pub struct DropGuard<S>(PushHandle<S>);

impl<S> Deref for DropGuard<S> {
    type Target = PushHandle<S>;

    fn deref(&self) -> &PushHandle<S> {
        &self.0
    }
}

impl<S: Sends> fmt::Debug for DropGuard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DropGuard").field(&self.0).finish()
    }
}

impl<S> Drop for DropGuard<S> {
    fn drop(&mut self) {
        self.0.end();
    }
}
