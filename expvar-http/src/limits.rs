//! The limits of a server.

use std::time::Duration;

/// The most bytes of a request's line and headers together.
pub(crate) const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Longest filter expression, in bytes.
pub(crate) const MAX_FILTER_BYTES: usize = 1024;
/// The most memory of one compiled filter, in bytes.
pub(crate) const MAX_FILTER_PROGRAM_BYTES: usize = 256 * 1024;
/// Documents up to this many bytes are never compressed.
pub(crate) const MIN_GZIP_BYTES: usize = 1024;
/// The most documents being rendered, slow ones excluded.
pub(crate) const MAX_RENDERS: usize = 8;
/// The most documents being rendered, slow ones included.
pub(crate) const MAX_ALL_RENDERS: usize = 32;
/// The most renders of one document, and the most renders that wait for one variable.
pub(crate) const MAX_SAME_RENDERS: usize = 4;
/// The most bytes of documents being sent; beyond that, the one unread for longest is dropped.
pub(crate) const MAX_HELD_BYTES: usize = 64 * 1024 * 1024;
/// The longest piece of a document in a connection's buffer.
pub(crate) const MAX_PIECE_BYTES: usize = 64 * 1024;
/// The most unsent bytes of a response in the kernel.
pub(crate) const MAX_UNSENT_BYTES: u32 = 32 * 1024;
/// The most requests that wait for documents.
pub(crate) const MAX_WAITING: usize = 1024;

/// The most names in one request for history.
pub(crate) const MAX_HISTORY_NAMES: usize = 64;

/// The settings of a builder. Their defaults are part of [`Builder`](crate::Builder)'s contract.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) series: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) render_timeout: Duration,
    pub(crate) shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            series: 5000,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(10),
            render_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}
