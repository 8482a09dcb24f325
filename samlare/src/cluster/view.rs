//! The members at one moment, and the consequences for one of them.

use std::collections::BTreeMap;

use super::owners::Owners;
use super::seat::Seat;

/// The members at one moment, as one of them sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Who shares the endpoints; the member itself always does.
    pub owners: Owners,
    name: String,
    /// When each of the others joined.
    since_ms: BTreeMap<String, u64>,
    /// A member disappeared without leaving: its slots may not have been polled.
    pub vanished: bool,
    /// Another process with this member's name exists, perhaps a dead one.
    doubled: bool,
    replicas: usize,
}

impl View {
    /// The view of member `name`, with this `instance`.
    pub fn of<'a>(
        name: &str,
        instance: &str,
        seats: impl IntoIterator<Item = &'a Seat>,
        replicas: usize,
    ) -> View {
        let mut since_ms: BTreeMap<String, u64> = BTreeMap::new();
        let mut doubled = false;
        for seat in seats {
            if seat.name == name {
                doubled |= seat.instance != instance && !seat.leaving;
            } else if !seat.leaving {
                let since = since_ms.entry(seat.name.clone()).or_insert(u64::MAX);
                *since = seat.since_ms.min(*since);
            }
        }
        let names = since_ms.keys().map(String::as_str).chain([name]);
        let owners = Owners::new(names, replicas);
        View { owners, name: name.to_owned(), since_ms, vanished: false, doubled, replicas }
    }

    /// Whether this member polls the endpoint.
    pub fn owns(&self, url: &str) -> bool {
        self.owners.owns(&self.name, url)
    }

    /// Whether there are other members.
    pub fn has_others(&self) -> bool {
        !self.since_ms.is_empty()
    }

    /// Whether this member, whose first view this is, may leave the current slot of an endpoint to
    /// its previous owners: one of them joined at least `margin_ms` before, so that its own first
    /// view was without this member. It then owned the endpoint, and an owner polls the current
    /// slot.
    ///
    /// If that owner has died, its seat disappears later, and unpolled slots are made up for then.
    pub fn leaves_slot(&self, url: &str, now_ms: u64, margin_ms: u64) -> bool {
        // No other member takes over from a process with this name.
        if self.doubled || self.since_ms.is_empty() {
            return false;
        }
        let before = Owners::new(self.since_ms.keys().map(String::as_str), self.replicas);
        let is_old = |name: &&str| {
            let since = self.since_ms.get(*name).copied().unwrap_or(u64::MAX);
            since.saturating_add(margin_ms) <= now_ms
        };
        before.of(url).iter().any(is_old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(name: &str, instance: &str, since_ms: u64) -> Seat {
        let (name, instance) = (name.to_owned(), instance.to_owned());
        Seat { name, instance, since_ms, ..Seat::default() }
    }

    #[test]
    fn a_member_counts_itself_and_nobody_who_leaves() {
        let leaving = Seat { leaving: true, ..seat("c", "3", 0) };
        let seats = [seat("b", "2", 0), leaving];
        let view = View::of("a", "1", &seats, 1);
        assert_eq!(view.owners.names().collect::<Vec<_>>(), ["a", "b"]);
        assert!(view.has_others());
        assert!(!View::of("a", "1", &seats[1..], 1).has_others());
    }

    #[test]
    fn a_slot_is_left_to_those_who_had_the_endpoint_before() {
        let old = [seat("a", "1", 90_000), seat("b", "2", 10_000)];
        let view = View::of("a", "1", &old, 1);
        assert!(view.leaves_slot("u", 20_000, 3_000));
        assert!(!view.leaves_slot("u", 12_999, 3_000));
        // Alone, or replacing a process that has just died: the slot may be unpolled.
        assert!(!View::of("a", "1", &old[..1], 1).leaves_slot("u", 20_000, 3_000));
        let twice = [seat("a", "0", 0), seat("b", "2", 0)];
        assert!(!View::of("a", "1", &twice, 1).leaves_slot("u", 20_000, 3_000));
    }
}
