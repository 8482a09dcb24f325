//! State handed over to a successor: connections, and a current outage.

use std::sync::Arc;

use super::Destination;
use super::closing::Closing;
use super::health::Away;
use super::live::Live;
use crate::send::address::Address;

/// State handed over to a successor.
#[derive(Default)]
pub(super) struct Carried {
    pub(super) live: Option<Live>,
    /// Only a few; beyond that the oldest were given up.
    pub(super) closing: Vec<Closing>,
    pub(super) away: Option<Away>,
}

impl Destination {
    /// Hands the connections to those of `heirs` that send to the same servers, or else to the
    /// first one. All of them have a copy of the queue.
    pub(crate) fn leave_to(&self, heirs: &[Arc<Destination>]) {
        let Some(first) = heirs.first() else { return };
        heirs.iter().for_each(|heir| self.leave_hung_to(heir));
        let Carried { live, closing, away } = std::mem::take(&mut *self.carried.lock());
        let heir = |server: &Address, connection: u64| {
            let heir = heirs
                .iter()
                .find(|destination| destination.addresses.contains(server))
                .unwrap_or(first);
            // The other heirs would never hear of its result.
            for other in heirs.iter().filter(|destination| !Arc::ptr_eq(destination, heir)) {
                other.queue(|q| q.unconfirm(connection));
            }
            heir.carried.lock()
        };
        if let Some(live) = live {
            let mut heir = heir(&live.server, live.id);
            heir.live = Some(live);
        }
        for closing in closing {
            let mut heir = heir(&closing.server, closing.id);
            heir.closing.push(closing);
        }
        let is_same = |heir: &&Arc<Destination>| heir.addresses == self.addresses;
        let shares = |heir: &&Arc<Destination>| {
            heir.addresses.iter().any(|address| self.addresses.contains(address))
        };
        if let Some(destination) = heirs.iter().find(is_same).or_else(|| heirs.iter().find(shares))
        {
            destination.carried.lock().away = away;
        }
    }
}
