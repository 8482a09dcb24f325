//! A thread of a push's own.

use std::io;
use std::thread::JoinHandle;

use crate::error::ConfigError;

/// Runs `task` in a runtime on a thread of its own, which is named so.
///
/// # Errors
/// When no thread can be had.
pub fn spawn(
    name: &str,
    task: impl Future<Output = ()> + Send + 'static,
) -> Result<JoinHandle<()>, ConfigError> {
    let cannot = |e: io::Error| {
        ConfigError::new("spawn", e.to_string(), "allow this process one more thread")
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let run = move || {
        runtime.block_on(task);
        // A name that is being looked up may take long; it is not worth waiting for.
        runtime.shutdown_background();
    };
    std::thread::Builder::new().name(name.into()).spawn(run).map_err(cannot)
}
