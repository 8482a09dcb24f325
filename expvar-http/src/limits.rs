//! The bounds that keep a server small, whatever its peers do.

use std::time::Duration;

/// Most bytes that a request's line and headers may take together.
pub(crate) const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Longest filter expression, in bytes.
pub(crate) const MAX_FILTER_BYTES: usize = 1024;
/// Most memory that one compiled filter may take, in bytes.
pub(crate) const MAX_FILTER_PROGRAM_BYTES: usize = 256 * 1024;
/// Documents up to this many bytes are never compressed.
pub(crate) const MIN_GZIP_BYTES: usize = 1024;
/// Most documents that are rendered at one time, those aside that have become slow.
pub(crate) const MAX_RENDERS: usize = 8;
/// Most documents that are rendered at one time, all together.
pub(crate) const MAX_ALL_RENDERS: usize = 32;
/// Most renders of one and the same document at one time, and most that wait for one variable.
pub(crate) const MAX_SAME_RENDERS: usize = 4;
/// Most bytes of rendered documents that are on their way to clients; past that the one whose
/// clients have read nothing for longest is given up.
pub(crate) const MAX_HELD_BYTES: usize = 64 * 1024 * 1024;
/// Longest piece of a document that a connection holds.
pub(crate) const MAX_PIECE_BYTES: usize = 64 * 1024;
/// Bytes that the kernel takes of a response beyond what it has sent.
pub(crate) const MAX_UNSENT_BYTES: u32 = 32 * 1024;
/// Most requests that wait for documents at one time.
pub(crate) const MAX_WAITING: usize = 1024;

/// Most names in one question for the past.
pub(crate) const MAX_HISTORY_NAMES: usize = 64;

/// What a builder can change; the defaults are part of [`Builder`](crate::Builder)'s contract.
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
