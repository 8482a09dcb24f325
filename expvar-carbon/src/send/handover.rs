//! Other settings for a sender that runs: what waits moves to the new lanes, in order.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::send::driver::Shared;
use crate::send::lane::Lane;
use crate::send::sender::batches;
use crate::send::setup::{Disk, Opened, Prepared, Setup, recover};
use crate::send::stats::Counts;
use expvar_push::ConfigError;
use expvar_push::Spool;
use expvar_push::{Batch, Queue};

/// Settings that are ready to take the place of the present ones.
pub(crate) struct Handover {
    prepared: Prepared,
    reply: oneshot::Sender<Result<(), ConfigError>>,
}

impl Handover {
    /// Waits for other settings that can be used, and opens what they name; those that cannot be
    /// used are answered with the reason. Returns when the present lanes must have ended, too.
    pub(crate) async fn prepare(shared: &Shared, lanes: &[Arc<Lane>]) -> (Handover, Instant) {
        loop {
            let change = shared.next_change().await;
            let (settings, running) = (change.settings, lanes.to_vec());
            let open = move || settings.plan()?.open(&running);
            let opened = tokio::task::spawn_blocking(open).await;
            let problem = match opened {
                Ok(Ok(prepared)) => {
                    let handover = Handover { prepared, reply: change.reply };
                    return (handover, Instant::now() + change.within);
                }
                Ok(Err(error)) => error,
                Err(error) => ConfigError::new("sender", error.to_string(), "report this"),
            };
            // Whoever asked may have stopped waiting for the answer.
            let _ = change.reply.send(Err(problem));
        }
    }

    /// Puts the new lanes in the place of the old ones, which have ended.
    pub(crate) async fn carry_out(self, shared: &Arc<Shared>) {
        let (prepared, shared) = (self.prepared, shared.clone());
        let moved = tokio::task::spawn_blocking(move || shared.hand_over(prepared)).await;
        if moved.is_ok() {
            let _ = self.reply.send(Ok(()));
        }
    }
}

impl Shared {
    /// Moves what the lanes hold to new ones. Blocks while spools are written.
    fn hand_over(&self, prepared: Prepared) {
        let has_ended = self.has_ended.lock();
        if *has_ended {
            return;
        }
        let (old, counts) = (self.setup().clone(), &self.counts);
        let mut spools: Vec<_> = old.lanes.iter().map(|lane| lane.take_spool()).collect();
        // Lines that a hash has given to their servers must be given anew by another one.
        let routings = [&old.routing, &prepared.routing];
        let reroutes = routings.iter().any(|routing| routing.splits())
            && old.routing.settings != prepared.routing.settings;
        self.exchange(|old| {
            let follow = if reroutes { reopened } else { successor };
            let setup = prepared
                .begin(|index, opened| follow(index, opened, &old.lanes, &mut spools, counts));
            if reroutes {
                reroute(old, &setup, counts);
            }
            setup
        });
        counts.spool_bytes.store(0, std::sync::atomic::Ordering::Relaxed);
        let lanes = self.setup().lanes.clone();
        // All of them, whatever the first one says.
        let written = lanes.iter().filter(|lane| lane.write_spool(counts)).count();
        if written < lanes.len() {
            // The old spools keep what the new ones do not have.
            return;
        }
        for (lane, spool) in old.lanes.iter().zip(spools) {
            let Some((mut spool, _)) = spool else { continue };
            let next_seq = lane.queue(|q| q.next_seq());
            if let Err(error) = spool.done_below(next_seq).and_then(|()| spool.sync()) {
                counts.spool_failures.add(1);
                counts.note(format!("spool: {error}"));
            }
        }
    }
}

/// The lane that follows one of `old`: it takes over that one's queue, and its spool where it is
/// the same directory.
fn successor(
    index: usize,
    opened: Opened,
    old: &[Arc<Lane>],
    spools: &mut [Option<(Spool, u64)>],
    counts: &Counts,
) -> Lane {
    let Opened { plan, spool } = opened;
    let before = predecessor(&plan.addresses, &spool, old);
    let copy = |queue: &mut Queue| before.map(|at| old[at].queue(|q| queue.append(q)));
    let (mut queue, spool) = match spool {
        Disk::InUse(_) => {
            let queue = before.map(|at| old[at].queue(|q| q.clone()));
            let mut spool = before.and_then(|at| spools[at].take());
            if let Some((spool, _)) = &mut spool {
                spool.set_limit(plan.queue_bytes);
            }
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
    counts.dropped(queue.set_limit(plan.queue_bytes));
    Lane::new(index, plan.addresses, queue, spool)
}

/// A lane with nothing of the old ones but, where it has the same directory, a spool.
fn reopened(
    index: usize,
    opened: Opened,
    old: &[Arc<Lane>],
    spools: &mut [Option<(Spool, u64)>],
    counts: &Counts,
) -> Lane {
    let Opened { plan, spool: Disk::InUse(dir) } = &opened else {
        return opened.lane(index, counts);
    };
    let before = old.iter().position(|lane| lane.spool_dir.as_ref() == Some(dir));
    let (mut queue, mut spool) = (Queue::new(plan.queue_bytes), None);
    if let Some(at) = before {
        queue.skip_to(old[at].queue(|q| q.next_seq()));
        spool = spools[at].take().map(|(mut spool, next_seq)| {
            spool.set_limit(plan.queue_bytes);
            (spool, next_seq)
        });
    }
    Lane::new(index, opened.plan.addresses, queue, spool)
}

/// Gives what waits to the new lanes, as if it were sent now. Of copies, what the slowest has.
fn reroute(old: &Setup, new: &Setup, counts: &Counts) {
    let waits = |at: &usize| old.lanes[*at].queue(|q| q.left(u64::MAX).0);
    for (lanes, copies) in &old.routing.clusters {
        let slowest = lanes.iter().copied().max_by_key(waits);
        let lanes = if *copies { slowest.into_iter().collect() } else { lanes.clone() };
        for at in lanes {
            let waiting: Vec<_> = old.lanes[at].queue(|q| q.waiting().collect());
            for Batch { bytes, points } in waiting {
                let fullness = |lane: usize| new.lanes[lane].queue(|q| q.bytes());
                new.routing.split(&bytes, points, fullness, |lane, lines, points| {
                    let lanes = lane.map_or(&new.lanes[..], |at| &new.lanes[at..=at]);
                    for batch in batches(lines, points) {
                        for lane in lanes {
                            counts.dropped(lane.queue(|q| q.push(batch.clone())));
                        }
                    }
                });
            }
        }
    }
}

/// Whose queue a lane to `addresses` takes over: of those that served one of its servers the one
/// that got furthest, since what that one has sent is where the new lane would send it. Where
/// there is none, the one that got least far: its points have reached none of the new servers.
fn predecessor(
    addresses: &[crate::send::address::Address],
    spool: &Disk,
    old: &[Arc<Lane>],
) -> Option<usize> {
    if let Disk::InUse(dir) = spool {
        return old.iter().position(|lane| lane.spool_dir.as_ref() == Some(dir));
    }
    let waits = |at: &usize| old[*at].queue(|q| q.left(u64::MAX).1);
    let serves = |at: &usize| old[*at].addresses.iter().any(|known| addresses.contains(known));
    (0..old.len()).filter(serves).min_by_key(waits).or_else(|| (0..old.len()).max_by_key(waits))
}
