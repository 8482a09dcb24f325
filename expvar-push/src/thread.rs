//! The thread of a push.

use std::io;
use std::thread::JoinHandle;

use crate::error::ConfigError;

/// Runs `task` in a runtime on a thread with this name.
///
/// # Errors
/// No thread can be started.
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
        // A DNS lookup in progress may take long; do not wait for it.
        runtime.shutdown_background();
    };
    std::thread::Builder::new().name(name.into()).spawn(run).map_err(cannot)
}
