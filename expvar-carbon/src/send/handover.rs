//! Applies new settings to a running sender: moves queues to new destinations, in order.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::send::destination::Destination;
use crate::send::driver::{Leaving, Shared};
use crate::send::sender::batches;
use crate::send::setup::{Disk, Opened, Prepared, Setup, recover};
use crate::send::stats::Counts;
use expvar_push::ConfigError;
use expvar_push::Spool;
use expvar_push::{Batch, Queue};

/// A practically infinite deadline.
const FOREVER: Duration = Duration::from_secs(1 << 30);

/// New settings, ready to be applied.
pub(crate) struct Handover {
    prepared: Prepared,
    /// For each new destination, the index of the one whose queue it takes over; `None` if queued
    /// lines are routed again.
    predecessors: Option<Vec<Option<usize>>>,
    reply: oneshot::Sender<Result<(), ConfigError>>,
}

impl Handover {
    /// Waits for valid new settings, and opens what they need. Invalid ones are answered with the
    /// error. Also returns how the current destinations end.
    pub(crate) async fn prepare(shared: &Shared, setup: &Setup) -> (Handover, Leaving) {
        loop {
            let change = shared.next_change().await;
            let (settings, running) = (change.settings, setup.destinations.clone());
            let open = move || settings.plan()?.open(&running);
            let opened = tokio::task::spawn_blocking(open).await;
            let problem = match opened {
                Ok(Ok(mut prepared)) => {
                    prepared.network.join(&setup.network);
                    let predecessors = predecessors(&prepared, setup);
                    let is_followed = |at| predecessors.iter().flatten().any(|p| *p == Some(at));
                    let hands_over = (0..setup.destinations.len()).map(is_followed).collect();
                    let handover = Handover { prepared, predecessors, reply: change.reply };
                    let now = Instant::now();
                    let latest = now.checked_add(change.within).unwrap_or(now + FOREVER);
                    return (handover, Leaving { latest, hands_over });
                }
                Ok(Err(error)) => error,
                Err(error) => ConfigError::new("sender", error.to_string(), "report this"),
            };
            // The requester may have stopped waiting.
            let _ = change.reply.send(Err(problem));
        }
    }

    /// Replaces the old destinations, which have ended.
    pub(crate) async fn carry_out(self, shared: &Arc<Shared>) {
        let (prepared, shared) = (self.prepared, shared.clone());
        let move_all = move || shared.hand_over(prepared, self.predecessors.as_deref());
        let moved = tokio::task::spawn_blocking(move_all).await;
        if moved.is_ok() {
            let _ = self.reply.send(Ok(()));
        }
    }
}

impl Shared {
    /// Moves the queues to new destinations. Blocks while spools are written.
    fn hand_over(&self, prepared: Prepared, predecessors: Option<&[Option<usize>]>) {
        let has_ended = self.has_ended.lock();
        if *has_ended {
            return;
        }
        let (old, counts) = (self.setup().clone(), &self.counts);
        let mut spools: Vec<_> =
            old.destinations.iter().map(|destination| destination.take_spool()).collect();
        self.exchange(|old| {
            let Some(predecessors) = predecessors else {
                let setup = prepared.begin(|index, opened| {
                    reopened(index, opened, &old.destinations, &mut spools, counts)
                });
                reroute(old, &setup, counts);
                return setup;
            };
            let before = |index: usize| predecessors.get(index).copied().flatten();
            let setup = prepared.begin(|index, opened| {
                let spool = before(index).and_then(|at| spools[at].take_if(|_| opened.is_open()));
                let before = before(index).map(|at| &*old.destinations[at]);
                successor(index, opened, before, spool, counts)
            });
            for (at, destination) in old.destinations.iter().enumerate() {
                let heirs = setup.destinations.iter().enumerate();
                let heirs = heirs.filter(|(index, _)| before(*index) == Some(at));
                destination.leave_to(&heirs.map(|(_, heir)| heir.clone()).collect::<Vec<_>>());
            }
            setup
        });
        counts.spool_bytes.store(0, std::sync::atomic::Ordering::Relaxed);
        let destinations = self.setup().destinations.clone();
        // Writes all of them, even if one fails.
        let written =
            destinations.iter().filter(|destination| destination.write_spool(counts)).count();
        if written < destinations.len() {
            // The old spools keep what the new ones lack.
            return;
        }
        for (destination, spool) in old.destinations.iter().zip(spools) {
            let Some((mut spool, _)) = spool else { continue };
            let next_seq = destination.queue(|q| q.next_seq());
            if let Err(error) = spool.done_below(next_seq).and_then(|()| spool.sync()) {
                counts.spool_failures.add(1);
                counts.note(format!("spool: {error}"));
            }
        }
    }
}

/// Makes the destination that takes over the queue of `before`, with its spool if the directory is
/// the same.
fn successor(
    index: usize,
    opened: Opened,
    before: Option<&Destination>,
    spool: Option<(Spool, u64)>,
    counts: &Counts,
) -> Destination {
    let Opened { plan, spool: disk } = opened;
    let copy = |queue: &mut Queue| before.map(|destination| destination.queue(|q| queue.append(q)));
    let (mut queue, spool) = match disk {
        Disk::InUse(_) => {
            let queue = before.map(|destination| destination.queue(|q| q.clone()));
            let spool = spool.map(|(mut spool, next_seq)| {
                spool.set_limit(plan.queue_bytes);
                (spool, next_seq)
            });
            (queue.unwrap_or_else(|| Queue::new(plan.queue_bytes)), spool)
        }
        Disk::Fresh(spool, found) => {
            let mut queue = Queue::new(plan.queue_bytes);
            recover(&mut queue, found, counts);
            let on_disk = queue.next_seq();
            counts.dropped(copy(&mut queue).unwrap_or_default());
            (queue, Some((spool, on_disk)))
        }
        Disk::None => {
            let mut queue = Queue::new(plan.queue_bytes);
            counts.dropped(copy(&mut queue).unwrap_or_default());
            (queue, None)
        }
    };
    queue.share_names(plan.share_names);
    let dropped = queue.set_limit(plan.queue_bytes);
    let destination = Destination::new(index, plan.addresses, queue, spool);
    destination.count_on(before.map_or(0, Destination::dropped) + dropped.points);
    counts.dropped(dropped);
    destination
}

/// Makes a destination with an empty queue, with a spool if the directory is the same.
fn reopened(
    index: usize,
    opened: Opened,
    old: &[Arc<Destination>],
    spools: &mut [Option<(Spool, u64)>],
    counts: &Counts,
) -> Destination {
    let Opened { plan, spool: Disk::InUse(dir) } = &opened else {
        return opened.destination(index, counts);
    };
    let before = old.iter().position(|destination| destination.spool_dir.as_ref() == Some(dir));
    let (mut queue, mut spool) = (Queue::new(plan.queue_bytes), None);
    if let Some(at) = before {
        queue.skip_to(old[at].queue(|q| q.next_seq()));
        spool = spools[at].take().map(|(mut spool, next_seq)| {
            spool.set_limit(plan.queue_bytes);
            (spool, next_seq)
        });
    }
    Destination::new(index, opened.plan.addresses, queue, spool)
}

/// Routes queued lines to the new destinations. Of copies, uses the slowest destination's queue.
fn reroute(old: &Setup, new: &Setup, counts: &Counts) {
    let waits = |at: &usize| old.destinations[*at].queue(|q| q.left(u64::MAX).0);
    for (destinations, copies) in &old.routing.clusters {
        let slowest = destinations.iter().copied().max_by_key(waits);
        let destinations =
            if *copies { slowest.into_iter().collect() } else { destinations.clone() };
        for at in destinations {
            let waiting: Vec<_> = old.destinations[at].queue(|q| q.waiting().collect());
            for Batch { bytes, points } in waiting {
                let fullness =
                    |destination: usize| new.destinations[destination].queue(|q| q.bytes());
                new.routing.split(&bytes, points, fullness, |destination, lines, points| {
                    let destinations =
                        destination.map_or(&new.destinations[..], |at| &new.destinations[at..=at]);
                    for batch in batches(lines, points) {
                        for destination in destinations {
                            counts.dropped(destination.queue(|q| q.push(batch.clone())));
                        }
                    }
                });
            }
        }
    }
}

/// For each new destination, the index of the one whose queue it takes over; `None` if another hash
/// routes lines to other servers.
fn predecessors(prepared: &Prepared, setup: &Setup) -> Option<Vec<Option<usize>>> {
    let routings = [&setup.routing, &prepared.routing];
    let splits = routings.iter().any(|routing| routing.splits());
    if splits && setup.routing.settings != prepared.routing.settings {
        return None;
    }
    let destinations = prepared.destinations.iter();
    Some(
        destinations
            .map(|l| predecessor(&l.plan.addresses, &l.spool, &setup.destinations))
            .collect(),
    )
}

/// The predecessor of a destination to `addresses`: of those that sent to one of its servers the
/// most advanced one, because what that has sent is already there. Without any, the least advanced
/// one: none of its points has reached the new servers.
fn predecessor(
    addresses: &[crate::send::address::Address],
    spool: &Disk,
    old: &[Arc<Destination>],
) -> Option<usize> {
    if let Disk::InUse(dir) = spool {
        return old.iter().position(|destination| destination.spool_dir.as_ref() == Some(dir));
    }
    let waits = |at: &usize| old[*at].queue(|q| q.left(u64::MAX).1);
    let serves = |at: &usize| old[*at].addresses.iter().any(|known| addresses.contains(known));
    (0..old.len()).filter(serves).min_by_key(waits).or_else(|| (0..old.len()).max_by_key(waits))
}
