//! The live pages open on a server's connections.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::connection::{Activity, Phase};
use crate::stats;

/// The connections of live pages, oldest first. They may take at most half of all connections,
/// because a page stays open indefinitely.
#[derive(Debug)]
pub(crate) struct Streams {
    most: usize,
    open: Mutex<VecDeque<Arc<Activity>>>,
}

impl Streams {
    pub(crate) fn new(connections: usize) -> Self {
        Self { most: (connections / 2).max(1), open: Mutex::default() }
    }

    /// Adds a page, closing the oldest if necessary.
    pub(crate) fn open(&self, page: &Arc<Activity>) {
        page.stream();
        let mut open = self.open.lock();
        open.retain(|page| page.phase() == Phase::Streaming);
        while open.len() >= self.most
            && let Some(oldest) = open.pop_front()
        {
            oldest.cut();
            stats::EVICTED.inc();
        }
        open.push_back(Arc::clone(page));
    }
}
