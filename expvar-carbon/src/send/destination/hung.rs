//! Servers that hang: they accept connections and stop taking bytes.

use std::io;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::live::Live;
use super::{Destination, Policy};
use crate::send::address::Address;
use crate::send::network::Dial;
use crate::send::stats::Counts;

/// How long to wait until a server closes an empty connection; then the next one is made.
const PROOF: Duration = Duration::from_secs(60);

/// For how long a new connection goes to other servers first. Connections that last a minute let a
/// server that hung prove that it reads; shorter ones do not get that far.
const LAST_CHOICE: Duration = Duration::from_secs(600);

/// Which servers of a destination hang. They are tried after all others.
#[derive(Default)]
pub(super) struct Hung(Mutex<Vec<Mark>>);

#[derive(Clone)]
struct Mark {
    server: Address,
    since: Instant,
    error: String,
}

impl Hung {
    /// A connection to this server timed out in use.
    pub(super) fn mark(&self, server: &Address, error: &io::Error) {
        let mut marks = self.0.lock();
        marks.retain(|mark| mark.server != *server);
        let since = Instant::now();
        marks.push(Mark { server: server.clone(), since, error: error.to_string() });
    }

    /// This server reads, or it was restarted.
    pub(super) fn clear(&self, server: &Address) {
        self.0.lock().retain(|mark| mark.server != *server);
    }

    /// Why this server is passed over, if it hangs.
    pub(super) fn reason(&self, server: &Address) -> Option<String> {
        let marks = self.0.lock();
        marks.iter().find(|mark| mark.server == *server).map(|mark| mark.error.clone())
    }

    fn since(&self, server: &Address) -> Option<Instant> {
        self.0.lock().iter().find(|mark| mark.server == *server).map(|mark| mark.since)
    }
}

impl Destination {
    /// The servers in the order of attempts: as preferred, those that hang last. Of these, the one
    /// that has hung the longest is first, so that all are tried in turn.
    pub(super) fn attempts(&self) -> Vec<&Address> {
        let mut addresses: Vec<_> = self.addresses.iter().collect();
        let recent = |since: &Instant| since.elapsed() < LAST_CHOICE;
        addresses.sort_by_key(|address| self.hung.since(address).filter(recent));
        addresses
    }

    /// Whether a server does not hang, as far as known.
    pub(super) fn has_choice(&self) -> bool {
        self.addresses.iter().any(|address| self.hung.since(address).is_none())
    }

    /// Gives the marks to a successor.
    pub(super) fn leave_hung_to(&self, heir: &Destination) {
        let marks = self.hung.0.lock().clone();
        let known = marks.into_iter().filter(|mark| heir.addresses.contains(&mark.server));
        *heir.hung.0.lock() = known.collect();
    }

    /// Connects to one of the `count` most preferred servers. One that hung must first prove that
    /// it reads: it accepts connections and its kernel acknowledges points, so only the close that
    /// answers ours tells.
    pub(super) async fn prefer(
        &self,
        dial: &impl Dial,
        policy: Policy,
        count: usize,
        counts: &Counts,
    ) -> Option<Live> {
        let (mut proofs, mut well) = (FuturesUnordered::new(), Vec::new());
        for address in &self.addresses[..count] {
            match self.hung.since(address) {
                Some(_) => proofs.push(self.prove(dial, policy, address)),
                None => well.push(address),
            }
        }
        let well = async { self.connect(dial, policy, &well, counts).await.ok() };
        let proven = async {
            while let Some(proven) = proofs.next().await {
                let Some(address) = proven else { continue };
                if let Ok(live) = self.connect(dial, policy, &[address], counts).await {
                    return Some(live);
                }
            }
            None
        };
        tokio::pin!(well, proven);
        tokio::select! {
            live = &mut well => if live.is_some() { live } else { proven.await },
            live = &mut proven => if live.is_some() { live } else { well.await },
        }
    }

    /// Connects to a server that hung, and closes: one that reads closes, too.
    async fn prove<'a>(
        &self,
        dial: &impl Dial,
        policy: Policy,
        address: &'a Address,
    ) -> Option<&'a Address> {
        match dial.dial(address, policy.timeout).await {
            Ok(mut connection) => {
                timeout(policy.timeout, connection.shutdown()).await.ok()?.ok()?;
                // A failure says that the process has ended.
                let _ = timeout(PROOF, connection.until_read()).await.ok()?;
            }
            // The queue of connections that it does not accept is full.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return None,
            Err(_) => {}
        }
        self.hung.clear(address);
        Some(address)
    }
}
