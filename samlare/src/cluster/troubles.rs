//! Problems in a cluster: duplicate names, clocks, configurations, foreign keys.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::seat::Seat;
use crate::log::{Level, Log};

/// How many consecutive samples of the clock must differ.
const APART: u8 = 2;

/// Current problems; each is logged when it begins and when it is over.
#[derive(Default)]
pub(super) struct Troubles {
    told: BTreeMap<String, String>,
    /// Since when processes with the same name were seen together.
    doubled: BTreeMap<String, Instant>,
    /// By key: how many consecutive samples differed, and the last difference.
    clocks: BTreeMap<String, (u8, i64)>,
}

/// The inputs of a check.
pub(super) struct Looked<'a> {
    pub(super) me: &'a Seat,
    pub(super) seats: &'a BTreeMap<String, Seat>,
    /// Entries under the group's keys that are not members.
    pub(super) foreign: &'a BTreeMap<String, String>,
    /// How long after its last renewal a member counts.
    pub(super) ttl: Duration,
}

impl Troubles {
    /// Checks a member's clock in its latest value.
    pub(super) fn clock(&mut self, seat: &Seat, now_ms: u64, slot: Duration) {
        let apart = i64::try_from(seat.now_ms).unwrap_or(i64::MAX) - now_ms as i64;
        let entry = self.clocks.entry(seat.key()).or_default();
        let most = slot.max(Duration::from_secs(1)).as_millis();
        let is_apart = u128::from(apart.unsigned_abs()) > most;
        *entry = if is_apart { (entry.0.saturating_add(1), apart) } else { (0, 0) };
    }

    /// A member was removed.
    pub(super) fn gone(&mut self, key: &str) {
        self.clocks.remove(key);
    }

    /// Returns the current problems; logs new ones and those that are over.
    pub(super) fn look(&mut self, at: &Looked<'_>, log: &Log) -> Vec<String> {
        let mut now = BTreeMap::new();
        self.names(at, &mut now);
        for (key, (count, apart)) in &self.clocks {
            let Some(seat) = at.seats.get(key).filter(|_| *count >= APART) else { continue };
            let (name, secs) = (&seat.name, *apart as f64 / 1000.0);
            now.insert(
                format!("clock {key}"),
                format!(
                    "the clock of {name} is {secs:+.1} s from this one's, more than a slot: set \
                     both by NTP"
                ),
            );
        }
        for seat in at.seats.values().filter(|seat| seat.config != at.me.config) {
            let name = &seat.name;
            now.insert(
                format!("config {name}"),
                format!(
                    "{name} has another configuration: give all members of a group the same \
                     endpoints, sources, Replicas and Overlap"
                ),
            );
        }
        for (key, why) in at.foreign {
            now.insert(
                format!("foreign {key}"),
                format!("the key {key} of this group is no member of it ({why}): remove it"),
            );
        }
        for (key, text) in &now {
            if !self.told.contains_key(key) {
                log.event(Level::Warn, "cluster", &[("error", text)]);
            }
        }
        for (_, text) in self.told.iter().filter(|(key, _)| !now.contains_key(*key)) {
            log.event(Level::Info, "cluster problem solved", &[("error", text)]);
        }
        self.told = now;
        self.told.values().cloned().collect()
    }

    /// Names used by two living processes: a dead one disappears within a TTL.
    fn names(&mut self, at: &Looked<'_>, now: &mut BTreeMap<String, String>) {
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for seat in at.seats.values().filter(|seat| !seat.leaving) {
            *count.entry(&seat.name).or_default() += 1;
        }
        self.doubled.retain(|name, _| count.get(name.as_str()).is_some_and(|count| *count > 1));
        for (name, count) in count.into_iter().filter(|(_, count)| *count > 1) {
            let since = *self.doubled.entry(name.to_owned()).or_insert_with(Instant::now);
            if since.elapsed() > at.ttl * 2 + Duration::from_secs(4) {
                let text = format!(
                    "{count} members are called {name}, and all poll the same endpoints: give each \
                     a Name of its own"
                );
                now.insert(format!("name {name}"), text);
            }
        }
    }
}
