//! Pressure stall information (PSI): time that tasks waited for a resource.

use super::files::Files;
use super::record::record;
use crate::Unit::{Percent, Seconds};

record! {
    /// Pressure of a cgroup or of the machine, by resource.
    ///
    /// Source: `cpu.pressure`, `memory.pressure` and `io.pressure` of a cgroup v2, or the files of
    /// `/proc/pressure`. Absent if the kernel has PSI disabled.
    ///
    /// ```
    /// let pressure = expvar::process::read().system_pressure.unwrap_or_default();
    /// if let Some(stalled) = pressure.memory.and_then(|memory| memory.some) {
    ///     println!("{:?} % of the last 10 s", stalled.average_10s_percent);
    /// }
    /// ```
    pub struct Pressure {
        /// Waiting for a processor.
        pub cpu: Option<Stalls> [members(Stalls::MEMBERS)],
        /// Waiting for memory: reclaim, swap-in, refaults.
        pub memory: Option<Stalls> [members(Stalls::MEMBERS)],
        /// Waiting for block devices.
        pub io: Option<Stalls> [members(Stalls::MEMBERS)],
    }
}

record! {
    /// How long tasks stalled on one resource.
    ///
    /// ```
    /// let stalls = expvar::process::Stalls::default();
    /// assert_eq!((stalls.some, stalls.full), (None, None));
    /// ```
    pub struct Stalls {
        /// At least one task waited.
        pub some: Option<Stall> [members(Stall::MEMBERS)],
        /// All non-idle tasks waited at once.
        pub full: Option<Stall> [members(Stall::MEMBERS)],
    }
}

record! {
    /// Fractions of wall-clock time lost, and the total.
    ///
    /// ```
    /// let stall = expvar::process::Stall::default();
    /// assert_eq!(stall.total_seconds, None);
    /// ```
    pub struct Stall {
        /// Share of the last 10 s, in percent.
        pub average_10s_percent: Option<f64> [unit(Percent)],
        /// Share of the last 60 s, in percent.
        pub average_60s_percent: Option<f64> [unit(Percent)],
        /// Share of the last 300 s, in percent.
        pub average_300s_percent: Option<f64> [unit(Percent)],
        /// Seconds lost since the cgroup, or the machine, started.
        pub total_seconds: Option<f64> [unit(Seconds), counter()],
    }
}

impl Pressure {
    /// Reads the three files at `place`: `cpu`, `memory` and `io`, each with `suffix`.
    pub(super) fn read(files: &mut Files, place: &str, suffix: &str) -> Option<Pressure> {
        let mut one = |name: &str| {
            let text = files.read_if_there(&[place, "/", name, suffix])?;
            let stalls = Stalls::parse(text);
            files.check(stalls.is_some());
            stalls
        };
        let pressure = Pressure { cpu: one("cpu"), memory: one("memory"), io: one("io") };
        (pressure != Pressure::default()).then_some(pressure)
    }
}

impl Stalls {
    fn parse(text: &[u8]) -> Option<Stalls> {
        let mut stalls = Stalls::default();
        for line in str::from_utf8(text).ok()?.lines() {
            let (kind, fields) = line.split_once(' ')?;
            let stall = Stall::parse(fields);
            match kind {
                "some" => stalls.some = stall,
                "full" => stalls.full = stall,
                _ => {}
            }
        }
        (stalls != Stalls::default()).then_some(stalls)
    }
}

impl Stall {
    fn parse(fields: &str) -> Option<Stall> {
        let mut stall = Stall::default();
        for field in fields.split_ascii_whitespace() {
            let (name, value) = field.split_once('=')?;
            let percent = || value.parse().ok().filter(|share| (0.0..=100.0).contains(share));
            match name {
                "avg10" => stall.average_10s_percent = percent(),
                "avg60" => stall.average_60s_percent = percent(),
                "avg300" => stall.average_300s_percent = percent(),
                "total" => stall.total_seconds = value.parse().ok().map(super::micros),
                _ => {}
            }
        }
        (stall != Stall::default()).then_some(stall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percent_and_totals_seconds() {
        let text = b"some avg10=0.94 avg60=0.56 avg300=0.62 total=7503555\n\
            full avg10=0.00 avg60=0.00 avg300=100.00 total=0\n";
        let stalls = Stalls::parse(text).unwrap();
        let some = stalls.some.unwrap();
        assert_eq!(some.average_10s_percent, Some(0.94));
        assert_eq!(some.average_60s_percent, Some(0.56));
        assert_eq!(some.average_300s_percent, Some(0.62));
        assert_eq!(some.total_seconds, Some(7.503555));
        assert_eq!(stalls.full.unwrap().average_300s_percent, Some(100.0));
    }

    #[test]
    fn cpu_pressure_of_old_kernels_has_no_full_line() {
        let stalls = Stalls::parse(b"some avg10=1.00 avg60=0.00 avg300=0.00 total=5\n").unwrap();
        assert_eq!(stalls.full, None);
    }

    #[test]
    fn an_unknown_format_is_absent() {
        assert_eq!(Stalls::parse(b"little avg10=1.00\n"), None);
        assert_eq!(Stalls::parse(b"nonsense\n"), None);
        assert_eq!(Stalls::parse(b"some avg10=NaN avg60=-1 avg300=101 total=-5\n"), None);
        assert_eq!(Stalls::parse(b"\xff\n"), None);
    }
}
