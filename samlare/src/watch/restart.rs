//! Signs that a process is not the one of the poll before.

use std::collections::BTreeMap;

use super::reading::{Reading, Variable};
use super::series::{Latest, Series};

/// What is compared from poll to poll.
#[derive(Clone, Debug, Default)]
pub(super) struct Clues {
    line: Option<String>,
}

impl Clues {
    /// Whether the service restarted between the last values of `series` and
    /// this reading.
    ///
    /// Sure signs: another command line or process id, a later start time, an
    /// uptime or one of Go's own counters that went back. Otherwise counters
    /// are asked: most of them, or after an outage any, must have gone back.
    pub(super) fn restarted(
        &mut self,
        reading: &Reading,
        series: &BTreeMap<String, Series>,
        was_down: bool,
    ) -> bool {
        let mut sure = false;
        let (mut counters, mut back, mut far_back) = (0, 0, 0);
        let (mut risen, mut risen_back) = (0, 0);
        for Variable { name, depth, value } in &reading.variables {
            if let ("cmdline", Latest::Text(line)) = (name.as_str(), value) {
                sure |= self.line.as_ref().is_some_and(|before| before != line);
                self.line = Some(line.clone());
                continue;
            }
            let same = |series: &&Series| series.depth == *depth;
            let Some(known) = series.get(name).filter(same) else { continue };
            let (Some(new), Some(old)) = (value.as_number(), known.latest.as_number()) else {
                continue;
            };
            match kind(name) {
                Kind::Id => sure |= new != old,
                Kind::Start => sure |= new > old + 2.0 * one_second(old),
                Kind::Uptime | Kind::Sure => sure |= new < old,
                Kind::Other if known.counts() && old > 0.0 => {
                    counters += 1;
                    back += u32::from(new < old);
                    far_back += u32::from(new < old / 2.0);
                }
                Kind::Other if known.moves().0 > 0 && known.moves().1 == 0 => {
                    risen += 1;
                    risen_back += u32::from(new < old);
                }
                Kind::Other => {}
            }
        }
        let most = match counters {
            0 => false,
            1 => far_back == 1,
            _ => 2 * back >= counters,
        };
        // What rose a few times may be a gauge; most of it falling after an
        // outage is another matter.
        let after_outage = back > 0 || (risen > 0 && 2 * risen_back >= risen);
        sure || most || (was_down && after_outage)
    }
}

enum Kind {
    Id,
    Start,
    Uptime,
    Sure,
    Other,
}

fn kind(name: &str) -> Kind {
    if matches!(name, "memstats.TotalAlloc" | "memstats.Mallocs") {
        return Kind::Sure;
    }
    let last = name.rsplit('.').next().unwrap_or(name).to_lowercase();
    if last == "pid" {
        Kind::Id
    } else if last.contains("uptime") {
        Kind::Uptime
    } else if last.contains("start") && last.contains("time") {
        Kind::Start
    } else {
        Kind::Other
    }
}

/// One second in the unit that a point in time of this size is in.
fn one_second(time: f64) -> f64 {
    match time {
        t if t > 1e17 => 1e9,
        t if t > 1e14 => 1e6,
        t if t > 1e11 => 1e3,
        _ => 1.0,
    }
}
