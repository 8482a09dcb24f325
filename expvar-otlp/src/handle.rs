//! The handle of a running push.

use std::fmt;

#[cfg(feature = "tls")]
use expvar_push::{ConfigError, Identity};
use expvar_push::{Sends, Unsent};

use crate::send::sender::Sender;
use crate::send::stats::Stats;

/// A running push.
///
/// Dropping it does not stop the push, which runs until the process ends, like
/// `expvar_http::spawn`; the last values are then not pushed. To push them, keep the
/// [`drop_guard`](expvar_push::PushHandle::drop_guard) in `main`, or call
/// [`close`](expvar_push::PushHandle::close) or
/// [`shutdown`](expvar_push::PushHandle::shutdown) at its end.
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
pub type PushHandle = expvar_push::PushHandle<Feed>;

/// On drop, collects once more, sends what is queued within the
/// [`shutdown_timeout`](crate::Otlp::shutdown_timeout), and ends the push. Blocks the thread
/// meanwhile. Does nothing if the push has ended.
///
/// ```no_run
/// fn main() -> Result<(), expvar_otlp::ConfigError> {
///     let _guard = expvar_otlp::Otlp::new("http://collector:4318").spawn()?.drop_guard();
///     // What the program does until here is pushed when it returns or panics.
///     Ok(())
/// }
/// ```
pub type DropGuard = expvar_push::DropGuard<Feed>;

/// The sender that a push feeds, with the certificates and keys of its connections.
pub struct Feed {
    pub(crate) sender: Sender,
    #[cfg(feature = "tls")]
    pub(crate) identity: Option<Identity>,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Sends for Feed {
    type Stats = Stats;

    fn stats(&self) -> Stats {
        self.sender.counts().stats()
    }

    fn left(&self) -> Unsent {
        self.sender.left()
    }

    #[cfg(feature = "tls")]
    fn reload_tls(&self) -> Result<(), ConfigError> {
        self.identity.as_ref().map_or(Ok(()), Identity::reload)
    }
}
