//! The sliding window: a histogram's state at several moments of the last minute.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::place::Place;
use super::snapshot::Snapshot;
use crate::cells::Reader;
use crate::clock::Time;
use crate::sync::{Mutex, lock_for_a_while};

/// The least age of the window.
const SPAN: Duration = Duration::from_secs(60);
/// The interval of notes, and so the greatest excess of the window's age.
const STEP: Duration = Duration::from_secs(10);

static WINDOWS: Mutex<Windows> = Mutex::new(Windows { all: Vec::new(), rolled_in: 0 });

/// All windows of the process.
struct Windows {
    all: Vec<Weak<Window>>,
    /// The process id whose thread rolls them, or 0. A `fork` does not inherit the thread.
    rolled_in: u64,
}

/// The notes of one histogram.
pub(super) struct Window {
    state: Mutex<State>,
}

struct State {
    /// `None` before the first recording and after the cells were freed. Used under the lock, so
    /// that `stop` waits for readers.
    place: Option<Place>,
    notes: VecDeque<Note>,
}

/// When a histogram's cells were read, and its stamp then: see [`Place::stamp`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moment {
    pub(super) at: Time,
    pub(super) stamp: u64,
}

/// A histogram's state at one moment.
struct Note {
    at: Time,
    stamp: u64,
    sum: u64,
    /// The non-empty buckets.
    cells: Box<[(u32, u64)]>,
}

impl Note {
    fn new(at: Time, stamp: u64, total: &Snapshot) -> Self {
        let cells = total.held().map(|(index, n)| (index as u32, n)).collect();
        Self { at, stamp, sum: total.raw_sum(), cells }
    }

    fn cells(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.cells.iter().map(|&(index, n)| (index as usize, n))
    }
}

impl Window {
    /// Starts a window that is rolled every 10 seconds.
    pub(super) fn start() -> Arc<Self> {
        let window = Arc::new(Self::at(Time::now()));
        if let Some(mut windows) = lock_for_a_while(&WINDOWS) {
            windows.all.push(Arc::downgrade(&window));
        }
        window
    }

    fn at(now: Time) -> Self {
        let nothing = Note { at: now, stamp: 0, sum: 0, cells: Box::default() };
        Self { state: Mutex::new(State { place: None, notes: VecDeque::from([nothing]) }) }
    }

    /// Sets the cells.
    pub(super) fn begin(&self, place: Place) {
        if let Some(mut state) = lock_for_a_while(&self.state) {
            state.place.get_or_insert(place);
        }
    }

    /// Ends the window before its cells are freed.
    pub(super) fn stop(&self) {
        if let Some(mut state) = lock_for_a_while(&self.state) {
            state.place = None;
            state.notes.clear();
        }
    }

    /// `total`, read at `moment`, less the histogram's state a minute before.
    pub(super) fn recent(&self, moment: Moment, total: &Snapshot, recent: &mut Snapshot) {
        let Moment { at: now, stamp } = moment;
        recent.copy(total);
        let Some(mut state) = lock_for_a_while(&self.state) else { return };
        let notes = &mut state.notes;
        forget(notes, now);
        if let Some(oldest) = notes.front() {
            recent.subtract(oldest.sum, oldest.cells());
        }
        if is_due(notes, now, stamp) {
            notes.push_back(Note::new(now, stamp, total));
        }
    }

    /// When the recent values at `now` begin; `now` if a note is due, which only
    /// [`recent`](Self::recent) takes.
    pub(super) fn since(&self, now: Time, stamp: u64) -> Time {
        let Some(mut state) = lock_for_a_while(&self.state) else { return now };
        forget(&mut state.notes, now);
        let oldest = state.notes.front().filter(|_| !is_due(&state.notes, now, stamp));
        oldest.map_or(now, |oldest| oldest.at)
    }

    /// Takes a note if something was recorded since the last one.
    fn roll(&self, now: Time, reader: &Reader, total: &mut Snapshot) {
        let Some(mut state) = lock_for_a_while(&self.state) else { return };
        let state = &mut *state;
        let Some(place) = state.place else { return };
        forget(&mut state.notes, now);
        let stamp = place.stamp(reader);
        if is_due(&state.notes, now, stamp) {
            total.clear(place.buckets);
            total.load(&place, reader);
            state.notes.push_back(Note::new(now, stamp, total));
        }
    }
}

/// Whether a note is due: the last one is old enough and differs.
fn is_due(notes: &VecDeque<Note>, now: Time, stamp: u64) -> bool {
    notes.back().is_none_or(|last| last.stamp != stamp && now.since(last.at) >= STEP)
}

/// Drops notes that are older than another note which is itself a minute old.
fn forget(notes: &mut VecDeque<Note>, now: Time) {
    while notes.get(1).is_some_and(|next| now.since(next.at) >= SPAN) {
        notes.pop_front();
    }
}

/// Starts the thread that rolls the windows of this process. Never called on recording.
pub(super) fn watch(process: u64) {
    let Some(mut windows) = lock_for_a_while(&WINDOWS) else { return };
    if windows.rolled_in != process {
        // Without the thread, reads still roll; the window is then as old as the last read.
        let thread = std::thread::Builder::new().name("expvar-window".into());
        if thread.spawn(roll_all).is_ok() {
            windows.rolled_in = process;
        }
    }
}

/// Rolls every window, forever.
fn roll_all() {
    let mut total = Snapshot::default();
    loop {
        std::thread::sleep(STEP);
        roll_once(&mut total);
    }
}

/// One round of that thread, for tests and benches.
#[doc(hidden)]
pub fn roll_windows() {
    roll_once(&mut Snapshot::default());
}

fn roll_once(total: &mut Snapshot) {
    let mut live = Vec::new();
    {
        let Some(mut windows) = lock_for_a_while(&WINDOWS) else { return };
        windows.all.retain(|window| window.strong_count() > 0);
        live.reserve(windows.all.len());
        live.extend(windows.all.iter().filter_map(Weak::upgrade));
    }
    let reader = Reader::now();
    for window in live {
        reader.refresh();
        window.roll(Time::now(), &reader, total);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Histogram;
    use super::*;

    fn recent(window: &Window, histogram: &Histogram, now: Time) -> Snapshot {
        let mut recent = Snapshot::default();
        let stamp = place(histogram).stamp(&Reader::now());
        window.recent(Moment { at: now, stamp }, &histogram.snapshot(), &mut recent);
        recent
    }

    fn place(histogram: &Histogram) -> Place {
        Place::new(histogram.run.first().unwrap(), &histogram.run, histogram.buckets)
    }

    fn roll(window: &Window, now: Time) {
        window.roll(now, &Reader::now(), &mut Snapshot::default());
    }

    #[test]
    fn a_bad_minute_shows_and_then_goes() {
        let (histogram, start) = (Histogram::new(), Time::now());
        histogram.record(1);
        let window = Window::at(start);
        window.begin(place(&histogram));
        let at = |secs: u64| start + Duration::from_secs(secs);
        for secs in (10..=100).step_by(10) {
            if secs == 50 {
                histogram.record(1_000_000);
            }
            roll(&window, at(secs));
        }
        assert_eq!(recent(&window, &histogram, at(105)).max(), 1_015_807, "45 to 55 s ago");
        assert_eq!(recent(&window, &histogram, at(109)).count(), 1);
        assert!(recent(&window, &histogram, at(121)).is_empty(), "61 to 71 s ago");
        assert_eq!(window.state.lock().notes.len(), 1, "an idle histogram keeps one note");
        histogram.record(7);
        assert_eq!(recent(&window, &histogram, at(125)).max(), 7);
        assert_eq!(histogram.snapshot().count(), 3);
    }

    #[test]
    fn a_stopped_window_reads_no_cells() {
        let histogram = Histogram::new();
        histogram.record(1);
        let window = Window::at(Time::now());
        window.begin(place(&histogram));
        window.stop();
        roll(&window, Time::now() + STEP);
        assert!(window.state.lock().notes.is_empty());
    }
}
