//! The prefix of all names, which identifies the process.

use expvar_push::ConfigError;

/// Replaces `{host}`, `{pid}` and `{exe}` in a prefix by one segment each.
pub(crate) fn expand(prefix: &str) -> Result<String, ConfigError> {
    let bad = |problem: String, remedy: &str| Err(ConfigError::new("prefix", problem, remedy));
    if prefix.is_empty() {
        return Ok(String::new());
    }
    if prefix.split('.').any(str::is_empty) {
        return bad(
            format!("{prefix:?} has an empty segment"),
            "separate its segments by single dots, with none at the ends",
        );
    }
    let (mut out, mut rest) = (String::new(), prefix);
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            return bad(format!("{prefix:?} has an unclosed {{"), "write {host}, {pid} or {exe}");
        };
        let value = match name {
            "host" => gethostname::gethostname().to_string_lossy().into_owned(),
            "pid" => std::process::id().to_string(),
            "exe" => exe(),
            _ => {
                return bad(
                    format!("{prefix:?} has the unknown {{{name}}}"),
                    "write {host}, {pid} or {exe}",
                );
            }
        };
        out += before;
        out += &value.replace('.', "_");
        rest = after;
    }
    Ok(out + rest)
}

/// The name of the program's file, without its extension.
fn exe() -> String {
    let path = std::env::current_exe().ok();
    let stem = path.as_deref().and_then(|path| path.file_stem());
    stem.map_or_else(|| "unknown".into(), |stem| stem.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_single_segments() {
        let expanded = expand("apps.{host}.{exe}-{pid}.x").unwrap();
        let segments: Vec<_> = expanded.split('.').collect();
        assert_eq!(segments.len(), 4, "{expanded}");
        let pid = std::process::id().to_string();
        assert!(segments[2].starts_with("expvar_carbon-") && segments[2].ends_with(&pid));
        assert!(!segments[1].is_empty());
        assert_eq!(expand("").unwrap(), "");
    }

    #[test]
    fn bad_prefixes_are_named() {
        for prefix in ["a..b", ".a", "a.", ".", "{home}", "{host", "{}"] {
            let error = expand(prefix).unwrap_err();
            assert_eq!(error.field(), "prefix", "{prefix}");
        }
    }
}
