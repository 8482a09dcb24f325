//! Routes: which of several servers get a point, by the hashes of Graphite's relays.

mod hash;
mod jump;
mod memory;
mod ring;

use std::fmt;
use std::str::FromStr;

use expvar_push::ConfigError;

use crate::send::address::Address;

use jump::Jump;
use memory::Memory;
use ring::Ring;

/// Which of several servers get a point.
///
/// The hash routes choose by the point's name, like a relay with the same settings in the same
/// [`Dialect`]: points go to the same servers without a relay.
///
/// ```
/// use expvar_carbon::{Carbon, Route};
///
/// let carbon = Carbon::new("carbon-a:2003").to("carbon-b:2003").route(Route::Fnv1aCh);
/// # drop(carbon);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// The first server that answers; preferred ones are retried every minute.
    ///
    /// A server whose kernel acknowledges nothing for the
    /// [`timeout`](crate::SenderBuilder::timeout) hangs: the others come first from then on. It
    /// gets points again after it has proven that it reads, by closing an empty connection that the
    /// sender has closed. Until its receive buffer is full (about 130 KB on Linux), a server that
    /// hangs cannot be told from one that reads. Points in that buffer are resent elsewhere if they
    /// were written within the [`resend_window`](crate::SenderBuilder::resend_window); earlier ones
    /// are stored when the server continues, and lost if it is killed.
    #[default]
    Failover,
    /// Every server.
    Copy,
    /// One of the servers in turn; unreachable ones are skipped.
    Any,
    /// Carbon's consistent hash: a ring of MD5 positions, 100 for each server.
    CarbonCh,
    /// The same with FNV-1a positions. In the [dialect](Dialect) of carbon-relay all servers need
    /// instances: without them nearly everything goes to one of them.
    Fnv1aCh,
    /// Jump consistent hash of FNV-1a; only carbon-c-relay has it.
    JumpFnv1aCh,
    /// A ring of MurmurHash3 positions; only carbon-relay has it.
    Mmh3Ch,
}

impl Route {
    /// Every route.
    pub const ALL: &'static [Route] = &Self::EVERY;

    const EVERY: [Route; 7] = [
        Route::Failover,
        Route::Copy,
        Route::Any,
        Route::CarbonCh,
        Route::Fnv1aCh,
        Route::JumpFnv1aCh,
        Route::Mmh3Ch,
    ];

    /// The route's name in relays' configurations.
    pub fn name(self) -> &'static str {
        match self {
            Route::Failover => "failover",
            Route::Copy => "copy",
            Route::Any => "any",
            Route::CarbonCh => "carbon_ch",
            Route::Fnv1aCh => "fnv1a_ch",
            Route::JumpFnv1aCh => "jump_fnv1a_ch",
            Route::Mmh3Ch => "mmh3_ch",
        }
    }

    /// Whether it chooses by the name of a point.
    pub(crate) fn is_hash(self) -> bool {
        !matches!(self, Route::Failover | Route::Copy | Route::Any)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Route {
    type Err = ConfigError;

    /// Parses the [name](Self::name).
    ///
    /// # Errors
    /// The name is unknown.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Route::EVERY.into_iter().find(|route| route.name() == text).ok_or_else(|| {
            let names = Route::EVERY.map(Route::name).join(", ");
            ConfigError::new(
                "route",
                format!("{text:?} is unknown"),
                format!("write one of {names}"),
            )
        })
    }
}

/// Whose hashes to use: the two relays place servers and names differently.
///
/// ```
/// use expvar_carbon::{Carbon, Dialect, Route};
///
/// let carbon = Carbon::new("carbon-a:2003=a").to("carbon-b:2003=b");
/// let carbon = carbon.route(Route::CarbonCh).dialect(Dialect::Carbon).replication(2);
/// # drop(carbon);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// carbon-c-relay: hashes a tagged name without its tags, and a name with the characters that
    /// it would rewrite to `_` as rewritten.
    #[default]
    CRelay,
    /// Graphite's carbon-relay: hashes the whole name, including tags.
    Carbon,
}

impl FromStr for Dialect {
    type Err = ConfigError;

    /// Parses `c-relay` or `carbon`.
    ///
    /// # Errors
    /// It is neither.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "c-relay" => Ok(Dialect::CRelay),
            "carbon" => Ok(Dialect::Carbon),
            _ => Err(ConfigError::new(
                "dialect",
                format!("{text:?} is unknown"),
                "write c-relay or carbon",
            )),
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dialect::CRelay => "c-relay",
            Dialect::Carbon => "carbon",
        })
    }
}

/// A hash and its settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hashing {
    pub(crate) route: Route,
    pub(crate) dialect: Dialect,
    /// How many servers get each point.
    pub(crate) replication: usize,
    /// Whether copies go to different hosts.
    pub(crate) diverse: bool,
}

/// Chooses servers by the names of points, with a cache. Made by
/// [`Cluster::router`](crate::Cluster::router).
///
/// The cache holds at most 260,000 names, in 4 MiB.
///
/// ```
/// use expvar_carbon::{Cluster, Route};
///
/// let cluster = Cluster::to("carbon-a:2003").and("carbon-b:2003").route(Route::JumpFnv1aCh);
/// let mut router = cluster.router()?;
/// // The servers' indices, the same for one name always.
/// assert_eq!(router.route(b"apps.web.requests").len(), 1);
/// # Ok::<(), expvar_carbon::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Router {
    dialect: Dialect,
    replication: usize,
    choice: Choice,
    memory: Memory,
    scratch: Vec<u8>,
}

#[derive(Debug)]
enum Choice {
    Ring(Ring),
    Jump(Jump),
}

impl Router {
    pub(crate) fn new(hashing: Hashing, servers: &[Address]) -> Result<Self, ConfigError> {
        let Hashing { route, dialect, replication, diverse } = hashing;
        let bad = |field: &str, problem: String, remedy: &str| {
            Err(ConfigError::new(field, problem, remedy))
        };
        if replication == 0 {
            return bad(
                "replication",
                "it is zero".into(),
                "send each point to one server at least",
            );
        }
        if servers.len() > usize::from(u16::MAX) {
            return bad("to", "there are too many servers".into(), "route to 65,535 at most");
        }
        if diverse && dialect != Dialect::Carbon {
            let problem = format!("{dialect} does not tell hosts apart");
            return bad("diverse", problem, "use the dialect carbon, or leave it out");
        }
        let choice = match (route, dialect) {
            (Route::JumpFnv1aCh, Dialect::Carbon) | (Route::Mmh3Ch, Dialect::CRelay) => {
                let other =
                    if dialect == Dialect::Carbon { Dialect::CRelay } else { Dialect::Carbon };
                return bad(
                    "route",
                    format!("{dialect} has no {route}"),
                    &format!("use the dialect {other}"),
                );
            }
            (Route::JumpFnv1aCh, _) => Choice::Jump(Jump::new(servers)),
            _ => Choice::Ring(Ring::new(route, dialect, diverse, replication, servers)?),
        };
        let reached = match &choice {
            Choice::Ring(ring) => ring.servers(),
            Choice::Jump(_) => servers.len(),
        };
        // carbon-c-relay searches for the missing one forever. carbon-relay uses fewer.
        if dialect == Dialect::CRelay && reached < replication {
            let lost = if reached < servers.len() {
                ": servers of one host and instance have one place on the ring"
            } else {
                ""
            };
            return bad(
                "replication",
                format!("{replication} copies cannot go to {reached} different servers{lost}"),
                "lower the replication, or give each server an instance: host:2003=a",
            );
        }
        Ok(Self { dialect, replication, choice, memory: Memory::new(), scratch: Vec::new() })
    }

    /// The servers for the point of this name, including tags, as indices in the cluster. The first
    /// is the one that gets it with a replication of 1.
    #[inline]
    pub fn route(&mut self, name: &[u8]) -> &[u16] {
        let hash = self.memory.hash(name);
        let at = match self.memory.get(hash) {
            Some(at) => at,
            None => self.choose(name, hash),
        };
        self.memory.set(at)
    }

    #[cold]
    fn choose(&mut self, name: &[u8], hash: u64) -> u32 {
        let key = match self.dialect {
            Dialect::Carbon => name,
            Dialect::CRelay => {
                rewrite(name, &mut self.scratch);
                &self.scratch
            }
        };
        let mut chosen = Vec::with_capacity(self.replication);
        match &self.choice {
            Choice::Ring(ring) => ring.choose(key, &mut chosen),
            Choice::Jump(jump) => jump.choose(key, self.replication, &mut chosen),
        }
        self.memory.insert(hash, chosen)
    }
}

/// The name as carbon-c-relay hashes it: without tags, and with an underscore for each byte that it
/// does not accept.
fn rewrite(name: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let name = name.split(|&b| b == b';').next().unwrap_or_default();
    out.extend(name.iter().map(|&b| match b {
        b'-' | b'_' | b':' | b'#' | b'.' => b,
        b if b.is_ascii_alphanumeric() => b,
        _ => b'_',
    }));
    while out.last() == Some(&b'.') {
        out.pop();
    }
}

#[cfg(test)]
mod tests;
