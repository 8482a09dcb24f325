//! Routes each line to its destinations.

use std::collections::HashMap;

use expvar_push::ConfigError;
use parking_lot::Mutex;

use crate::render::pattern::Patterns;
use crate::send::address::Address;
use crate::send::cluster::Cluster;
use crate::send::route::{Route, Router};

/// Which destinations get a line.
pub(crate) struct Routing {
    /// The settings that it was built from.
    pub(crate) settings: Vec<(Option<String>, Cluster)>,
    /// `None` if each destination gets every line.
    splitter: Option<Mutex<Splitter>>,
    /// For each cluster its destinations, and whether each gets all of its lines.
    pub(crate) clusters: Vec<(Vec<usize>, bool)>,
}

/// Splits lines by their names.
struct Splitter {
    rules: Rules,
    targets: Vec<Target>,
    /// Lines for each destination, then for each cluster that uses any of its destinations.
    buffers: Vec<(Vec<u8>, u64)>,
}

enum Target {
    All(Vec<usize>),
    /// One of these destinations in turn; lines are gathered in this buffer.
    Any(Vec<usize>, usize),
    /// The destinations from this index on, chosen by the router.
    Hash(usize, Box<Router>),
}

/// The cluster of a name: that of the first matching pattern, or the last one.
struct Rules {
    patterns: Option<Patterns>,
    default: usize,
    known: HashMap<Box<[u8]>, usize>,
}

/// The most names in the cache of rules.
const KNOWN_MAX: usize = 1 << 16;

/// The addresses of each destination, in order, and the routing among them.
pub(crate) struct Destinations {
    pub(crate) addresses: Vec<Vec<Address>>,
    pub(crate) routing: Routing,
}

impl Routing {
    /// The last of the clusters has no pattern: it gets all other names.
    pub(crate) fn plan(
        settings: Vec<(Option<String>, Cluster)>,
    ) -> Result<Destinations, ConfigError> {
        let (mut destinations, mut targets, mut clusters) = (Vec::new(), Vec::new(), Vec::new());
        let mut gathered = 0;
        for (_, cluster) in &settings {
            let addresses = cluster.parse()?;
            let first = destinations.len();
            let each = || addresses.iter().map(|address| vec![address.clone()]);
            match cluster.route {
                Route::Failover => destinations.push(addresses.clone()),
                Route::Any => destinations.extend((0..addresses.len()).map(|at| {
                    // Each destination prefers its own server, and fails over to the others.
                    let mut turned = addresses.clone();
                    turned.rotate_left(at);
                    turned
                })),
                _ => destinations.extend(each()),
            }
            let own: Vec<usize> = (first..destinations.len()).collect();
            clusters.push((own.clone(), cluster.route == Route::Copy));
            targets.push(match cluster.route {
                Route::Failover | Route::Copy => Target::All(own),
                Route::Any => {
                    gathered += 1;
                    Target::Any(own, gathered - 1)
                }
                _ => Target::Hash(first, Box::new(Router::new(cluster.hashing(), &addresses)?)),
            });
        }
        for target in &mut targets {
            if let Target::Any(_, buffer) = target {
                *buffer += destinations.len();
            }
        }
        let splits = targets.len() > 1 || !matches!(targets[..], [Target::All(_)]);
        let rules = Rules::new(&settings)?;
        let buffers = vec![(Vec::new(), 0); destinations.len() + gathered];
        let splitter = splits.then(|| Mutex::new(Splitter { rules, targets, buffers }));
        Ok(Destinations {
            addresses: destinations,
            routing: Routing { settings, splitter, clusters },
        })
    }

    /// The rule of a destination; `None` for the default cluster.
    pub(crate) fn rule_of(&self, destination: usize) -> Option<usize> {
        let cluster = self
            .clusters
            .iter()
            .position(|(destinations, _)| destinations.contains(&destination))?;
        self.settings[cluster].0.as_ref().map(|_| cluster)
    }

    /// Whether destinations get different lines.
    pub(crate) fn splits(&self) -> bool {
        self.splitter.is_some()
    }

    /// Calls `give` with each destination's part of the lines and its number of points; once
    /// without a destination if all get everything. `waiting` returns a destination's queue length.
    pub(crate) fn split(
        &self,
        lines: &[u8],
        points: u64,
        waiting: impl Fn(usize) -> usize,
        mut give: impl FnMut(Option<usize>, &[u8], u64),
    ) {
        let Some(splitter) = &self.splitter else { return give(None, lines, points) };
        let Splitter { rules, targets, buffers } = &mut *splitter.lock();
        for line in lines.split_inclusive(|&b| b == b'\n') {
            let name = &line[..memchr::memchr(b' ', line).unwrap_or(line.len())];
            let mut put = |destination: usize| {
                buffers[destination].0.extend_from_slice(line);
                buffers[destination].1 += 1;
            };
            match &mut targets[rules.cluster(name)] {
                Target::All(destinations) => destinations.iter().copied().for_each(put),
                Target::Any(_, buffer) => put(*buffer),
                Target::Hash(first, router) => {
                    router.route(name).iter().for_each(|at| put(*first + usize::from(*at)));
                }
            }
        }
        for target in targets {
            if let Target::Any(destinations, buffer) = target
                && let Some(&destination) =
                    destinations.iter().min_by_key(|destination| waiting(**destination))
            {
                // In turn, if all queues are equally long.
                destinations.rotate_left(1);
                let (lines, points) = std::mem::take(&mut buffers[*buffer]);
                buffers[destination].0.extend_from_slice(&lines);
                buffers[destination].1 += points;
            }
        }
        for (destination, (lines, points)) in buffers.iter_mut().enumerate() {
            if !lines.is_empty() {
                give(Some(destination), lines, *points);
                lines.clear();
                *points = 0;
            }
        }
    }
}

impl Rules {
    fn new(settings: &[(Option<String>, Cluster)]) -> Result<Self, ConfigError> {
        let patterns: Vec<String> =
            settings.iter().filter_map(|(pattern, _)| pattern.clone()).collect();
        let default = patterns.len();
        let patterns = match patterns.as_slice() {
            [] => None,
            patterns => Some(Patterns::new("matching", patterns)?),
        };
        Ok(Self { patterns, default, known: HashMap::new() })
    }

    #[inline]
    fn cluster(&mut self, name: &[u8]) -> usize {
        if self.patterns.is_none() {
            return self.default;
        }
        if let Some(&cluster) = self.known.get(name) {
            return cluster;
        }
        self.find(name)
    }

    #[cold]
    fn find(&mut self, name: &[u8]) -> usize {
        let text = String::from_utf8_lossy(name);
        let first = self.patterns.as_ref().and_then(|patterns| patterns.first(&text));
        let cluster = first.unwrap_or(self.default);
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(name.into(), cluster);
        cluster
    }
}
