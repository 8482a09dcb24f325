//! The limit of open files: a connection is a file.

use crate::log::{Level, Log};

/// Files that are open beside the endpoints' connections.
const OTHERS: u64 = 64;

/// The limit of open files, raised as far as the system allows.
#[derive(Debug, Default)]
pub struct FileLimit {
    told: bool,
}

impl FileLimit {
    /// Raises the limit, and warns once when it is too low for so many endpoints, found ones too.
    pub fn raise_for(&mut self, endpoints: usize, log: &Log) {
        let Ok(limit) = rlimit::increase_nofile_limit(u64::MAX) else { return };
        let is_low = limit < endpoints as u64 + OTHERS;
        if is_low && !self.told {
            log.event(
                Level::Warn,
                "the limit of open files is too low for so many endpoints: raise LimitNOFILE",
                &[("limit", &limit), ("endpoints", &endpoints)],
            );
        }
        self.told = is_low;
    }
}
