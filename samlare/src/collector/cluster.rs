//! The collector as a member of a cluster.

use std::sync::Arc;
use std::time::Duration;

use expvar::{Func, Info};

use super::shown::CLUSTER;
use super::{Aborting, Collector, Member};
use crate::cluster::{Begin, Engine, Etcd, Membership, Settings, Start, View, fingerprint};
use crate::config::Endpoint;
use crate::log::Level;
use crate::poller::{schedule, tell_failures};

/// How long a member takes to leave at most.
pub(super) const LEAVES_WITHIN: Duration = Duration::from_secs(4);

/// The interval of checks for failures to release.
const JUDGE_EVERY: Duration = Duration::from_millis(250);

/// The time between late polls.
const APART_MICROS: u64 = 250;
/// The time within which all late polls begin.
const ALL_WITHIN_MICROS: u64 = 300_000;

impl Collector {
    /// Joins the configured cluster, unless this process is already the same member.
    pub(super) fn join_cluster(&mut self, before: Option<&Settings>) {
        let config = fingerprint(&self.config);
        let slot = self.config.pollings().map(|polling| polling.interval).min();
        let slot = slot.unwrap_or(Duration::from_secs(60));
        let Some(settings) = self.config.cluster.clone() else {
            if let Some(Member { membership, .. }) = self.member.take() {
                tokio::spawn(async move { membership.leave().await });
            }
            self.common.doubt.switch(false);
            self.show_cluster();
            return;
        };
        if let Some(member) = &self.member
            && before.is_some_and(|before| before.is_same_member(&settings))
        {
            member.membership.change(&settings, config, slot);
            return;
        }
        let engine = match (&self.engine, Etcd::new(&settings)) {
            (Some(engine), _) => engine.clone(),
            (None, Ok(engine)) => Arc::new(engine),
            (None, Err(error)) => {
                let message = "the cluster cannot be joined";
                self.log.event(Level::Error, message, &[("error", &error)]);
                return;
            }
        };
        self.join_by(settings, engine, config, slot);
    }

    /// Joins through this engine.
    fn join_by(
        &mut self,
        settings: Settings,
        engine: Arc<dyn Engine>,
        config: String,
        slot: Duration,
    ) {
        let states = self.states();
        let (name, replicas) = (settings.name.clone(), settings.replicas);
        let membership = Membership::start(Start {
            settings,
            engine,
            config,
            slot,
            counted: Arc::new(move || states.counted()),
            news: self.changed.clone(),
            clock: self.common.clock,
            log: self.log.clone(),
        });
        self.common.doubt.switch(true);
        let (common, confidence) = (self.common.clone(), membership.confidence());
        let status = membership.status();
        let failures = tokio::spawn(async move {
            loop {
                tokio::time::sleep(JUDGE_EVERY).await;
                let released = common.doubt.released(confidence());
                let failures = released.iter().map(|held| (&*held.endpoint, held.secs));
                tell_failures(failures, &common.output);
                status.withheld(common.doubt.withheld());
            }
        });
        let failures = Aborting(failures.abort_handle());
        // After a change of name or engine, the last members stay until new ones are read.
        let old = self.member.take();
        // A process that polls everything continues to.
        let alone = || View::of(&name, "", [], replicas);
        let view = match &old {
            Some(old) => old.view.clone(),
            None => (!self.running.is_empty()).then(alone),
        };
        if let Some(Member { membership, .. }) = old {
            tokio::spawn(async move { membership.leave().await });
        }
        self.member = Some(Member { membership, view, _failures: failures });
        self.show_cluster();
    }

    fn show_cluster(&self) {
        let shown = self.cluster.clone();
        let report = Func::new(move || {
            let status = shown.lock().clone();
            status.map(|status| status.report())
        })
        .members(CLUSTER);
        let info = Info::new().help("State of the cluster's members.");
        if self.member.is_some() {
            // A name that is taken is this one's already, or the program's.
            let _ = self.registry.publish_with("samlare.cluster", report, info);
        }
        let status = self.member.as_ref().map(|member| member.membership.status());
        *self.cluster.lock() = status;
    }

    /// Applies a new view of the members.
    pub(super) fn see(&mut self, view: View) {
        let overlap = self.overlaps();
        let Some(member) = &mut self.member else { return };
        let ttl = self.config.cluster.as_ref().map_or(Duration::ZERO, |settings| settings.ttl);
        let margin_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let is_first = member.view.replace(view.clone()).is_none();
        let now_ms = self.common.clock.now_ms();
        let late = std::cell::Cell::new(0);
        let from_ms = || now_ms + spread(late.replace(late.get() + 1));
        self.settle(&|endpoint: &Endpoint| {
            let is_left = || view.leaves_slot(endpoint.target.url(), now_ms, margin_ms);
            match overlap && (view.vanished || (is_first && !is_left())) {
                true => Begin::Late(from_ms()),
                false => Begin::Next,
            }
        });
        if overlap && view.vanished {
            // Also slots that were left to a member that is gone now.
            for running in self.running.values().filter(|running| running.is_owned) {
                running.duty.catch_up(from_ms());
            }
        }
    }

    /// How many slots after the current one a lost endpoint is polled.
    pub(super) fn lingers(&self) -> u32 {
        u32::from(self.overlaps())
    }

    fn overlaps(&self) -> bool {
        self.config.cluster.as_ref().is_none_or(|settings| settings.overlap)
    }

    /// Gives the lease back, and goes on as long as others may not have begun.
    pub(super) async fn leave_cluster(&mut self, hands_over: Duration) {
        let Some(member) = self.member.take() else { return };
        if let Err(error) = member.membership.leave().await {
            let message = "the lease was not given back, the others notice after its TTL";
            self.log.event(Level::Warn, message, &[("error", &error)]);
        }
        if hands_over.is_zero() {
            return;
        }
        let (now_ms, lingers) = (self.common.clock.now_ms(), u64::from(self.lingers()));
        for running in self.running.values() {
            running.duty.end(&schedule(&running.endpoint), now_ms, lingers);
        }
        let ended = async {
            for running in self.running.values_mut() {
                let _ = (&mut running.task.0).await;
            }
        };
        let _ = tokio::time::timeout(hands_over, ended).await;
        // The new owners report failures from now on.
        self.running.clear();
    }
}

/// The delay of a late poll by its number, in milliseconds from the first one.
fn spread(number: u64) -> u64 {
    (number * APART_MICROS % ALL_WITHIN_MICROS) / 1000
}
