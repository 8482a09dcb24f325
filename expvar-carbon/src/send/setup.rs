//! A sender's destinations and network.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::send::address::Address;
use crate::send::destination::{Destination, Policy};
use crate::send::network::Network;
use crate::send::routing::Routing;
use crate::send::stats::Counts;
use expvar_push::Queue;
use expvar_push::{ConfigError, Event};
use expvar_push::{Recovered, Spool};

/// The destinations of a sender, and what they share.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) destinations: Vec<Arc<Destination>>,
    pub(crate) routing: Arc<Routing>,
    pub(crate) network: Network,
    pub(crate) policy: Policy,
    pub(crate) shutdown_timeout: Duration,
}

/// Validated settings; nothing is open yet.
pub(crate) struct Plan {
    pub(crate) destinations: Vec<DestinationPlan>,
    pub(crate) routing: Arc<Routing>,
    pub(crate) network: Network,
    pub(crate) policy: Policy,
    pub(crate) shutdown_timeout: Duration,
}

/// One destination's settings.
pub(crate) struct DestinationPlan {
    pub(crate) addresses: Vec<Address>,
    pub(crate) queue_bytes: usize,
    pub(crate) share_names: bool,
    pub(crate) spool_dir: Option<PathBuf>,
}

/// A destination's settings with its spool open.
pub(crate) struct Opened {
    pub(crate) plan: DestinationPlan,
    pub(crate) spool: Disk,
}

/// Where a destination's spool comes from.
pub(crate) enum Disk {
    None,
    /// A running destination has this directory open.
    InUse(PathBuf),
    Fresh(Spool, Recovered),
}

impl DestinationPlan {
    /// Opens the destination's spool, unless a running destination has its directory open.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub(crate) fn open(self, running: &[Arc<Destination>]) -> Result<Opened, ConfigError> {
        let Some(dir) = &self.spool_dir else {
            return Ok(Opened { plan: self, spool: Disk::None });
        };
        let unusable = |e: std::io::Error| {
            let problem = format!("{}: {e}", dir.display());
            ConfigError::new("spool_dir", problem, "name a directory that this process may use")
        };
        let real = std::fs::create_dir_all(dir).and_then(|()| dir.canonicalize());
        let real = real.map_err(unusable)?;
        if running.iter().any(|destination| destination.spool_dir.as_ref() == Some(&real)) {
            return Ok(Opened { plan: self, spool: Disk::InUse(real) });
        }
        let (spool, found) =
            Spool::open(&real, "expvar-carbon", self.queue_bytes).map_err(unusable)?;
        Ok(Opened { plan: self, spool: Disk::Fresh(spool, found) })
    }
}

impl Opened {
    /// Whether a running destination has its directory open.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.spool, Disk::InUse(_))
    }

    /// The destination of a new sender, with the content of its spool.
    pub(crate) fn destination(self, index: usize, counts: &Counts) -> Destination {
        let mut queue = Queue::new(self.plan.queue_bytes);
        queue.share_names(self.plan.share_names);
        let spool = match self.spool {
            Disk::Fresh(spool, found) => {
                recover(&mut queue, found, counts);
                Some((spool, queue.next_seq()))
            }
            Disk::None | Disk::InUse(_) => None,
        };
        Destination::new(index, self.plan.addresses, queue, spool)
    }
}

/// Puts the content of a spool into the queue.
pub(crate) fn recover(queue: &mut Queue, found: Recovered, counts: &Counts) {
    counts.spool_records_damaged.add(found.damaged);
    for (path, problem) in found.problems {
        let file = path.display().to_string();
        counts.note(format!("spool: {file}: {problem}"));
        counts.tell(vec![Event::SpoolDamaged { file, problem }]);
    }
    for (seq, batch) in found.batches {
        queue.skip_to(seq);
        counts.points_recovered.add(batch.points);
        counts.dropped(queue.push(batch));
    }
    queue.skip_to(found.next_seq);
}

impl Plan {
    /// Opens all spools.
    ///
    /// # Errors
    /// One of them cannot be used; then all are closed again.
    pub(crate) fn open(self, running: &[Arc<Destination>]) -> Result<Prepared, ConfigError> {
        let destinations =
            self.destinations.into_iter().map(|destination| destination.open(running));
        Ok(Prepared {
            destinations: destinations.collect::<Result<_, _>>()?,
            routing: self.routing,
            network: self.network,
            policy: self.policy,
            shutdown_timeout: self.shutdown_timeout,
        })
    }
}

/// Settings whose files and directories are usable.
pub(crate) struct Prepared {
    pub(crate) destinations: Vec<Opened>,
    pub(crate) routing: Arc<Routing>,
    pub(crate) network: Network,
    pub(crate) policy: Policy,
    pub(crate) shutdown_timeout: Duration,
}

impl Prepared {
    /// The setup with the destinations made by `destination`.
    pub(crate) fn begin(self, mut destination: impl FnMut(usize, Opened) -> Destination) -> Setup {
        let destinations = self.destinations.into_iter().enumerate();
        Setup {
            destinations: destinations
                .map(|(index, opened)| Arc::new(destination(index, opened)))
                .collect(),
            routing: self.routing,
            network: self.network,
            policy: self.policy,
            shutdown_timeout: self.shutdown_timeout,
        }
    }
}

/// The directory of a destination's spool, below the configured one: named for its server if there
/// are several destinations, and for its rule.
pub(crate) fn spool_dir(dir: &Path, server: Option<&Address>, rule: Option<usize>) -> PathBuf {
    let server = server.map(|address| address.to_string().replace(['/', ':'], "_"));
    match (server, rule) {
        // The queue stays through a change of servers.
        (None, _) => dir.join("queue"),
        (Some(server), None) => dir.join(server),
        (Some(server), Some(rule)) => dir.join(format!("{rule}_{server}")),
    }
}

/// Spools below the configured directory whose points no destination sends: earlier settings had
/// other servers.
pub(crate) fn unread(dir: &Path, prepared: &Prepared, limit: usize) -> Vec<Event> {
    let used: Vec<_> = prepared.destinations.iter().map(|opened| &opened.plan.spool_dir).collect();
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let others =
        entries.map(|entry| entry.path()).filter(|path| !used.contains(&&Some(path.clone())));
    others.filter_map(|path| points_below(&path, limit)).collect()
}

fn points_below(dir: &Path, limit: usize) -> Option<Event> {
    let is_spool = |path: PathBuf| path.extension().is_some_and(|ending| ending == "spool");
    let mut entries = std::fs::read_dir(dir).ok()?.flatten();
    entries.find(|entry| is_spool(entry.path()))?;
    // Fails if another process uses it.
    let (_, found) = Spool::open(dir, "expvar-carbon", limit).ok()?;
    let points = found.batches.iter().map(|(_, batch)| batch.points).sum();
    (points > 0).then(|| Event::SpoolUnread { directory: dir.display().to_string(), points })
}
