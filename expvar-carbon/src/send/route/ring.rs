//! Consistent hashing over a ring: each server has a hundred positions, and a name goes to the
//! server of the first position at or after its own.

use expvar_push::ConfigError;

use super::hash::{fnv1a_16, md5_16, murmur3_32};
use super::{Dialect, Route};
use crate::send::address::Address;

/// The number of positions of a server.
const PLACES: usize = 100;

#[derive(Debug)]
pub(super) struct Ring {
    position: fn(&[u8]) -> i64,
    /// The positions in order, and the server of each.
    positions: Vec<i64>,
    chosen: Vec<Box<[u16]>>,
    /// The number of servers with a position.
    servers: usize,
}

impl Ring {
    pub(super) fn new(
        route: Route,
        dialect: Dialect,
        diverse: bool,
        copies: usize,
        servers: &[Address],
    ) -> Result<Self, ConfigError> {
        let position = match route {
            Route::Fnv1aCh => fnv1a_16,
            Route::Mmh3Ch => murmur3_32,
            _ => md5_16,
        };
        let places = match dialect {
            Dialect::CRelay => c_relay(route, position, servers),
            Dialect::Carbon => carbon(route, position, servers)?,
        };
        let mut reached: Vec<u16> = places.iter().map(|(_, server)| *server).collect();
        reached.sort_unstable();
        reached.dedup();
        let chosen = (0..places.len())
            .map(|at| {
                let mut chosen: Vec<u16> = Vec::with_capacity(copies);
                for (_, server) in places[at..].iter().chain(&places[..at]) {
                    let host = |at: &u16| servers[usize::from(*at)].host();
                    let is_taken = chosen
                        .iter()
                        .any(|other| other == server || diverse && host(other) == host(server));
                    if !is_taken {
                        chosen.push(*server);
                    }
                    if chosen.len() == copies {
                        break;
                    }
                }
                chosen.into()
            })
            .collect();
        let positions = places.iter().map(|(position, _)| *position).collect();
        Ok(Self { position, positions, chosen, servers: reached.len() })
    }

    pub(super) fn servers(&self) -> usize {
        self.servers
    }

    /// Appends the servers for a name.
    pub(super) fn choose(&self, name: &[u8], chosen: &mut Vec<u16>) {
        let position = (self.position)(name);
        let at = self.positions.partition_point(|&other| other < position) % self.positions.len();
        chosen.extend_from_slice(&self.chosen[at]);
    }
}

/// A server in Python's notation of the pair of host and instance.
fn pair(server: &Address) -> String {
    match server.instance() {
        Some(instance) => format!("('{}', '{instance}')", server.host()),
        None => format!("('{}', None)", server.host()),
    }
}

/// carbon-c-relay: if several servers have the same position, the first by host and instance gets
/// it.
fn c_relay(route: Route, position: fn(&[u8]) -> i64, servers: &[Address]) -> Vec<(i64, u16)> {
    let key = |server: &Address, n: usize| match (route, server.instance()) {
        (Route::Fnv1aCh, Some(instance)) => format!("{n}-{instance}"),
        (Route::Fnv1aCh, None) => format!("{n}-{}:{}", server.host(), server.port()),
        _ => format!("{}:{n}", pair(server)),
    };
    let mut places: Vec<(i64, u16)> = Vec::new();
    for (at, server) in (0..).zip(servers) {
        places.extend((0..PLACES).map(|n| (position(key(server, n).as_bytes()), at)));
    }
    places.sort_by_key(|(position, at)| {
        let server = &servers[usize::from(*at)];
        (*position, server.host(), server.instance().unwrap_or_default())
    });
    places.dedup_by_key(|(position, _)| *position);
    places
}

/// carbon-relay: if a position is taken, the later server gets the next free one.
fn carbon(
    route: Route,
    position: fn(&[u8]) -> i64,
    servers: &[Address],
) -> Result<Vec<(i64, u16)>, ConfigError> {
    let mut places = std::collections::BTreeMap::new();
    for (at, server) in (0..).zip(servers) {
        let is_same = |other: &&Address| {
            other.host() == server.host() && other.instance() == server.instance()
        };
        if let Some(other) = servers[..usize::from(at)].iter().find(is_same) {
            return Err(ConfigError::new(
                "to",
                format!("{other} and {server} are one server to carbon-relay"),
                "give each an instance of its own: host:2003=a",
            ));
        }
        for n in 0..PLACES {
            let key = match (route, server.instance()) {
                (Route::Fnv1aCh, instance) => format!("{n}-{}", instance.unwrap_or("None")),
                _ => format!("{}:{n}", pair(server)),
            };
            let mut position = position(key.as_bytes());
            while places.contains_key(&position) {
                position += 1;
            }
            places.insert(position, at);
        }
    }
    Ok(places.into_iter().collect())
}
