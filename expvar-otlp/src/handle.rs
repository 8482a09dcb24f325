//! The handle of a running push.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use expvar_push::{ConfigError, Unsent};

use crate::push::Push;
use crate::send::sender::Sender;
use crate::send::stats::Stats;

/// A running push.
///
/// Dropping it does not stop the push, which runs until the process ends, like
/// `expvar_http::spawn`; the last values are then not pushed. To push them, keep the
/// [`drop_guard`](Self::drop_guard) in `main`, or call [`close`](Self::close) or
/// [`shutdown`](Self::shutdown) at its end.
///
/// ```no_run
/// # fn main() -> Result<(), expvar_otlp::ConfigError> {
/// let otlp = expvar_otlp::Otlp::new("http://collector:4318").spawn()?;
/// println!("{} points accepted", otlp.stats().accepted);
/// let unsent = otlp.close();
/// println!("{} points unsent", unsent.points);
/// # Ok(())
/// # }
/// ```
#[must_use = "the push goes on without it, but what the program does last is not pushed: \
              keep its drop_guard() in main"]
pub struct Handle {
    task: expvar_push::Handle,
    sender: Sender,
    #[cfg(feature = "tls")]
    identity: Option<expvar_push::Identity>,
}

impl Handle {
    pub(crate) fn new(task: expvar_push::Handle, sender: Sender) -> Self {
        Self {
            task,
            sender,
            #[cfg(feature = "tls")]
            identity: None,
        }
    }

    /// With the certificates and keys that its connections use.
    #[cfg(feature = "tls")]
    pub(crate) fn with_identity(mut self, identity: Option<expvar_push::Identity>) -> Self {
        self.identity = identity;
        self
    }

    pub(crate) fn spawn(mut self, push: Push) -> Result<Self, ConfigError> {
        self.task = self.task.spawn("expvar-otlp", async move {
            push.run(std::future::pending()).await;
        })?;
        Ok(self)
    }

    /// The push's statistics so far.
    pub fn stats(&self) -> Stats {
        self.sender.counts().stats()
    }

    /// Reloads the certificates and keys of an `https://` endpoint, for new connections.
    ///
    /// # Errors
    /// A file is invalid; the previous certificates stay in use.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn reload_tls(&self) -> Result<(), ConfigError> {
        self.identity.as_ref().map_or(Ok(()), expvar_push::Identity::reload)
    }

    /// Waits until everything collected so far is answered, or the time is over, and returns what
    /// is unsent. Does not collect.
    pub async fn flush(&self, within: Duration) -> Unsent {
        self.task.flush(within).await.unwrap_or_else(|| self.sender.left())
    }

    /// Like [`flush`](Self::flush), outside of async code: blocks the thread.
    pub fn flush_blocking(&self, within: Duration) -> Unsent {
        self.task.flush_blocking(within).unwrap_or_else(|| self.sender.left())
    }

    /// Collects once more, sends what is queued, ends, and returns what is unsent at the
    /// [`shutdown_timeout`](crate::Otlp::shutdown_timeout).
    pub async fn shutdown(self) -> Unsent {
        self.task.shutdown().await.unwrap_or_else(|| self.sender.left())
    }

    /// Like [`shutdown`](Self::shutdown), outside of async code: blocks the thread.
    pub fn close(self) -> Unsent {
        self.task.close().unwrap_or_else(|| self.sender.left())
    }

    /// [Closes](Self::close) the push when the guard is dropped. Keep it in `main` to push the last
    /// values when `main` returns or panics.
    ///
    /// ```no_run
    /// # use expvar_otlp::Otlp;
    /// fn main() -> Result<(), expvar_otlp::ConfigError> {
    ///     let _otlp = Otlp::new("http://collector:4318").spawn()?.drop_guard();
    ///     // … the program …
    ///     Ok(())
    /// }
    /// ```
    pub fn drop_guard(self) -> DropGuard {
        DropGuard(self)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// On drop, collects once more, sends what is queued within the
/// [`shutdown_timeout`](crate::Otlp::shutdown_timeout), and ends the push. Blocks the thread
/// meanwhile. Does nothing if the push has ended.
///
/// ```no_run
/// fn main() -> Result<(), expvar_otlp::ConfigError> {
///     let _guard = expvar_otlp::Otlp::new("http://collector:4318").spawn()?.drop_guard();
///     // Values recorded from here on are pushed too.
///     Ok(())
/// }
/// ```
#[must_use = "it closes the push at once unless it is kept: `let _guard = …`"]
#[derive(Debug)]
pub struct DropGuard(Handle);

impl Deref for DropGuard {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.0
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        self.0.task.close();
    }
}
