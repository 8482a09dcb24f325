//! Processor time by thread name.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use super::files::Files;
use super::seconds;
use crate::alloc::calls::clock_ns;

/// One directory per thread.
const TASKS: &str = "/proc/self/task";

/// The most names shown, `(other)` included.
const NAMES: usize = 64;
/// The most threads tracked; the time of others is in `(other)`.
const THREADS: usize = 4096;
/// Names read again at each refresh, in turn, because a thread can change its name.
const RECHECKED: usize = 4;
/// Time of no other name: names past the limit, and threads that lived only between two reads.
const OTHER: &str = "(other)";

/// Tracks this process's threads between reads.
///
/// Time is added to the name that a thread has when the time is read. So a name keeps the time of
/// ended threads and never decreases.
#[derive(Debug, Default)]
pub(super) struct Threads {
    known: BTreeMap<i32, Thread>,
    named_ns: BTreeMap<String, u64>,
    other_ns: u64,
    refreshes: u64,
    /// The last thread whose name was read again.
    turn: i32,
    /// Whether `/proc` numbers threads as this process does. It does not in a PID namespace without
    /// its own `/proc`, where the numbers are those of other threads.
    is_own: Option<bool>,
}

#[derive(Debug)]
struct Thread {
    name: String,
    cpu_ns: u64,
    /// The last refresh that listed it.
    listed: u64,
}

impl Threads {
    /// CPU seconds by name since the process started.
    pub(super) fn read(&mut self, files: &mut Files) -> Option<BTreeMap<String, f64>> {
        if !*self.is_own.get_or_insert_with(proc_is_own) {
            return None;
        }
        // Read the process's own clock first: what a running thread adds meanwhile must not appear
        // as another's.
        let total_ns = clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID)?;
        if self.list(files).is_err() {
            files.failures += 1;
            return None;
        }
        self.recheck(files);
        for (id, thread) in &mut self.known {
            // It has ended since the list was made: its last slice goes to `(other)`.
            let Some(now_ns) = clock_ns(thread_clock(*id)) else { continue };
            if now_ns < thread.cpu_ns {
                // The system reused an ended thread's number.
                thread.cpu_ns = 0;
                thread.name = name(files, *id);
            }
            let spent_ns = now_ns - thread.cpu_ns;
            thread.cpu_ns = now_ns;
            if let Some(sum_ns) = self.named_ns.get_mut(&thread.name) {
                *sum_ns += spent_ns;
            } else if self.named_ns.len() < NAMES - 1 {
                self.named_ns.insert(thread.name.clone(), spent_ns);
            }
        }
        let named_ns: u64 = self.named_ns.values().sum();
        self.other_ns = self.other_ns.max(total_ns.saturating_sub(named_ns));
        let named = self.named_ns.iter().map(|(name, ns)| (name.clone(), seconds(*ns)));
        let mut shown: BTreeMap<String, f64> = named.collect();
        *shown.entry(OTHER.to_owned()).or_default() += seconds(self.other_ns);
        Some(shown)
    }

    /// Updates `known` to the threads alive now.
    fn list(&mut self, files: &mut Files) -> std::io::Result<()> {
        self.refreshes += 1;
        for entry in std::fs::read_dir(TASKS)? {
            let Some(id) = entry?.file_name().to_str().and_then(|id| id.parse().ok()) else {
                continue;
            };
            if let Some(thread) = self.known.get_mut(&id) {
                thread.listed = self.refreshes;
            } else if self.known.len() < THREADS {
                let name = name(files, id);
                self.known.insert(id, Thread { name, cpu_ns: 0, listed: self.refreshes });
            }
        }
        self.known.retain(|_, thread| thread.listed == self.refreshes);
        Ok(())
    }

    fn recheck(&mut self, files: &mut Files) {
        let after = self.known.range_mut((Excluded(self.turn), Unbounded)).take(RECHECKED);
        let mut last = i32::MIN;
        for (id, thread) in after {
            thread.name = name(files, *id);
            last = *id;
        }
        self.turn = last;
    }
}

fn proc_is_own() -> bool {
    let target = std::fs::read_link("/proc/self").ok();
    let id = target.and_then(|target| target.to_str()?.parse().ok());
    id == Some(std::process::id())
}

fn name(files: &mut Files, id: i32) -> String {
    let name = files.read_if_there(&[TASKS, &format!("/{id}/comm")]).unwrap_or_default();
    match String::from_utf8_lossy(name.trim_ascii_end()) {
        name if name.is_empty() => "(unnamed)".to_owned(),
        name => name.into_owned(),
    }
}

/// The CPU clock of a thread. Reading it takes one system call instead of three for a file of
/// `/proc/self/task`, which would dominate the cost of a read.
///
/// Source: the kernel's `MAKE_THREAD_CPUCLOCK`, the format of `pthread_getcpuclockid`: the inverted
/// thread number above the bits 4 (of a thread) and 2 (the scheduler's sum).
fn thread_clock(id: i32) -> libc::clockid_t {
    (!id << 3) | 0b110
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread::Builder;
    use std::time::{Duration, Instant};

    use crate::sync::Mutex;

    /// Held by each test: its threads would take the places of another's names.
    static ALONE: Mutex<()> = Mutex::new(());

    /// Spins until this thread has used `millis` of processor time.
    fn spin(millis: u64) {
        let clock = libc::CLOCK_THREAD_CPUTIME_ID;
        let until = clock_ns(clock).unwrap() + millis * 1_000_000;
        while clock_ns(clock).unwrap() < until {}
    }

    #[test]
    fn a_thread_s_time_stands_under_its_name_and_stays_when_it_ends() {
        let _alone = ALONE.lock();
        let mut files = Files::default();
        let mut threads = Threads::default();
        let (spun, has_spun) = channel();
        let (end, may_end) = channel::<()>();
        let own_clock = || seconds(clock_ns(libc::CLOCK_THREAD_CPUTIME_ID).unwrap());
        let worker = Builder::new().name("spinner-a".into()).spawn(move || {
            spin(50);
            spun.send(own_clock()).unwrap();
            may_end.recv().unwrap_err();
            own_clock()
        });
        let least = has_spun.recv().unwrap();
        let shown = threads.read(&mut files).unwrap();
        drop(end);
        let most = worker.unwrap().join().unwrap();
        assert!(least >= 0.050 && (least..=most).contains(&shown["spinner-a"]), "{shown:?}");
        let later = threads.read(&mut files).unwrap();
        assert_eq!(later["spinner-a"], shown["spinner-a"]);
        assert_eq!(files.failures, 0);
    }

    #[test]
    fn the_sum_is_the_process_s_time() {
        let _alone = ALONE.lock();
        let mut files = Files::default();
        let mut threads = Threads::default();
        threads.read(&mut files).unwrap();
        // No read happens while it lives: its time is in `(other)`.
        Builder::new().name("gone".into()).spawn(|| spin(50)).unwrap().join().unwrap();
        let before = clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID).unwrap();
        let shown = threads.read(&mut files).unwrap();
        let after = clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID).unwrap();
        assert!(!shown.contains_key("gone"), "{shown:?}");
        assert!(shown[OTHER] >= 0.050, "{shown:?}");
        let sum: f64 = shown.values().sum();
        assert!(
            sum >= seconds(before) - 1e-6 && sum <= seconds(after) + 1e-6,
            "{before} {sum} {after}"
        );
    }

    #[test]
    fn names_are_bounded_and_none_is_lost_from_the_sum() {
        let _alone = ALONE.lock();
        let mut files = Files::default();
        let mut threads = Threads::default();
        let (ready, is_ready) = channel();
        let barrier: Vec<_> = (0..100)
            .map(|number| {
                let ready = ready.clone();
                let (end, may_end) = channel::<()>();
                let worker = Builder::new().name(format!("bounded-{number}")).spawn(move || {
                    spin(1);
                    ready.send(()).unwrap();
                    may_end.recv().unwrap_err();
                });
                (worker.unwrap(), end)
            })
            .collect();
        barrier.iter().for_each(|_| is_ready.recv().unwrap());
        let shown = threads.read(&mut files).unwrap();
        assert_eq!(shown.len(), NAMES);
        assert!(shown[OTHER] >= 0.030, "{shown:?}");
        for (worker, end) in barrier {
            drop(end);
            worker.join().unwrap();
        }
    }

    #[test]
    fn a_thread_that_changes_its_name_is_noticed() {
        let _alone = ALONE.lock();
        let mut files = Files::default();
        let mut threads = Threads::default();
        let (step, next) = channel::<()>();
        let (done, is_done) = channel();
        let worker = Builder::new().name("before".into()).spawn(move || {
            next.recv().unwrap();
            std::fs::write("/proc/thread-self/comm", "after").unwrap();
            spin(20);
            done.send(()).unwrap();
            next.recv().unwrap_err();
        });
        threads.read(&mut files).unwrap();
        step.send(()).unwrap();
        is_done.recv().unwrap();
        let start = Instant::now();
        while !threads.read(&mut files).unwrap().contains_key("after") {
            assert!(start.elapsed() < Duration::from_secs(20), "the new name never showed");
            spin(1);
        }
        drop(step);
        worker.unwrap().join().unwrap();
    }
}
