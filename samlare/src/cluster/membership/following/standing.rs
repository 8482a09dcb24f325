//! How a member stands with its engine and the others: its log and its report.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::super::{Confidence, Joined};
use super::Following;
use crate::cluster::engine::Lease;
use crate::cluster::seat::Seat;
use crate::cluster::status::{Member, written};
use crate::cluster::troubles::Looked;
use crate::cluster::view::View;
use crate::log::Level;

/// How long a start waits for the engine.
const START: Duration = Duration::from_secs(3);

impl Following {
    /// Checks lease, engine and problems, and logs changes.
    pub(super) fn look(&mut self) {
        let standing = self.lease.as_ref().map(Lease::standing);
        let confidence = match &standing {
            Some(standing) if standing.is_lost => Confidence::Gone,
            Some(standing) if standing.renewed.elapsed() < self.settings.ttl => {
                Confidence::Held { granted: standing.granted, renewed: standing.renewed }
            }
            _ => Confidence::Unknown,
        };
        let was = std::mem::replace(&mut *self.shared.confidence.lock(), confidence);
        if confidence == Confidence::Gone && was != Confidence::Gone {
            self.shared.status.lock().report.leases_lost += 1;
            self.tell(Level::Warn, "the lease is gone, this member joins again", &[]);
        }
        if let Some(trouble) = standing.as_ref().and_then(|standing| standing.trouble.clone()) {
            self.error = trouble;
        }
        let renewed =
            standing.filter(|standing| !standing.is_lost).map(|standing| standing.renewed);
        let answers = renewed.is_some_and(|renewed| renewed.elapsed() < self.settings.ttl * 3 / 4);
        self.reach(answers);
        let seat = self.shared.seat();
        let troubles = self.troubles.look(
            &Looked {
                me: &seat,
                seats: &self.seats,
                foreign: &self.foreign,
                ttl: self.settings.ttl,
            },
            &self.shared.log,
        );
        self.show(confidence, answers, &seat, troubles);
    }

    /// Logs when the engine becomes unreachable and reachable, and starts alone if it never was.
    fn reach(&mut self, answers: bool) {
        if answers {
            if let Some(since) = self.away.take() {
                let secs = since.elapsed().as_secs();
                self.tell(Level::Info, "the engine is back", &[("after_secs", &secs)]);
            }
            return;
        }
        if self.away.is_some() || (self.lease.is_none() && self.began.elapsed() < START) {
            return;
        }
        self.away = Some(Instant::now());
        let error = self.error.clone();
        if self.view.is_some() {
            let message = "the engine is unreachable, the last members stay in force";
            self.tell(Level::Warn, message, &[("error", &error)]);
            return;
        }
        let message = "the engine cannot be reached, polling as if alone until it can";
        self.tell(Level::Warn, message, &[("error", &error)]);
        let view = View::of(&self.settings.name, "", [], self.settings.replicas);
        self.shared.status.lock().owners = view.owners.clone();
        self.shared.views.lock().push_back(view);
        self.shared.joined.send_replace(Joined::Alone(error));
        self.shared.news.notify_one();
    }

    fn show(&self, confidence: Confidence, answers: bool, me: &Seat, troubles: Vec<String>) {
        let mut members: BTreeMap<String, Member> = BTreeMap::new();
        let own = [me].into_iter().filter(|_| self.view.is_some());
        let others = self.seats.values().filter(|seat| !self.is_me(seat));
        for seat in others.chain(own) {
            let mut name = seat.name.clone();
            let mut number = 1;
            while members.contains_key(&name) {
                number += 1;
                name = format!("{} #{number}", seat.name);
            }
            members.insert(
                name,
                Member {
                    since: written(seat.since_ms),
                    since_secs: seat.since_ms / 1000,
                    endpoints: seat.endpoints,
                    points: seat.points,
                    config: seat.config.clone(),
                    other_config: u8::from(seat.config != me.config),
                    leaving: u8::from(seat.leaving),
                    version: seat.version.clone(),
                },
            );
        }
        let report = &mut self.shared.status.lock().report;
        report.engine_up = u8::from(answers);
        report.engine_error = if answers { String::new() } else { self.error.clone() };
        report.lease = match confidence {
            Confidence::Held { .. } => "held",
            Confidence::Unknown => "unknown",
            Confidence::Gone => "gone",
        };
        report.requests = self.shared.engine.requests();
        report.members = members;
        report.troubles = troubles;
        report.other_groups.clone_from(&self.others);
    }
}
