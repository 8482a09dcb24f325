//! The interface to the store of the member list.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// A future of an [`Engine`].
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The most pending changes; beyond that the driver waits.
const WAITING: usize = 1024;

/// Keeps the list of members: three operations, without knowledge of what members do.
///
/// etcd is the first driver ([`Etcd`](super::Etcd)). Others would map as follows.
///
/// | verb | etcd | Consul | Kubernetes |
/// |---|---|---|---|
/// | join | grant a lease, put the key with it, keep it alive | create a session (TTL 10 s at least, `Behavior = delete`), acquire the key, renew | create a `Lease` object labelled with the group, update its `renewTime` |
/// | members | read the prefix, watch from its revision on | blocking query of the prefix: each answer is [`Change::All`] | list, then watch from its `resourceVersion`; 410 is [`Change::All`]; whose `renewTime` stands still for a TTL by the watcher's own clock has [left](Change::Left) |
/// | leave | revoke the lease | destroy the session | delete the object |
///
/// Where a TTL is longer, as Consul's, the interval must be as much longer.
pub trait Engine: Send + Sync {
    /// Registers a member under `key`. While its lease is held, a second call with another `value`
    /// updates the value. The driver renews the lease until [`leave`](Self::leave) or until it is
    /// dropped; the engine removes the entry a TTL after the last renewal.
    ///
    /// After [`Standing::is_lost`] the next call registers again.
    ///
    /// # Errors
    /// The engine is unreachable or rejected the call.
    fn join<'a>(&'a self, key: &'a str, value: &'a str) -> Pending<'a, Result<Lease, String>>;

    /// All members, followed by changes in the engine's order. The driver switches servers and
    /// resumes without a gap; if it may have missed changes it sends [`Change::All`].
    fn members(&self) -> Changes;

    /// Revokes the lease: the entry is removed at once.
    ///
    /// # Errors
    /// The engine is unreachable; the entry then expires a TTL after its last renewal.
    fn leave(&self) -> Pending<'_, Result<(), String>>;

    /// The number of requests so far, if the driver counts them.
    fn requests(&self) -> u64 {
        0
    }

    /// Reloads certificates and keys, if the driver has any. May block.
    ///
    /// # Errors
    /// The previous ones stay in use.
    fn reread(&self) -> Result<(), String> {
        Ok(())
    }
}

/// One member's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it was entered under.
    pub key: String,
    /// The member's JSON.
    pub value: String,
}

/// A change of the member list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The complete list.
    All {
        /// The group's entries.
        entries: Vec<Entry>,
        /// Other groups in the same engine, if it shows them.
        others: Vec<String>,
    },
    /// A member is new or has a new value.
    Entered(Entry),
    /// The entry under this key was removed.
    Left(String),
}

/// A stream of changes; dropping it ends the driver's watch.
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

    /// Waits for the next change. Cancel-safe.
    ///
    /// # Errors
    /// Why the driver cannot follow at the moment; it keeps trying.
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
    /// Sends a change, or why the driver cannot follow.
    pub async fn tell(&self, change: Result<Change, String>) {
        // The receiver's end also ends this task.
        let _ = self.0.send(change).await;
    }
}

/// The state of a lease.
#[derive(Clone, Debug)]
pub struct Standing {
    /// When it was requested.
    pub granted: Instant,
    /// When the last successful renewal was requested.
    pub renewed: Instant,
    /// The engine reports that it is gone.
    pub is_lost: bool,
    /// Why the last renewal failed; `None` if it succeeded.
    pub trouble: Option<String>,
}

/// A member's lease.
#[derive(Clone)]
pub struct Lease(watch::Receiver<Standing>);

/// The driver's end of a [`Lease`].
pub struct Keeper(watch::Sender<Standing>);

impl Lease {
    /// A lease requested at that time.
    pub fn granted(granted: Instant) -> (Keeper, Lease) {
        let standing = Standing { granted, renewed: granted, is_lost: false, trouble: None };
        let (sender, receiver) = watch::channel(standing);
        (Keeper(sender), Lease(receiver))
    }

    /// The current state.
    pub fn standing(&self) -> Standing {
        self.0.borrow().clone()
    }

    /// Resolves when the state changes; never once the driver is gone.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl Keeper {
    /// Renewed by a request sent at `sent`.
    pub fn renewed(&self, sent: Instant) {
        self.0.send_modify(|standing| {
            standing.renewed = sent;
            standing.trouble = None;
        });
    }

    /// The renewal failed.
    pub fn failed(&self, error: &str) {
        self.0.send_modify(|standing| standing.trouble = Some(error.to_owned()));
    }

    /// The engine reports that it is gone.
    pub fn lost(&self) {
        self.0.send_modify(|standing| standing.is_lost = true);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.standing().fmt(f)
    }
}
