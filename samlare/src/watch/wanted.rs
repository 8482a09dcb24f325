//! The variables of `-vars`: `mem:memstats.Alloc,duration:Response.Mean,Counter`.

use super::units::Unit;

/// One variable of a `-vars` list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The full dotted name, as in [`super::service::Service`].
    pub name: String,
    /// Its unit. Default: implied by its name.
    pub unit: Option<Unit>,
}

const VALID: &str = "valid are name, mem:name (bytes), duration:name (nanoseconds), \
     str:name (no chart); commas between them; \\. \\, and \\: stand for a dot, comma or colon \
     of a name";

/// Parses a comma-separated list.
///
/// # Errors
/// Names every invalid entry, and what is valid.
pub fn parse(list: &str) -> Result<Vec<Wanted>, String> {
    let mut wanted = Vec::new();
    let mut bad = Vec::new();
    for entry in split_unescaped(list, ',') {
        let entry = entry.trim();
        if entry.is_empty() {
            continue;
        }
        let parts = split_unescaped(entry, ':');
        let (unit, name) = match parts.as_slice() {
            [name] => (None, *name),
            ["mem", name] => (Some(Unit::Bytes), *name),
            ["duration", name] => (Some(Unit::Nanoseconds), *name),
            ["str", name] => (Some(Unit::Text), *name),
            [modifier, _] => {
                bad.push(format!("{entry}: there is no modifier {modifier}:"));
                continue;
            }
            _ => {
                bad.push(format!("{entry}: more than one modifier"));
                continue;
            }
        };
        let name = unescape(name);
        if name.is_empty() {
            bad.push(format!("{entry}: no name"));
            continue;
        }
        wanted.push(Wanted { name, unit });
    }
    if wanted.is_empty() && bad.is_empty() {
        bad.push("no variables".to_owned());
    }
    if bad.is_empty() {
        return Ok(wanted);
    }
    Err(format!("{}\n{VALID}", bad.join("\n")))
}

/// Splits at each `separator` without a backslash before it.
fn split_unescaped(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == separator && !escaped {
            parts.push(&text[start..at]);
            start = at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

/// Removes the backslash before dots, commas, colons and backslashes; keeps any other.
fn unescape(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\\'
            && let Some(next) = rest.next_if(|&next| matches!(next, '.' | ',' | ':' | '\\'))
        {
            plain.push(next);
            continue;
        }
        plain.push(c);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> Vec<(String, Option<Unit>)> {
        let wanted = parse(list).unwrap();
        wanted.into_iter().map(|w| (w.name, w.unit)).collect()
    }

    #[test]
    fn modifiers_and_names() {
        assert_eq!(
            read("mem:memstats.Alloc,duration:Response.Mean,str:version,Counter"),
            [
                ("memstats.Alloc".into(), Some(Unit::Bytes)),
                ("Response.Mean".into(), Some(Unit::Nanoseconds)),
                ("version".into(), Some(Unit::Text)),
                ("Counter".into(), None),
            ]
        );
    }

    #[test]
    fn escapes() {
        for (written, name) in [
            (r"bleve.bench\.bleve.n", "bleve.bench.bleve.n"),
            (r"a.bench\\.b", r"a.bench\.b"),
            (r"a.bench\xb", r"a.bench\xb"),
            (r"cache\:hits", "cache:hits"),
            (r"a\,b", "a,b"),
            (r"end\", r"end\"),
        ] {
            assert_eq!(read(written), [(name.into(), None)], "{written}");
        }
    }

    #[test]
    fn invalid_entries_are_named() {
        let error = parse("bytes:a,mem:,mem:str:x,ok").unwrap_err();
        for part in [
            "bytes:a: there is no modifier bytes:",
            "mem:: no name",
            "mem:str:x: more than one modifier",
            "valid are name, mem:name",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert!(parse(" , ").unwrap_err().contains("no variables"));
    }
}
