//! Patterns over full paths, in Graphite's syntax.

use regex::RegexSet;

use expvar_push::ConfigError;

/// A list of patterns.
///
/// `*` matches within a segment, `**` anything, `?` one character, `[abc]` and `[a-z]` one of
/// several, `{a,b}` either. A pattern must match the whole path.
#[derive(Debug, Clone)]
pub(crate) struct Patterns(RegexSet);

impl Patterns {
    pub(crate) fn new(field: &str, patterns: &[String]) -> Result<Self, ConfigError> {
        let expressions: Vec<_> =
            patterns.iter().map(|p| expression(field, p)).collect::<Result<_, _>>()?;
        RegexSet::new(expressions).map(Self).map_err(|_| {
            ConfigError::new(field, format!("{patterns:?} is too much"), "use fewer patterns")
        })
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        self.0.is_match(path)
    }

    /// The index of the first matching pattern.
    pub(crate) fn first(&self, path: &str) -> Option<usize> {
        self.0.is_match(path).then(|| self.0.matches(path).iter().next()).flatten()
    }
}

/// Translates to a regular expression.
fn expression(field: &str, pattern: &str) -> Result<String, ConfigError> {
    let bad = |problem: &str, remedy: &str| {
        Err(ConfigError::new(field, format!("{pattern:?} {problem}"), remedy))
    };
    if pattern.is_empty() {
        return bad("is empty", "write ** for everything");
    }
    let mut out = String::from("^(?s:");
    let mut either = false;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.push_str("[^.]*"),
            '?' => out.push_str("[^.]"),
            '[' => {
                out.push('[');
                let mut members = String::new();
                loop {
                    match chars.next() {
                        None => return bad("has an unclosed [", "close it with ]"),
                        Some(']') if !members.is_empty() => break,
                        Some(c) => members.push(c),
                    }
                }
                let rest = match members.strip_prefix('!') {
                    Some("") | None => members.as_str(),
                    Some(rest) => {
                        out.push('^');
                        rest
                    }
                };
                for c in rest.chars() {
                    if c != '-' && !c.is_alphanumeric() {
                        out.push('\\');
                    }
                    out.push(c);
                }
                out.push(']');
                if regex::Regex::new(&out[out.rfind('[').unwrap_or(0)..]).is_err() {
                    return bad("has a range that runs backwards", "write it as in [a-z]");
                }
            }
            '{' if either => return bad("nests { }", "write the alternatives side by side"),
            '{' => {
                either = true;
                out.push_str("(?:");
            }
            '}' if either => {
                either = false;
                out.push(')');
            }
            ',' if either => out.push('|'),
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    if either {
        return bad("has an unclosed {", "close it with }");
    }
    out.push_str(")$");
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Patterns::new("include", &[pattern.to_owned()]).unwrap().matches(path)
    }

    #[test]
    fn patterns_mean_what_graphites_mean() {
        for (pattern, path, expected) in [
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.**", "a.b.c", true),
            ("**.p99*", "x.y.p999", true),
            ("a?c", "abc", true),
            ("a?c", "a.c", false),
            ("h[0-9].x", "h7.x", true),
            ("h[!0-9].x", "h7.x", false),
            ("h[!0-9].x", "hh.x", true),
            ("{get,put}.count", "put.count", true),
            ("{get,put}.count", "post.count", false),
            ("a.b", "axb", false),
            ("a.b", "a.b.c", false),
            ("a+(b)|c$^\\", "a+(b)|c$^\\", true),
            ("a}", "a}", true),
            ("[]^]", "^", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn bad_patterns_are_named() {
        for pattern in ["", "a[", "a[]", "{a", "{a,{b}}", "[z-a]"] {
            let error = Patterns::new("exclude", &[pattern.to_owned()]).unwrap_err();
            assert_eq!(error.field(), "exclude", "{pattern}");
        }
    }

    #[test]
    fn the_first_of_several_is_known() {
        let patterns = Patterns::new("counters", &["b.*".into(), "**".into()]).unwrap();
        assert_eq!(patterns.first("b.x"), Some(0));
        assert_eq!(patterns.first("c"), Some(1));
    }
}
