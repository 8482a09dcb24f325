//! What keeps the list of members.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// A future of an [`Engine`].
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Changes that may wait to be taken in; past that the driver waits.
const WAITING: usize = 1024;

/// Keeps the list of members: three verbs, and no knowledge of what members do.
///
/// etcd is the first driver ([`Etcd`](super::Etcd)). Others fit as follows.
///
/// | verb | etcd | Consul | Kubernetes |
/// |---|---|---|---|
/// | join | grant a lease, put the key with it, keep it alive | create a session (TTL 10 s at least, `Behavior = delete`), acquire the key, renew | create a `Lease` object labelled with the group, update its `renewTime` |
/// | members | read the prefix, watch from its revision on | blocking query of the prefix: each answer is [`Change::All`] | list, then watch from its `resourceVersion`; 410 is [`Change::All`]; whose `renewTime` stands still for a TTL by the watcher's own clock has [left](Change::Left) |
/// | leave | revoke the lease | destroy the session | delete the object |
///
/// Where a TTL is longer, as Consul's, the interval must be as much longer.
pub trait Engine: Send + Sync {
    /// Enters a member under `key`; again with another `value` while its lease is held, changes
    /// the value. The driver renews the lease until [`leave`](Self::leave) or until it is dropped,
    /// and the engine removes the entry a TTL after the last renewal.
    ///
    /// After [`Standing::is_lost`] the next call enters anew.
    ///
    /// # Errors
    /// Nobody was reached, or who was reached refused.
    fn join<'a>(&'a self, key: &'a str, value: &'a str) -> Pending<'a, Result<Lease, String>>;

    /// All members as they are, and then their changes in the engine's order. The driver finds
    /// another server and resumes without a gap by itself; where it cannot know what it missed it
    /// gives [`Change::All`].
    fn members(&self) -> Changes;

    /// Gives the lease back: the entry is gone at once.
    ///
    /// # Errors
    /// Nobody was reached; the entry then goes a TTL after its last renewal.
    fn leave(&self) -> Pending<'_, Result<(), String>>;

    /// How many requests were sent so far, where the driver counts them.
    fn requests(&self) -> u64 {
        0
    }

    /// Reads the files of certificates and keys again, where the driver has any. May block.
    ///
    /// # Errors
    /// Those that were read before stay in use.
    fn reread(&self) -> Result<(), String> {
        Ok(())
    }
}

/// One member's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it was entered under.
    pub key: String,
    /// What it says of itself.
    pub value: String,
}

/// What happened to the list of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These are all.
    All {
        /// The group's entries.
        entries: Vec<Entry>,
        /// Other groups that have entries in the same engine, where it shows them.
        others: Vec<String>,
    },
    /// One is new, or has another value.
    Entered(Entry),
    /// The entry under this key is gone.
    Left(String),
}

/// Changes in their order; dropping it ends the driver's watch.
pub struct Changes {
    receiver: mpsc::Receiver<Result<Change, String>>,
    watch: AbortHandle,
}

/// The driver's end of [`Changes`].
pub struct Reporter(mpsc::Sender<Result<Change, String>>);

impl Changes {
    /// Changes that `watch` reports, as a task of the current tokio runtime.
    pub fn of<F>(watch: impl FnOnce(Reporter) -> F) -> Changes
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(WAITING);
        let watch = tokio::spawn(watch(Reporter(sender))).abort_handle();
        Changes { receiver, watch }
    }

    /// The next change. May be cancelled without losing one.
    ///
    /// # Errors
    /// What keeps the driver from following; it goes on trying.
    pub async fn next(&mut self) -> Result<Change, String> {
        match self.receiver.recv().await {
            Some(change) => change,
            // The driver's task never ends by itself.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Reporter {
    /// Hands a change on, or what keeps the driver from following.
    pub async fn tell(&self, change: Result<Change, String>) {
        // Whoever does not listen any more has ended this task.
        let _ = self.0.send(change).await;
    }
}

/// How a lease stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// When it was asked for.
    pub granted: Instant,
    /// When the last renewal that succeeded was asked for.
    pub renewed: Instant,
    /// The engine says that it is gone.
    pub is_lost: bool,
    /// Why the last renewal failed; none where it succeeded.
    pub trouble: Option<String>,
}

/// A member's right to its entry.
#[derive(Clone)]
pub struct Lease(watch::Receiver<Standing>);

/// The driver's end of a [`Lease`].
pub struct Keeper(watch::Sender<Standing>);

impl Lease {
    /// A lease that was asked for at that moment.
    pub fn granted(granted: Instant) -> (Keeper, Lease) {
        let standing = Standing { granted, renewed: granted, is_lost: false, trouble: None };
        let (sender, receiver) = watch::channel(standing);
        (Keeper(sender), Lease(receiver))
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        self.0.borrow().clone()
    }

    /// Resolves when that changes; never again once nobody keeps it.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl Keeper {
    /// It was renewed, by a request that was sent at `sent`.
    pub fn renewed(&self, sent: Instant) {
        self.0.send_modify(|standing| {
            standing.renewed = sent;
            standing.trouble = None;
        });
    }

    /// It could not be renewed, for all that is known.
    pub fn failed(&self, error: &str) {
        self.0.send_modify(|standing| standing.trouble = Some(error.to_owned()));
    }

    /// The engine says that it is gone.
    pub fn lost(&self) {
        self.0.send_modify(|standing| standing.is_lost = true);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.standing().fmt(f)
    }
}
