//! Routing of points to destinations.

use expvar_carbon::{Cluster, Dialect, Route};

use super::expand;
use super::section::Section;

/// Destinations and their route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// Such as `tcp://graphite:2003` or `graphite:2003=a`, in order of preference.
    pub urls: Vec<String>,
    /// Which of them get a point. Default: the first that answers.
    pub route: Route,
    /// How many of them get each point with a hash route.
    pub replication: Option<usize>,
    /// Whose hashes to use.
    pub dialect: Dialect,
    /// Whether the copies of a point go to different hosts.
    pub diverse: bool,
}

/// Names with other destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Matches whole names as sent.
    pub pattern: String,
    /// Where they go.
    pub routing: Routing,
}

impl Routing {
    /// The same as a cluster of the sender.
    pub fn cluster(&self) -> Cluster {
        let cluster = self.urls.iter().fold(Cluster::default(), |cluster, url| cluster.and(url));
        let cluster = cluster.route(self.route).dialect(self.dialect).diverse(self.diverse);
        match self.replication {
            Some(copies) => cluster.replication(copies),
            None => cluster,
        }
    }

    /// Keys that a `[[rule]]` and the global part share.
    pub(super) fn read(section: &Section<'_>, urls: Vec<String>) -> Routing {
        let is_usable = |url: &String| match url_problem(url) {
            Some(problem) => {
                section.error("Carbon", problem);
                false
            }
            None => true,
        };
        let urls = urls.into_iter().filter(is_usable).collect();
        let mut routing = Routing { urls, ..Routing::default() };
        if let Some(text) = section.string("Route") {
            match text.parse() {
                Ok(route) => routing.route = route,
                Err(error) => wrong(section, "Route", &error),
            }
        }
        if let Some(text) = section.string("Dialect") {
            match text.parse() {
                Ok(dialect) => routing.dialect = dialect,
                Err(error) => wrong(section, "Dialect", &error),
            }
        }
        let copies = section.integer("Replication", 1..1000, "destinations");
        routing.replication = copies.filter(|copies| *copies > 1).map(|copies| copies as usize);
        routing.diverse = section.boolean("Diverse").unwrap_or(false);
        let nameless = routing.urls.iter().any(|url| !url.contains('='));
        if routing.route == Route::Fnv1aCh
            && routing.dialect == Dialect::Carbon
            && routing.urls.len() > 1
            && nameless
        {
            section.warn(
                "Route",
                "carbon-relay's fnv1a_ch gives nearly everything to one destination where they \
                 have no instances: write them as in host:2003=a",
            );
        }
        routing
    }
}

/// Why a destination is invalid, for errors whose message must not repeat it.
fn url_problem(url: &str) -> Option<String> {
    if url.starts_with("unix:") {
        return None;
    }
    if let Some(filled) = expand::unfilled(url) {
        return Some(format!(
            "variables are not filled in: write Expand = true and Carbon = [{filled:?}]"
        ));
    }
    url.contains('@').then(|| {
        "it contains a user, which Carbon does not support: remove what is before the @".to_owned()
    })
}

/// Reads one `[[rule]]`.
pub(super) fn read(section: Section<'_>) -> Option<Rule> {
    let pattern = section.string("Match").unwrap_or_default();
    if pattern.is_empty() {
        section.error("Match", "it is missing: write Match = \"test.**\"");
    }
    let urls = section.strings("Carbon").unwrap_or_default();
    if urls.is_empty() {
        section.error("Carbon", "it is missing: write Carbon = [\"graphite.example.com:2003\"]");
    }
    let routing = Routing::read(&section, urls);
    let rule = Rule { pattern, routing };
    let is_whole = !rule.pattern.is_empty() && !rule.routing.urls.is_empty();
    if is_whole && let Err(error) = crate::output::check_rule(&rule) {
        let key = match error.field() {
            "route" => "Route",
            "replication" => "Replication",
            "dialect" => "Dialect",
            "diverse" => "Diverse",
            "matching" => "Match",
            // Certificates belong to the global part, which reports their errors.
            field if field.starts_with("tls") => return finish(section, rule),
            _ => "Carbon",
        };
        wrong(&section, key, &error);
    }
    if !is_whole {
        section.finish();
        return None;
    }
    finish(section, rule)
}

fn finish(section: Section<'_>, rule: Rule) -> Option<Rule> {
    section.finish();
    Some(rule)
}

fn wrong(section: &Section<'_>, key: &'static str, error: &expvar_carbon::ConfigError) {
    section.error(key, format!("{}: {}", error.problem(), error.remedy()));
}
