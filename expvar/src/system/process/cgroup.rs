//! Limits and usage of the process's control group.

mod place;

use super::entries::{entries, number};
use super::files::Files;
use super::pressure::Pressure;
use super::record::record;
use crate::Unit::{Bytes, Seconds};
use place::{Place, Places};

/// How many ancestor groups are checked for the effective limit.
const LEVELS: usize = 64;

record! {
    /// The control group (cgroup) of the process: the limits of a container or a service unit.
    ///
    /// Read from the group's files. The limits are the lowest of the group and its visible
    /// ancestors, because the lowest is the effective one.
    ///
    /// ```
    /// let cgroup = expvar::process::read().cgroup.unwrap_or_default();
    /// if let (Some(used), Some(most)) = (cgroup.memory_bytes, cgroup.memory_max_bytes) {
    ///     println!("{used} of {most} bytes");
    /// }
    /// ```
    pub struct Cgroup {
        /// 2 for the unified hierarchy, 1 for the older one of a controller each.
        pub version: Option<u64>,
        /// Memory charged to the group, including the file cache (v2 `memory.current`, v1
        /// `memory.usage_in_bytes`).
        pub memory_bytes: Option<u64> [unit(Bytes)],
        /// Memory above which the kernel throttles the group and reclaims its memory (v2
        /// `memory.high`, v1 `memory.soft_limit_in_bytes`). Absent without a limit.
        pub memory_high_bytes: Option<u64> [unit(Bytes)],
        /// The group's memory limit (v2 `memory.max`, v1 `memory.limit_in_bytes`). Absent without a
        /// limit.
        pub memory_max_bytes: Option<u64> [unit(Bytes)],
        /// Processes of the group killed by the out-of-memory killer (`oom_kill`).
        pub oom_kills: Option<u64> [counter()],
        /// Enforcement intervals of the processor limit that have elapsed (`nr_periods`).
        pub cpu_periods: Option<u64> [counter()],
        /// Intervals in which the group used up its processor time (`nr_throttled`).
        pub cpu_throttled_periods: Option<u64> [counter()],
        /// Seconds for which the group's threads were throttled.
        pub cpu_throttled_seconds: Option<f64> [unit(Seconds), counter()],
        /// Pressure of the group (v2).
        pub pressure: Option<Pressure> [members(Pressure::MEMBERS)],
    }
}

/// Finds the group's directories, and finds them again after the process was moved.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    membership: Vec<u8>,
    places: Places,
}

impl Cgroups {
    /// `None` without control groups, or if none has usable files.
    pub(super) fn read(&mut self, files: &mut Files) -> Option<Cgroup> {
        let membership = files.read_if_there(&["/proc/self/cgroup"])?;
        if membership != self.membership {
            self.membership.clear();
            self.membership.extend_from_slice(membership);
            let mounts = files.read_if_there(&["/proc/self/mountinfo"]).unwrap_or_default();
            self.places = Places::find(&self.membership, mounts);
        }
        let mut cgroup = Cgroup::default();
        if let Some(place) = &self.places.memory {
            cgroup.read_memory(files, place);
        }
        if let Some(place) = &self.places.cpu {
            cgroup.read_cpu(files, place);
        }
        if let Some(place) = &self.places.unified {
            cgroup.pressure = Pressure::read(files, &place.own, ".pressure");
        }
        if cgroup == Cgroup::default() {
            return None;
        }
        let place = self.places.memory.as_ref().or(self.places.cpu.as_ref());
        cgroup.version = Some(place.map_or(2, |place| place.version));
        Some(cgroup)
    }
}

impl Cgroup {
    fn read_memory(&mut self, files: &mut Files, place: &Place) {
        let (now, high, max, kills) = match place.version {
            1 => (
                "/memory.usage_in_bytes",
                "/memory.soft_limit_in_bytes",
                "/memory.limit_in_bytes",
                "/memory.oom_control",
            ),
            _ => ("/memory.current", "/memory.high", "/memory.max", "/memory.events"),
        };
        self.memory_bytes = amount(files, &place.own, now);
        self.memory_high_bytes = place.levels().filter_map(|at| limit(files, at, high)).min();
        self.memory_max_bytes = place.levels().filter_map(|at| limit(files, at, max)).min();
        if let Some(text) = files.read_if_there(&[&place.own, kills]) {
            self.oom_kills = value(text, "oom_kill");
            // Linux before 4.13 does not count the kills.
            let known = ["under_oom", "max"].iter().any(|name| value(text, name).is_some());
            files.check(known || self.oom_kills.is_some());
        }
    }

    fn read_cpu(&mut self, files: &mut Files, place: &Place) {
        let Some(text) = files.read_if_there(&[&place.own, "/cpu.stat"]) else { return };
        self.cpu_periods = value(text, "nr_periods");
        self.cpu_throttled_periods = value(text, "nr_throttled");
        self.cpu_throttled_seconds = match place.version {
            1 => value(text, "throttled_time").map(super::seconds),
            _ => value(text, "throttled_usec").map(super::micros),
        };
        // Without a limit there are no periods, in v2.
        let known = value(text, "usage_usec").is_some();
        files.check(known || self.cpu_periods.is_some());
    }
}

/// A file with one number.
fn amount(files: &mut Files, place: &str, name: &str) -> Option<u64> {
    let text = files.read_if_there(&[place, name])?;
    let amount = number(text.trim_ascii());
    files.check(amount.is_some());
    amount
}

/// A file with one number, or the word for no limit.
fn limit(files: &mut Files, place: &str, name: &str) -> Option<u64> {
    let text = files.read_if_there(&[place, name])?.trim_ascii();
    if text == b"max" {
        return None;
    }
    let limit = number(text);
    files.check(limit.is_some());
    // v1 writes "no limit" as the highest page count it can store.
    limit.filter(|bytes| *bytes < 1 << 62)
}

fn value(text: &[u8], name: &str) -> Option<u64> {
    entries(text).find(|entry| entry.0 == name.as_bytes()).and_then(|entry| number(entry.1))
}
