//! The handle of a running push.

#[cfg(feature = "tls")]
use expvar_push::ConfigError;
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
/// ```
/// use std::time::Duration;
/// use expvar_carbon::Carbon;
///
/// let carbon = Carbon::new("127.0.0.1:2003").shutdown_timeout(Duration::from_millis(10)).spawn()?;
/// println!("{} points sent", carbon.stats().points_sent);
/// let left = carbon.close();
/// println!("{} points are unsent", left.points);
/// # Ok::<(), expvar_carbon::ConfigError>(())
/// ```
pub type PushHandle = expvar_push::PushHandle<Sender>;

/// On drop, collects once more, sends what is queued within the
/// [`shutdown_timeout`](crate::Carbon::shutdown_timeout), and ends the push. Blocks the thread
/// meanwhile. Does nothing if the push has ended.
///
/// ```no_run
/// fn main() -> Result<(), expvar_carbon::ConfigError> {
///     let _guard = expvar_carbon::Carbon::new("graphite:2003").spawn()?.drop_guard();
///     // What the program does until here is pushed when it returns or panics.
///     Ok(())
/// }
/// ```
pub type DropGuard = expvar_push::DropGuard<Sender>;

impl Sends for Sender {
    type Stats = Stats;

    fn stats(&self) -> Stats {
        self.stats()
    }

    fn left(&self) -> Unsent {
        self.left()
    }

    #[cfg(feature = "tls")]
    fn reload_tls(&self) -> Result<(), ConfigError> {
        self.reload_tls()
    }
}
