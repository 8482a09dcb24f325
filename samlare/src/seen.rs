//! Keys that the configuration names and that may or may not be in a document.
//!
//! `IgnoreMetrics` and renames match single keys. A name with a dot or a star is mostly a mistake,
//! a path or a pattern, but some services have such keys: only their documents tell.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use crate::config::{Endpoint, Problem};
use crate::document::{self, Number, Points, Rules};
use crate::once::AT_ONCE;
use crate::poller::Poller;
use crate::state::State;

/// Removes the warnings about keys that a document has, and adds to the others what is known.
///
/// Polls the endpoints to which such a key applies, once; none if there is no such warning.
pub async fn decide(warnings: Vec<Problem>, endpoints: &[Endpoint]) -> Vec<Problem> {
    let names: Vec<String> = warnings.iter().filter_map(|w| w.unseen.clone()).collect();
    let concerned = endpoints.iter().filter_map(|endpoint| {
        let rules = &endpoint.polling.rules;
        let names: HashSet<String> =
            names.iter().filter(|name| rules.names(name)).cloned().collect();
        (!names.is_empty()).then(|| (endpoint.clone(), names))
    });
    let looks =
        concerned.map(|(endpoint, names)| async move { (look(endpoint, &names).await, names) });
    let mut looks = stream::iter(looks).buffer_unordered(AT_ONCE);
    let (mut seen, mut answers) = (HashSet::new(), Vec::new());
    while let Some((found, names)) = looks.next().await {
        answers.push((found.is_some(), names));
        seen.extend(found.unwrap_or_default());
    }
    let is_unseen = |warning: &Problem| warning.unseen.as_ref().is_none_or(|n| !seen.contains(n));
    let mut left: Vec<Problem> = warnings.into_iter().filter(is_unseen).collect();
    for warning in &mut left {
        let Some(name) = &warning.unseen else { continue };
        let asked = answers.iter().filter(|(_, names)| names.contains(name));
        let (answered, silent): (Vec<_>, Vec<_>) =
            asked.partition(|(has_answered, _)| *has_answered);
        let endpoints = |n: usize| format!("{n} endpoint{}", if n == 1 { "" } else { "s" });
        let known = match (answered.len(), silent.len()) {
            (0, 0) => "not known: no endpoint was polled".to_owned(),
            (0, silent) => format!("not known: no answer from {}", endpoints(silent)),
            (answered, 0) => format!("polled {}: none has this key", endpoints(answered)),
            (answered, silent) => format!(
                "polled {}: none has this key; no answer from {silent}",
                endpoints(answered)
            ),
        };
        warning.message.push_str(&format!(" ({known})"));
    }
    left
}

/// Which of these keys an endpoint's document has; `None` without an answer.
async fn look(endpoint: Endpoint, names: &HashSet<String>) -> Option<HashSet<String>> {
    let rules = Rules::limited(endpoint.polling.rules.limits);
    let state = Arc::new(State::new(String::new(), String::new(), 0));
    let mut poller = Poller::new(endpoint, state).ok()?;
    let body = poller.fetch().await.ok()?;
    let mut keys = Keys { wanted: names, found: HashSet::new() };
    document::read(body.bytes(), "", &rules, &mut keys).ok()?;
    Some(keys.found)
}

/// Collects the wanted keys of a document, at any level.
struct Keys<'a> {
    wanted: &'a HashSet<String>,
    found: HashSet<String>,
}

impl Points for Keys<'_> {
    const PATHS: bool = false;

    fn enter(&mut self, key: &str) {
        if let Some(name) = self.wanted.get(key) {
            self.found.insert(name.clone());
        }
    }

    fn number(&mut self, _path: &str, _number: Number<'_>) {}

    fn restart(&mut self) {
        self.found.clear();
    }
}
