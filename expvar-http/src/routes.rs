//! The routes and their paths.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::ui::{self, Asset};

/// A route. The page at `/` lists the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/`
    Index,
    /// `/debug/vars`
    Vars,
    /// `/metrics`
    Metrics,
    /// `/debug/vars/ui` and its files
    Ui(&'static Asset),
    /// `/debug/vars/events`
    Events,
    /// `/debug/vars/history`
    History,
    /// Paths below `/debug/pprof`
    #[cfg(feature = "pprof")]
    Pprof(crate::pprof::Page),
}

/// The page at `/`. Links are relative, so that it works under any prefix.
pub(crate) const INDEX: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Variables</title>
<h1>Variables</h1>
<ul>
<li><a href="debug/vars">debug/vars</a>: all variables as JSON. <code>?r=REGEX</code> selects by name, <code>?pretty</code> indents.
<li><a href="debug/vars/ui">debug/vars/ui</a>: the live page.
<li><a href="debug/vars/history">debug/vars/history</a>: names of the series with history; <code>?name=NAME</code> returns one.
<li><a href="metrics">metrics</a>: the same variables for Prometheus. <code>?r=REGEX</code> selects.
<li>debug/vars/events: what the live page reads, as server-sent events.
</ul>
</html>
"#;

impl Route {
    /// The route of a decoded path below `/debug`.
    fn of_tail(tail: &str) -> Option<Self> {
        match tail {
            "/vars" => Some(Self::Vars),
            "/vars/events" => Some(Self::Events),
            "/vars/history" => Some(Self::History),
            #[cfg(feature = "pprof")]
            tail if tail.starts_with("/pprof") => {
                crate::pprof::Page::of_tail(&tail["/pprof".len()..]).map(Self::Pprof)
            }
            _ => tail.strip_prefix("/vars").and_then(ui::asset).map(Self::Ui),
        }
    }

    /// The route of a whole path.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match &*decode(path) {
            "/" => Some(Self::Index),
            "/metrics" => Some(Self::Metrics),
            path => path.strip_prefix("/debug").and_then(Self::of_tail),
        }
    }

    /// The route of a path in a mounted service: the router may have stripped a prefix, with or
    /// without `/debug`.
    ///
    /// Other suffixes do not match: a proxy that blocks `/debug` must not be bypassed with
    /// `/x/vars` on a service that is a router's fallback.
    pub(crate) fn of_mounted(path: &str) -> Option<Self> {
        match path {
            "" => Some(Self::Index),
            path => Self::of(path).or_else(|| Self::of_tail(&decode(path))),
        }
    }
}

/// The clean form of a path with empty, `.` or `..` segments, if it is a route.
///
/// Go redirects every such path; here one that leads nowhere is a 404 at once.
pub(crate) fn cleaned(path: &str) -> Option<String> {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let clean = format!("/{}", segments.join("/"));
    (clean.len() < path.len() && !path.ends_with('/') && Route::of(&clean).is_some())
        .then_some(clean)
}

fn decode(path: &str) -> Cow<'_, str> {
    if path.contains('%') {
        percent_decode_str(path).decode_utf8_lossy()
    } else {
        Cow::Borrowed(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(Route::of("/"), Some(Route::Index));
        assert_eq!(Route::of("/debug/vars"), Some(Route::Vars));
        assert_eq!(Route::of("/debug/%76ars"), Some(Route::Vars));
        for path in ["", "*", "/debug", "/debug/vars/", "/vars", "/Debug/Vars", "/debug/vars%00"] {
            assert_eq!(Route::of(path), None, "{path}");
        }
    }

    #[test]
    fn mounted_paths() {
        for path in ["/debug/vars", "/vars"] {
            assert_eq!(Route::of_mounted(path), Some(Route::Vars), "{path}");
        }
        assert_eq!(Route::of_mounted("/"), Some(Route::Index));
        for path in ["/debug/other", "/debug/vars/", "/custom/vars", "/debug/debug/vars"] {
            assert_eq!(Route::of_mounted(path), None, "{path}");
        }
    }

    #[test]
    fn unclean_paths() {
        assert_eq!(cleaned("/debug//vars").as_deref(), Some("/debug/vars"));
        assert_eq!(cleaned("//debug/./x/../vars").as_deref(), Some("/debug/vars"));
        for path in ["/debug/vars", "/debug//vars/", "/debug//other", "//evil.example", "//\\evil"]
        {
            assert_eq!(cleaned(path), None, "{path}");
        }
    }
}
