//! Warnings about probably unintended settings: names that are rewritten or shared, and unusable
//! files.

use std::collections::BTreeMap;
use std::path::Path;

use super::Carbon;
use super::endpoint::{Endpoint, Polling};
use super::problem::Problem;
use super::section::{File, Section};
use crate::discover::Template;

/// Warns about a name that will be rewritten.
pub(super) fn name(section: &Section<'_>, key: &'static str, text: &str, polling: &Polling) {
    let path = polling.name(text);
    let braces = Template::parse(text).is_ok_and(|template| template.labels().next().is_some());
    if let Some(problem) = path.problem().filter(|_| !text.is_empty()) {
        section.warn(key, format!("Graphite stores no such name: {}", problem.remedy()));
    } else if braces {
        section.warn(
            key,
            format!(
                "{{label}} is filled in below [[discover]] only: here it goes out as {}",
                path.as_str()
            ),
        );
    } else if path.as_str() != text {
        section.warn(key, format!("it goes out as {}: write that", path.as_str()));
    }
}

/// Warns about the names of discovered endpoints that will be rewritten, whatever the labels are.
pub(super) fn template(section: &Section<'_>, key: &'static str, text: &str, polling: &Polling) {
    let Ok(template) = Template::parse(text) else { return };
    let labels = template.labels().map(|label| (label.to_owned(), "x".to_owned())).collect();
    let Ok(name) = template.metric(&labels) else { return };
    let path = polling.name(&name);
    if path.as_str() != name {
        section.warn(
            key,
            format!("{name}, for example, goes out as {}: write names that stay", path.as_str()),
        );
    }
}

/// Warns about a key that will be rewritten.
pub(super) fn key(section: &Section<'_>, key: &'static str, text: &str) {
    let mut path = expvar_carbon::Path::new();
    path.push(text);
    if path.as_str() != text {
        section.warn(key, format!("it goes out as {:?}: write that", path.as_str()));
    }
}

/// Warns about keys with dots or stars: keys are compared whole and one by one, not as paths.
pub(super) fn bare(section: &Section<'_>, key: &'static str, names: &[String]) {
    for name in names {
        if let Some((_, last)) = name.rsplit_once('.') {
            section.warn_unless_seen(
                key,
                name,
                format!("{name:?} is compared with single keys, not with paths: write {last:?}, unless a key has the dot itself"),
            );
        } else if name.contains('*') {
            section.warn_unless_seen(
                key,
                name,
                format!("{name:?} is compared with whole keys, where * stands for itself: write each key"),
            );
        }
    }
}

/// Warns about endpoints that are listed twice or overwrite each other's points; each comes with
/// its line.
pub(super) fn shared(file: &File, endpoints: &[(usize, Endpoint)]) {
    let mut urls: BTreeMap<(&str, String), usize> = BTreeMap::new();
    let mut names: BTreeMap<(&'static str, String), usize> = BTreeMap::new();
    let warn = |line: usize, key: &str, message: String| {
        let key = format!("endpoint.{key}");
        file.warnings.borrow_mut().push(Problem::new(line, key, message));
    };
    for (line, endpoint) in endpoints {
        let name = |text: &str| endpoint.polling.name(text).as_str().to_owned();
        let prefix = name(&endpoint.prefix);
        if let Some(first) = urls.get(&(endpoint.target.url(), prefix.clone())) {
            warn(
                *line,
                "URL",
                format!("this endpoint is the one of line {first}: it is polled once"),
            );
            continue;
        }
        urls.insert((endpoint.target.url(), prefix.clone()), *line);
        let mut taken = |key, name: String| {
            if let Some(first) = names.get(&(key, name.clone())) {
                let message = format!(
                    "the endpoint of line {first} has the same: where both have a name, only one \
                     point stays"
                );
                warn(*line, key, message);
            } else {
                names.insert((key, name), *line);
            }
        };
        taken("Prefix", prefix);
        if let Some(metric) = &endpoint.failure_metric {
            taken("FailureMetric", name(metric));
        }
    }
}

/// Warns about an unusable token file.
pub(super) fn token_file(section: &Section<'_>, key: &'static str, path: &Path) {
    if !section.looks_at_files() {
        return;
    }
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => {
            section.warn(key, format!("{} is empty: write the token into it", path.display()));
        }
        Ok(_) => {}
        Err(error) => section
            .warn(key, format!("{}: {error}: name a file that samlare may read", path.display())),
    }
}

/// Warns about a directory that cannot hold a spool.
pub(super) fn spool_dir(section: &Section<'_>, key: &'static str, path: &Path) {
    if !section.looks_at_files() {
        return;
    }
    // A missing directory is created in the nearest existing one.
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let problem = if !there.is_dir() {
        "is no directory"
    } else if !is_writable(there) {
        "cannot be written by this user"
    } else {
        return;
    };
    section.warn(key, format!("{} {problem}: name a directory of samlare's own", there.display()));
}

#[cfg(unix)]
fn is_writable(folder: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn is_writable(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|metadata| !metadata.permissions().readonly())
}

/// Warns about keys of Carbon that have no effect.
pub(super) fn unused(root: &Section<'_>, carbon: &Carbon) {
    const SENDER: [&str; 8] = [
        "CarbonMode",
        "QueueBytes",
        "ResendWindow",
        "SpoolDir",
        "Route",
        "Replication",
        "Diverse",
        "Dialect",
    ];
    const TLS: [&str; 4] = ["CarbonCaFile", "CarbonCertFile", "CarbonKeyFile", "CarbonServerName"];
    let warn = |keys: &[&str], why: &str| {
        for key in keys.iter().filter(|key| root.has(key)) {
            root.warn(key, format!("{why}: it has no effect"));
        }
    };
    if !root.has("CarbonHost") && !root.has("Carbon") && carbon.rules.is_empty() {
        warn(&SENDER, "there is no CarbonHost and no Carbon");
    }
    let rules = carbon.rules.iter().flat_map(|rule| &rule.routing.urls);
    if !carbon.routing.urls.iter().chain(rules).any(|url| url.starts_with("tls://")) {
        warn(&TLS, "no destination is tls://");
    }
}
