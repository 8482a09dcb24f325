//! The sources of discovered endpoints, and what they found.

use super::{Aborting, Collector};
use crate::client::Target;
use crate::config::{Discover, Endpoint};
use crate::discover::{self, Discovery};
use crate::log::{Level, Log};

pub(super) struct Source {
    pub(super) config: Discover,
    pub(super) discovery: Discovery,
    _watch: Aborting,
}

impl Collector {
    /// Watches the configuration's sources. Unchanged ones continue; one with other parameters
    /// starts with its previous targets.
    pub(super) fn watch_sources(&mut self) {
        let mut before = std::mem::take(&mut self.sources);
        let mut take = |is_it: &dyn Fn(&Discover) -> bool| {
            let at = before.iter().position(|source| is_it(&source.config))?;
            Some(before.swap_remove(at))
        };
        let configs = &self.config.discover;
        let same: Vec<_> = configs.iter().map(|config| take(&|old| old == config)).collect();
        for (config, same) in configs.iter().zip(same) {
            if let Some(source) = same {
                self.sources.push(source);
                continue;
            }
            let source = &config.source.source;
            let known = take(&|old| old.source.source.is_at_the_place_of(source))
                .map(|old| old.discovery.targets.borrow().clone())
                .unwrap_or_default();
            let discovery = config.source.clone().spawn_knowing(&known);
            let (mut targets, changed) = (discovery.targets.clone(), self.changed.clone());
            let tell = discover::tell(discovery.status.clone(), self.log.clone());
            let watch = tokio::spawn(async move {
                let follow = async {
                    while targets.changed().await.is_ok() {
                        changed.notify_one();
                    }
                };
                tokio::join!(follow, tell)
            });
            let watch = Aborting(watch.abort_handle());
            self.sources.push(Source { config: config.clone(), discovery, _watch: watch });
        }
        *self.statuses.lock() =
            self.sources.iter().map(|source| source.discovery.status.clone()).collect();
    }
}

/// The targets of a source, as endpoints, if `keeps` accepts their URLs.
pub(crate) fn found(
    config: &Discover,
    targets: &[discover::Target],
    log: &Log,
    keeps: impl Fn(&str) -> bool,
) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for target in targets {
        match Target::parse(&target.url) {
            Ok(url) if !keeps(url.url()) => {}
            Ok(url) => endpoints.push(Endpoint {
                target: url,
                prefix: target.prefix.clone(),
                failure_metric: target.failure_metric.clone(),
                polling: config.polling.clone(),
            }),
            Err(error) => log.event(
                Level::Warn,
                "a target that was found is left out",
                &[("source", &config.source.source.name()), ("error", &error)],
            ),
        }
    }
    endpoints
}
