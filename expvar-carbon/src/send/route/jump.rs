//! Jump consistent hash: servers by index, without a ring.

use super::hash::fnv1a_64;
use crate::send::address::Address;

/// Servers in carbon-c-relay's order.
#[derive(Debug)]
pub(super) struct Jump {
    order: Vec<u16>,
}

impl Jump {
    /// Servers with instances first, by number or else as text; then the others as given.
    pub(super) fn new(servers: &[Address]) -> Self {
        let mut order: Vec<u16> = (0..servers.len() as u16).collect();
        order.sort_by(|one, other| {
            let instance = |at: &u16| servers[usize::from(*at)].instance();
            match (instance(one), instance(other)) {
                (Some(one), Some(other)) => match (one.parse::<i64>(), other.parse::<i64>()) {
                    (Ok(one), Ok(other)) => one.cmp(&other),
                    _ => one.cmp(other),
                },
                (one, other) => one.is_none().cmp(&other.is_none()),
            }
        });
        Self { order }
    }

    /// Appends the servers for a name: the first by its hash, each copy by a hash of the previous
    /// one among the remaining servers.
    pub(super) fn choose(&self, name: &[u8], copies: usize, chosen: &mut Vec<u16>) {
        let mut hash = fnv1a_64(name);
        let mut order = self.order.clone();
        for _ in 0..copies.min(self.order.len()) {
            let bucket = jump(hash, order.len());
            // The last one moves to the place of the chosen one.
            chosen.push(order.swap_remove(bucket));
            hash = xorshift(hash);
        }
    }
}

/// "A Fast, Minimal Memory, Consistent Hash Algorithm", Lamping and Veach, 2014.
fn jump(mut key: u64, buckets: usize) -> usize {
    let (mut bucket, mut next) = (0, 0);
    while next < buckets as i64 {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let scale = (1_u64 << 31) as f64 / ((key >> 33) + 1) as f64;
        next = ((bucket + 1) as f64 * scale) as i64;
    }
    bucket as usize
}

/// xorshift64*, Vigna.
fn xorshift(mut x: u64) -> u64 {
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    x.wrapping_mul(2_685_821_657_736_338_717)
}
