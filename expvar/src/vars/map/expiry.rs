//! Expiry of unused keys.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use once_cell::sync::OnceCell;

use crate::var::{Handle, Owner, Var};

use super::{Child, Map};

/// The state of a map's expiry.
pub(super) struct Sweep {
    last: Instant,
    seen: HashMap<Arc<str>, Seen>,
}

struct Seen {
    print: u64,
    since: Instant,
}

/// What handles on a variable mean for its expiry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Handles {
    /// A variable with handles is in use.
    Counted,
    /// It is in use while its value changes. Its handles learn from [`Held`](super::held::Held)
    /// that it was removed.
    Ignored,
}

impl Map {
    /// Removes expired keys. Called by readers, and before a full map sends a new key to `(other)`.
    pub(super) fn expire(&self) {
        if let Some(after) = self.expire_after {
            self.expire_at(Instant::now(), after, Handles::Counted);
        }
    }

    /// Removes the keys that are expired at `now`. Returns whether there were any.
    pub(super) fn expire_at(&self, now: Instant, after: Duration, handles: Handles) -> bool {
        let mut guard = self.sweep.lock();
        let sweep = guard.get_or_insert_with(|| {
            Box::new(Sweep { last: now.checked_sub(after).unwrap_or(now), seen: HashMap::new() })
        });
        // Delays expiry by at most an eighth, and keeps frequent readers cheap.
        if now.saturating_duration_since(sweep.last) < after / 8 {
            return false;
        }
        sweep.last = now;
        let list = self.keys.lock().list();
        sweep.seen.retain(|key, _| list.names().binary_search(key).is_ok());
        let mut due = Vec::new();
        for (key, child) in list.iter() {
            if let Var::Map(nested) = &child.var
                && let Some(after) = nested.expire_after
            {
                nested.expire_at(now, after, handles);
            }
            let print = print(&child.var);
            let used = child.take_used();
            let seen = sweep.seen.entry(Arc::clone(key)).or_insert(Seen { print, since: now });
            // A nested map with expiry of its own expires when it is empty.
            let inside = matches!(&child.var, Var::Map(nested)
                if nested.expire_after.is_some() && nested.keys.lock().len() > 0);
            if used || inside || seen.print != print {
                *seen = Seen { print, since: now };
            } else if now.saturating_duration_since(seen.since) >= after {
                due.push((Arc::clone(key), print));
            }
        }
        drop(list);
        drop(guard);
        self.remove_due(&due, handles)
    }

    /// Removes keys that have not changed since, and have no handles if those count. Returns
    /// whether it removed any.
    fn remove_due(&self, due: &[(Arc<str>, u64)], handles: Handles) -> bool {
        let mut gone = Vec::new();
        for (key, seen) in due {
            let mut keys = self.keys.lock();
            // The cached list holds handles too.
            keys.unlist();
            let may_go = |child: &Child| handles == Handles::Ignored || child.is_only_in_map();
            let unchanged = |child: &Child| print(&child.var) == *seen;
            match keys.get(key) {
                Some(child) if may_go(child) && unchanged(child) => child.retire(),
                _ => continue,
            }
            if let Some(mut child) = keys.remove(key) {
                if handles == Handles::Ignored && !unchanged(&child) {
                    // A handle just recorded into it: it stays, and the next request finds it.
                    child.held = OnceCell::new();
                    keys.insert(Arc::clone(key), child);
                } else {
                    gone.push(child);
                }
            }
        }
        if !gone.is_empty() {
            super::held::forget_retired();
            super::cache::forget(&self.id, None);
        }
        !gone.is_empty()
    }
}

impl Child {
    /// Whether the map and its caches are the only owners of the variable.
    fn is_only_in_map(&self) -> bool {
        let ours = 1 + usize::from(self.known.is_some()) + usize::from(self.held.get().is_some());
        match &self.var {
            Var::Counter(Handle(Owner::Shared(var))) => Arc::strong_count(var) == ours,
            Var::Gauge(Handle(Owner::Shared(var))) => Arc::strong_count(var) == ours,
            Var::FloatGauge(Handle(Owner::Shared(var))) => Arc::strong_count(var) == ours,
            Var::Text(Handle(Owner::Shared(var))) => Arc::strong_count(var) == ours,
            Var::Histogram(Handle(Owner::Shared(var))) => {
                let twins = self.held.get().map_or(Some(0), |held| held.idle_twins());
                twins.is_some_and(|twins| Arc::strong_count(var) == ours + twins)
            }
            Var::Map(Handle(Owner::Shared(var))) => Arc::strong_count(var) == ours,
            // A static always has another owner.
            Var::Counter(_)
            | Var::Gauge(_)
            | Var::FloatGauge(_)
            | Var::Text(_)
            | Var::Histogram(_)
            | Var::Map(_) => false,
            // A function may return another value at any time.
            Var::Func(_) => false,
        }
    }

    fn take_used(&self) -> bool {
        self.held.get().is_some_and(|held| held.take_used())
    }
}

/// A fingerprint that changes when a variable does.
fn print(var: &Var) -> u64 {
    match var {
        Var::Counter(counter) => counter.get(),
        Var::Gauge(gauge) => gauge.get() as u64,
        Var::FloatGauge(gauge) => gauge.get().to_bits(),
        Var::Histogram(histogram) => histogram.snapshot().count(),
        Var::Text(text) => text.with(hash),
        Var::Map(map) => {
            let list = map.keys.lock().list();
            let each = list.iter().map(|(key, child)| match &child.var {
                Var::Map(_) => hash(key),
                var => hash(&(key, print(var))),
            });
            each.fold(list.len() as u64, |all, one| all.rotate_left(5) ^ one)
        }
        Var::Func(_) => 0,
    }
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Milliseconds since the first call.
pub(super) fn millis() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Handles;
    use crate::Map;

    const AFTER: Duration = Duration::from_secs(80);

    #[test]
    fn keys_that_nobody_uses_go_and_come_back_at_zero() {
        let map = Map::new().expire_after(AFTER);
        let start = Instant::now();
        let at = |secs| map.expire_at(start + Duration::from_secs(secs), AFTER, Handles::Counted);
        map.add("idle", 1);
        map.add("busy", 1);
        map.counter("counted").inc();
        map.histogram("measured").record(1);
        map.text("said").set("x");
        let kept = map.gauge("kept");
        at(0);
        map.add("busy", 1);
        at(40);
        assert_eq!(map.len(), 6, "all were used within the time");
        // Setting the same value again changes nothing that readers see, but counts as use.
        map.text("said").set("x");
        at(90);
        assert_eq!(map.keys(), ["busy", "kept", "said"]);
        at(130);
        assert_eq!(map.keys(), ["kept", "said"]);
        at(200);
        at(400);
        assert_eq!(map.keys(), ["kept"], "a key with a live handle is in use");
        kept.set(5);
        assert_eq!(map.get("kept").unwrap().to_string(), "5");

        map.add("idle", 7);
        map.counter("counted").inc();
        assert_eq!(map.get("idle").unwrap().to_string(), "7");
        assert_eq!(map.get("counted").unwrap().to_string(), "1");
    }

    #[test]
    fn nested_keys_go_one_by_one_and_the_map_with_the_last() {
        let map = Map::new().expire_after(AFTER);
        let start = Instant::now();
        let at = |secs| map.expire_at(start + Duration::from_secs(secs), AFTER, Handles::Counted);
        for pod in ["a", "b"] {
            map.counter_at(["web", pod]).inc();
        }
        at(0);
        map.counter_at(["web", "b"]).inc();
        at(20);
        at(90);
        let web = map.get("web").unwrap();
        assert_eq!(web.to_string(), "{\"b\": 2}");
        drop(web);
        for secs in [110, 200, 300, 400] {
            at(secs);
        }
        assert!(map.is_empty(), "{map:?}");
        map.counter_at(["web", "b"]).inc();
        assert_eq!(map.get("web").unwrap().to_string(), "{\"b\": 1}");
    }

    #[test]
    fn a_full_map_makes_room() {
        let map = Map::with_limit(2).expire_after(AFTER);
        let start = Instant::now();
        map.add("a", 1);
        map.add("b", 1);
        for secs in [0, 100] {
            map.expire_at(start + Duration::from_secs(secs), AFTER, Handles::Counted);
        }
        map.add("c", 1);
        assert_eq!(map.keys(), ["c"]);
    }
}
