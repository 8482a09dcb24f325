//! The sliding window: where a histogram stood at moments of the last minute.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::buckets::Buckets;
use super::snapshot::Snapshot;
use crate::cells::Slabs;
use crate::sync::Mutex;

/// What is shown goes back at least this far.
const SPAN: Duration = Duration::from_secs(60);
/// How often notes are taken, so how much further it can go back.
const STEP: Duration = Duration::from_secs(10);

/// Every window of the process, and whether the thread that rolls them runs.
static WINDOWS: Mutex<(Vec<Weak<Window>>, bool)> = Mutex::new((Vec::new(), false));

/// The notes of one histogram.
pub(super) struct Window {
    id: u32,
    buckets: Buckets,
    /// Held while cells are read, so that `stop` can wait for a reader.
    notes: Mutex<VecDeque<Note>>,
    stopped: AtomicBool,
}

/// A histogram's cells that were not zero at one moment.
struct Note {
    at: Instant,
    cells: Box<[(u32, u64)]>,
}

impl Note {
    fn new(at: Instant, total: &Snapshot) -> Self {
        let cells = total.cells().iter().enumerate().filter(|&(_, &n)| n != 0);
        Self { at, cells: cells.map(|(index, &n)| (index as u32, n)).collect() }
    }

    fn cells(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.cells.iter().map(|&(index, n)| (index as usize, n))
    }

    /// The histogram's count then: its first cell.
    fn count(&self) -> u64 {
        self.cells().next().map_or(0, |(index, n)| if index == 0 { n } else { 0 })
    }
}

impl Window {
    /// A window that is rolled every 10 seconds from now on.
    pub(super) fn start(id: u32, buckets: Buckets) -> Arc<Self> {
        let window = Arc::new(Self::at(Instant::now(), id, buckets));
        let mut windows = WINDOWS.lock();
        windows.0.push(Arc::downgrade(&window));
        if !windows.1 {
            // Without the thread, reading still rolls: the window is then as old as the last read.
            let thread = std::thread::Builder::new().name("expvar-window".into());
            windows.1 = thread.spawn(roll_all).is_ok();
        }
        window
    }

    fn at(now: Instant, id: u32, buckets: Buckets) -> Self {
        let empty = Note { at: now, cells: Box::default() };
        let notes = Mutex::new(VecDeque::from([empty]));
        Self { id, buckets, notes, stopped: AtomicBool::new(false) }
    }

    /// Ends the window before its cells are given back.
    pub(super) fn stop(&self) {
        let mut notes = self.notes.lock();
        self.stopped.store(true, Relaxed);
        notes.clear();
    }

    /// What `total` holds beyond where the histogram stood a minute before `now`.
    pub(super) fn recent(&self, now: Instant, total: &Snapshot, recent: &mut Snapshot) {
        let mut notes = self.notes.lock();
        note(&mut notes, now, total);
        recent.copy(total);
        if let Some(oldest) = notes.front() {
            recent.subtract(oldest.cells());
        }
    }

    /// Takes a note if something was recorded since the last one.
    fn roll(&self, now: Instant, slabs: &Slabs) {
        let mut notes = self.notes.lock();
        if self.stopped.load(Relaxed) {
            return;
        }
        if notes.back().is_some_and(|last| last.count() == slabs.sum(self.id)) {
            forget(&mut notes, now);
            return;
        }
        let mut total = Snapshot::default();
        total.clear(self.buckets);
        total.load(self.id, slabs);
        note(&mut notes, now, &total);
    }
}

/// Notes where the histogram stands, unless the last note is young or says the same.
fn note(notes: &mut VecDeque<Note>, now: Instant, total: &Snapshot) {
    let due = notes.back().is_none_or(|last| {
        now.saturating_duration_since(last.at) >= STEP
            && !last.cells().eq(Note::new(now, total).cells())
    });
    if due {
        notes.push_back(Note::new(now, total));
    }
    forget(notes, now);
}

/// Drops the notes that a later one, itself a minute old, makes useless.
fn forget(notes: &mut VecDeque<Note>, now: Instant) {
    while notes.get(1).is_some_and(|next| now.saturating_duration_since(next.at) >= SPAN) {
        notes.pop_front();
    }
}

/// Rolls every window for as long as there is one.
fn roll_all() {
    loop {
        std::thread::sleep(STEP);
        let windows: Vec<Arc<Window>> = {
            let mut windows = WINDOWS.lock();
            windows.0.retain(|window| window.strong_count() > 0);
            if windows.0.is_empty() {
                *windows = (Vec::new(), false);
                return;
            }
            windows.0.iter().filter_map(Weak::upgrade).collect()
        };
        let (slabs, now) = (Slabs::now(), Instant::now());
        for window in windows {
            window.roll(now, &slabs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Histogram;
    use super::*;

    fn recent(window: &Window, histogram: &Histogram, now: Instant) -> Snapshot {
        let mut recent = Snapshot::default();
        window.recent(now, &histogram.snapshot(), &mut recent);
        recent
    }

    #[test]
    fn a_bad_minute_shows_and_then_goes() {
        let (histogram, start) = (Histogram::new(), Instant::now());
        histogram.record(1);
        let id = histogram.cells.id().unwrap();
        let window = Window::at(start, id, histogram.buckets);
        let at = |secs: u64| start + Duration::from_secs(secs);
        for secs in (10..=100).step_by(10) {
            if secs == 50 {
                histogram.record(1_000_000);
            }
            window.roll(at(secs), &Slabs::now());
        }
        assert_eq!(recent(&window, &histogram, at(105)).max(), 1_015_807, "45 to 55 s ago");
        assert_eq!(recent(&window, &histogram, at(109)).count(), 1);
        assert!(recent(&window, &histogram, at(121)).is_empty(), "61 to 71 s ago");
        assert_eq!(window.notes.lock().len(), 1, "an idle histogram keeps one note");
        histogram.record(7);
        assert_eq!(recent(&window, &histogram, at(125)).max(), 7);
        assert_eq!(histogram.snapshot().count(), 3);
    }

    #[test]
    fn a_stopped_window_reads_no_cells() {
        let histogram = Histogram::new();
        histogram.record(1);
        let window = Window::at(Instant::now(), histogram.cells.id().unwrap(), histogram.buckets);
        window.stop();
        window.roll(Instant::now() + STEP, &Slabs::now());
        assert!(window.notes.lock().is_empty());
    }
}
