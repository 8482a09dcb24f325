//! An engine in memory, for tests: its members live, die and are cut off as a test says.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use samlare::cluster::{Change, Changes, Engine, Entry, Keeper, Lease, Pending};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep};

/// How often leases are renewed.
const RENEWED: Duration = Duration::from_millis(500);

/// What all drivers share.
#[derive(Clone, Default)]
pub struct Played(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    entries: BTreeMap<String, String>,
    watchers: Vec<UnboundedSender<Change>>,
    keepers: BTreeMap<String, Arc<Keeper>>,
    is_down: bool,
    readings: usize,
}

/// One member's driver.
pub struct Driver {
    played: Played,
    held: Mutex<Option<(String, Lease)>>,
}

impl Played {
    /// Another member's driver.
    pub fn driver(&self) -> Arc<dyn Engine> {
        Arc::new(Driver { played: self.clone(), held: Mutex::default() })
    }

    /// Stops or resumes answering.
    pub fn set_down(&self, is_down: bool) {
        self.0.lock().unwrap().is_down = is_down;
    }

    /// The names of the entries there are, in order.
    pub fn names(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        state.entries.keys().map(|key| key.split('/').next().unwrap().to_owned()).collect()
    }

    /// How often all members were read.
    pub fn readings(&self) -> usize {
        self.0.lock().unwrap().readings
    }

    /// Takes all entries of this name out, as their leases have ended.
    pub fn expire(&self, name: &str) {
        let mut state = self.0.lock().unwrap();
        let keys: Vec<String> = state.entries.keys().cloned().collect();
        for key in keys.into_iter().filter(|key| key.split('/').next() == Some(name)) {
            if let Some(keeper) = state.keepers.remove(&key) {
                keeper.lost();
            }
            state.remove(&key);
        }
    }

    /// Adds an entry without a lease.
    pub fn put(&self, key: &str, value: &str) {
        self.0.lock().unwrap().put(key, value);
    }
}

impl State {
    fn put(&mut self, key: &str, value: &str) {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.entries.insert(key.clone(), value.clone());
        self.tell(&Change::Entered(Entry { key, value }));
    }

    fn remove(&mut self, key: &str) {
        if self.entries.remove(key).is_some() {
            self.tell(&Change::Left(key.to_owned()));
        }
    }

    fn tell(&mut self, change: &Change) {
        self.watchers.retain(|watcher| watcher.send(change.clone()).is_ok());
    }
}

impl Engine for Driver {
    fn join<'a>(&'a self, key: &'a str, value: &'a str) -> Pending<'a, Result<Lease, String>> {
        Box::pin(async move {
            let mut state = self.played.0.lock().unwrap();
            if state.is_down {
                return Err("nobody answers".to_owned());
            }
            state.put(key, value);
            let mut held = self.held.lock().unwrap();
            if let Some((_, lease)) = held.as_ref().filter(|held| !held.1.standing().is_lost) {
                return Ok(lease.clone());
            }
            let (keeper, lease) = Lease::granted(Instant::now());
            let keeper = Arc::new(keeper);
            state.keepers.insert(key.to_owned(), keeper.clone());
            *held = Some((key.to_owned(), lease.clone()));
            let played = self.played.clone();
            tokio::spawn(async move {
                loop {
                    sleep(RENEWED).await;
                    if played.0.lock().unwrap().is_down {
                        keeper.failed("nobody answers");
                    } else {
                        keeper.renewed(Instant::now());
                    }
                }
            });
            Ok(lease)
        })
    }

    fn members(&self) -> Changes {
        let (sender, mut receiver) = unbounded_channel();
        let mut state = self.played.0.lock().unwrap();
        state.readings += 1;
        let entry = |(key, value): (&String, &String)| {
            let (key, value) = (key.clone(), value.clone());
            Entry { key, value }
        };
        let entries = state.entries.iter().map(entry).collect();
        sender.send(Change::All { entries, others: Vec::new() }).unwrap();
        state.watchers.push(sender);
        Changes::of(|reporter| async move {
            while let Some(change) = receiver.recv().await {
                reporter.tell(Ok(change)).await;
            }
        })
    }

    fn leave(&self) -> Pending<'_, Result<(), String>> {
        Box::pin(async move {
            let mut state = self.played.0.lock().unwrap();
            if state.is_down {
                return Err("nobody answers".to_owned());
            }
            if let Some((key, _)) = self.held.lock().unwrap().take() {
                state.keepers.remove(&key);
                state.remove(&key);
            }
            Ok(())
        })
    }
}
