//! `${NAME}` in configuration strings.

use std::io::Read;
use std::path::Path;

/// The largest file for `${file:PATH}`.
const MAX_BYTES: u64 = 64 << 10;

/// Whether a text has something to expand.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("${")
}

/// Whether a text is probably meant to contain a variable, as in `$TOKEN` or `http://$HOST:8500`.
pub(super) fn is_forgotten(text: &str) -> bool {
    let is_upper = |c: char| c.is_ascii_uppercase() || c == '_';
    text.match_indices('$').any(|(at, _)| {
        let (before, name) = (&text[..at], &text[at + 1..]);
        let name = name.split(|c: char| !is_name(c)).next().unwrap_or_default();
        let begins = before.is_empty() || before.ends_with([' ', '/', ',', '@']);
        begins && name.len() > 1 && name.chars().all(|c| is_upper(c) || c.is_ascii_digit())
    })
}

/// A text that contains `$NAME` or `${NAME}`, with the braces that an expansion needs.
pub(super) fn unfilled(text: &str) -> Option<String> {
    let (mut out, mut rest, mut is_unfilled) = (String::new(), text, false);
    while let Some(at) = rest.find('$') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        out.push_str(before);
        let name = after.strip_prefix('{').unwrap_or(after);
        let end = name.find(|c: char| !is_name(c)).unwrap_or(name.len());
        let (name, follows) = name.split_at(end);
        rest = if after.starts_with('{') { follows.trim_start_matches('}') } else { follows };
        is_unfilled |= !name.is_empty();
        out.push_str(&format!("${{{name}}}"));
    }
    out.push_str(rest);
    is_unfilled.then_some(out)
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Replaces `${NAME}` with an environment variable and `${file:PATH}` with a file's content,
/// trimmed. `$${` is a literal `${`; any other `$` is kept.
///
/// A relative path is relative to `folder`.
///
/// # Errors
/// What is missing; never a value.
pub(super) fn expand(text: &str, folder: &Path) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            return Err("a ${ has no }: write ${NAME}, or $${ for a ${".to_owned());
        };
        out.push_str(&value(name, folder)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn value(name: &str, folder: &Path) -> Result<String, String> {
    if let Some(path) = name.strip_prefix("file:") {
        let mut text = String::new();
        let read = std::fs::File::open(folder.join(path))
            .and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
        return match read {
            Ok(_) => Ok(text.trim().to_owned()),
            Err(error) => Err(format!("${{{name}}}: {error}")),
        };
    }
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(format!("${{{name}}} names no variable: write ${{NAME}} or ${{file:PATH}}"));
    }
    std::env::var(name)
        .map_err(|_| format!("the environment has no {name}: set it, or write the value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_files_are_filled_in() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "s3cret\n").unwrap();
        let home = std::env::var("CARGO_PKG_NAME").unwrap();
        let expand = |text: &str| expand(text, dir.path());
        assert_eq!(expand("a-${CARGO_PKG_NAME}.b").unwrap(), format!("a-{home}.b"));
        assert_eq!(expand("u:${file:secret}@h").unwrap(), "u:s3cret@h");
        assert_eq!(expand("$HOME $5 $${X} {host}").unwrap(), "$HOME $5 ${X} {host}");
        for (text, said) in [
            ("${NO_SUCH_NAME}", "the environment has no NO_SUCH_NAME"),
            ("${NAME", "has no }"),
            ("${a b}", "names no variable"),
            ("${file:none}", "${file:none}: "),
        ] {
            assert!(expand(text).unwrap_err().contains(said), "{text}");
        }
    }
}
