//! A histogram in a walk.

use std::fmt;

use crate::cells::Reader;
use crate::exemplar::Exemplar;
use crate::histogram::{Histogram, Moment, Reading, Snapshot, Stamp};

/// A histogram in a walk, read on demand.
///
/// ```
/// use expvar::{Histogram, Info, Recorded, Registry, Step, Visitor};
///
/// #[derive(Default)]
/// struct Medians(Vec<u64>);
///
/// impl Visitor for Medians {
///     fn enter(&mut self, _: Step<'_>, _: &Info) {}
///     fn leave(&mut self) {}
///     fn histogram(&mut self, mut histogram: Recorded<'_>) {
///         if histogram.count() > 0 {
///             self.0.push(histogram.total().quantile(0.5));
///         }
///     }
/// }
///
/// let registry = Registry::new();
/// registry.publish("sizes", Histogram::new())?.record(3);
/// let mut medians = Medians::default();
/// registry.visit(&mut medians);
/// assert_eq!(medians.0, [3]);
/// # Ok::<(), expvar::PublishError>(())
/// ```
pub struct Recorded<'a> {
    histogram: &'a Histogram,
    reader: &'a Reader,
    reading: &'a mut Reading,
    read: Read,
}

/// What the buffer holds already.
#[derive(PartialEq)]
enum Read {
    Nothing,
    Total(Moment),
    Everything,
}

impl<'a> Recorded<'a> {
    /// `reading` is a buffer.
    pub(super) fn new(
        histogram: &'a Histogram,
        reader: &'a Reader,
        reading: &'a mut Reading,
    ) -> Self {
        Self { histogram, reader, reading, read: Read::Nothing }
    }

    /// Equal stamps of the same histogram mean that [`total`](Self::total) has not changed, so an
    /// exporter can reuse what it made of it. Take the stamp before the total: a recording in
    /// between then shows next time. Reads one or two cells per page.
    pub fn total_stamp(&self) -> Stamp {
        self.histogram.total_stamp(self.reader)
    }

    /// Like [`total_stamp`](Self::total_stamp), for [`total`](Self::total) and
    /// [`recent`](Self::recent).
    pub fn recent_stamp(&self) -> Stamp {
        self.histogram.recent_stamp(self.reader)
    }

    /// The number of values since the process started. Reads one cell per page.
    pub fn count(&self) -> u64 {
        match self.read {
            Read::Nothing => self.histogram.read_count(self.reader),
            _ => self.reading.total.count(),
        }
    }

    /// Whether the histogram holds fractions. See [`Histogram::floats`].
    pub fn is_float(&self) -> bool {
        self.histogram.is_float()
    }

    /// The stored exemplars, ascending by value. See [`Histogram::exemplars`].
    pub fn exemplars(&self) -> Vec<Exemplar> {
        self.histogram.recorded_exemplars()
    }

    /// Everything recorded since the process started. The first call reads the buckets.
    pub fn total(&mut self) -> &Snapshot {
        if self.read == Read::Nothing {
            let moment = self.histogram.read_total(self.reader, &mut self.reading.total);
            self.read = Read::Total(moment);
        }
        &self.reading.total
    }

    /// What was recorded in the last 60 to 70 seconds.
    pub fn recent(&mut self) -> &Snapshot {
        &self.reading().recent
    }

    /// Both total and recent values.
    pub fn reading(&mut self) -> &Reading {
        self.total();
        if let Read::Total(moment) = self.read {
            self.histogram.read_recent(moment, self.reader, self.reading);
            self.read = Read::Everything;
        }
        self.reading
    }
}

impl fmt::Debug for Recorded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").field("count", &self.count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::clock::Time;
    use crate::{Func, Histogram, Info, Recorded, Registry, Stamp, Step, Visitor};

    /// The count of recent values, and stamps.
    #[derive(Default)]
    struct Seen {
        recent: Vec<u64>,
        stamps: Vec<[Stamp; 2]>,
    }

    impl Visitor for Seen {
        fn enter(&mut self, _: Step<'_>, _: &Info) {}
        fn leave(&mut self) {}

        fn histogram(&mut self, mut histogram: Recorded<'_>) {
            self.stamps.push([histogram.total_stamp(), histogram.recent_stamp()]);
            self.recent.push(histogram.recent().count());
        }
    }

    fn see(registry: &Registry) -> Seen {
        let mut seen = Seen::default();
        registry.visit(&mut seen);
        seen
    }

    /// Stops this thread's clock, ahead of the time of the thread that rolls the windows, which
    /// then finds their notes too young to change.
    fn stop_the_clock() {
        Time::pass(Duration::from_secs(3600));
    }

    #[test]
    fn a_slow_function_makes_no_old_record_recent() {
        stop_the_clock();
        let registry = Registry::new();
        let before = registry.publish("before", Histogram::new()).unwrap();
        let slow = Func::number(|| {
            Time::pass(Duration::from_secs(55));
            1
        });
        registry.publish("m", slow).unwrap();
        let behind = registry.publish("z", Histogram::new()).unwrap();
        [&before, &behind].iter().for_each(|histogram| histogram.record(7));
        Time::pass(Duration::from_secs(10));
        // Takes a note of each.
        assert_eq!([before.recent().count(), behind.recent().count()], [1, 1]);
        Time::pass(Duration::from_secs(30));
        assert_eq!(see(&registry).recent, [1, 0], "40 and 95 seconds after the records");
    }

    #[test]
    fn stamps_change_with_records_and_when_what_is_recent_ends() {
        stop_the_clock();
        let registry = Registry::new();
        let histograms = ["a", "b"].map(|name| registry.publish(name, Histogram::new()).unwrap());
        let [mut last, mut now] = [see(&registry), see(&registry)];
        assert_eq!(last.stamps, now.stamps);
        let mut changed = |walked: Duration| {
            Time::pass(walked);
            last = std::mem::replace(&mut now, see(&registry));
            let pairs = last.stamps.iter().zip(&now.stamps);
            let changed: Vec<_> =
                pairs.map(|(last, now)| [last[0] != now[0], last[1] != now[1]]).collect();
            (changed, now.recent.clone())
        };
        let nothing = || vec![[false, false]; 2];
        histograms[1].record(0);
        let of_b = |total| vec![[false, false], [total, true]];
        assert_eq!(changed(Duration::ZERO), (of_b(true), vec![0, 1]));
        assert_eq!(changed(Duration::from_secs(5)), (nothing(), vec![0, 1]));
        // A note is due; a full read takes it.
        assert_eq!(changed(Duration::from_secs(6)), (of_b(false), vec![0, 1]));
        assert_eq!(changed(Duration::ZERO), (of_b(false), vec![0, 1]));
        assert_eq!(changed(Duration::from_secs(1)), (nothing(), vec![0, 1]));
        assert_eq!(changed(Duration::from_secs(60)), (of_b(false), vec![0, 0]));
        assert_eq!(changed(Duration::from_secs(60)), (nothing(), vec![0, 0]));
    }
}
