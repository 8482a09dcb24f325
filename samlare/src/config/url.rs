//! The most common errors in URLs of endpoints.

use super::expand;
use super::section::Section;
use crate::discover::Template;

const LOGIN: &str = "its password holds #, / or ?: percent-encode them, as %23, %2F and %3F";

/// A URL without its scheme: `user:password@host:port`, and `/path?query#fragment`.
struct Parts<'a> {
    authority: &'a str,
    path: &'a str,
    query: &'a str,
    fragment: &'a str,
}

impl Parts<'_> {
    fn of(rest: &str) -> Parts<'_> {
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Parts { authority, path, query, fragment }
    }

    fn host(&self) -> &str {
        self.authority.rsplit_once('@').map_or(self.authority, |(_, host)| host)
    }

    /// Whether what follows the first colon is no port, but the beginning of a password.
    fn has_cut_password(&self) -> bool {
        let port = self.authority.rsplit_once(':').map(|(_, port)| port);
        port.is_some_and(|port| !port.contains('{') && port.parse::<u16>().is_err())
    }
}

/// Why a URL, or a template of URLs, is invalid; never repeats it.
fn problem(url: &str) -> Option<String> {
    if url.trim().is_empty() {
        return Some("it is empty: write http://host:port/debug/vars".to_owned());
    }
    if url.starts_with("unix:") {
        return None;
    }
    let Some((_, rest)) = url.split_once("://") else {
        let lower = url.trim_start().to_ascii_lowercase();
        let after = lower.strip_prefix("https").or_else(|| lower.strip_prefix("http"));
        return Some(if after.is_some_and(|after| after.starts_with([':', '/'])) {
            "its scheme lacks a colon or slashes: write http://host:port/debug/vars".to_owned()
        } else {
            "it has no scheme: write http:// before it".to_owned()
        });
    };
    let parts = Parts::of(rest);
    if !parts.authority.contains('@') {
        let follows = parts.path.contains('@') || parts.query.contains('@');
        if parts.fragment.contains('@') || (follows && parts.has_cut_password()) {
            return Some(LOGIN.to_owned());
        }
    }
    expand::unfilled(parts.host()).map(|host| {
        format!("variables are not filled in: write Expand = true, and {host} as the host")
    })
}

/// Reports what is wrong with an `[[endpoint]]`'s URL. Returns whether it can be used.
pub(super) fn review(section: &Section<'_>, url: &str) -> bool {
    const LABELS: &str = "{label} is filled in below [[discover]] only";
    let is_template =
        |text: &str| Template::parse(text).is_ok_and(|template| template.labels().next().is_some());
    if let Some(problem) = problem(url) {
        section.error("URL", problem);
        return false;
    }
    let Some((_, rest)) = url.split_once("://").filter(|_| !url.starts_with("unix:")) else {
        return true;
    };
    let parts = Parts::of(rest);
    if is_template(parts.host()) {
        section.error("URL", format!("{LABELS}: write the host and its port"));
        return false;
    }
    let is_filled = [parts.path, parts.query].into_iter().any(is_template);
    if is_filled && !rest.contains("${") {
        section.warn("URL", format!("{LABELS}: here it is requested as written"));
    }
    if parts.path.contains('@') && !parts.authority.contains('@') {
        section.warn(
            "URL",
            "its host ends at the first /: percent-encode that as %2F if it is part of a password, \
             else write the @ as %40",
        );
    }
    true
}

/// Reports what is wrong with a `[[discover]]`'s template.
pub(super) fn review_template(section: &Section<'_>, url: &str) {
    let begins = |label: &str| url.starts_with(label);
    // A label may hold a whole URL.
    if begins("{") && !begins("{host}") && !begins("{address}") {
        return;
    }
    if let Some(problem) = problem(url) {
        section.error("URL", problem);
    }
}
