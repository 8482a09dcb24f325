//! Tags of every point: `;key=value`, sorted by key.

use expvar_push::ConfigError;

/// The most bytes of a line's tags.
pub const TAGS_MAX_BYTES: usize = 4_096;

/// Tags of every point.
///
/// ```
/// let tags = expvar_carbon::Tags::new().with("host", "h1")?.with("dc", "ams")?;
/// assert_eq!(tags.as_str(), ";dc=ams;host=h1");
/// # Ok::<(), expvar_carbon::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    pairs: Vec<(String, String)>,
    text: String,
}

impl Tags {
    /// Creates an empty list of tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tag.
    ///
    /// # Errors
    /// A server would misread the tag: an empty key or value, the key `name` (it would replace the
    /// point's own name), a repeated key, whitespace or control characters, one of `;!^=` in the
    /// key, `;` in the value or `~` at its start, or more than [`TAGS_MAX_BYTES`] in all.
    pub fn with(mut self, key: &str, value: &str) -> Result<Self, ConfigError> {
        let bad = |problem: &str, remedy: &str| {
            Err(ConfigError::new("tag", format!("{key:?} = {value:?} {problem}"), remedy))
        };
        let blank = |c: char| c.is_whitespace() || c.is_control();
        if key.is_empty() || value.is_empty() {
            return bad("is empty", "give the tag a key and a value");
        }
        if key == "name" {
            return bad("would replace every point's name", "choose another key");
        }
        if key.contains(|c| blank(c) || ";!^=".contains(c)) {
            return bad("has a key that servers misread", "use no whitespace and none of ;!^=");
        }
        if value.starts_with('~') || value.contains(|c| blank(c) || c == ';') {
            return bad(
                "has a value that servers misread",
                "use no whitespace and no ; in it and no ~ at its start",
            );
        }
        match self.pairs.binary_search_by(|(k, _)| k.as_str().cmp(key)) {
            Ok(_) => return bad("is given twice", "give each key once"),
            Err(at) => self.pairs.insert(at, (key.into(), value.into())),
        }
        self.text = self.pairs.iter().map(|(k, v)| format!(";{k}={v}")).collect();
        if self.text.len() > TAGS_MAX_BYTES {
            return bad("makes the tags too long", "keep all tags within 4,096 bytes");
        }
        Ok(self)
    }

    /// The tags as they follow a name; empty without tags.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_misread_is_refused_with_the_field_and_a_remedy() {
        let long = "v".repeat(5_000);
        for (key, value) in [
            ("", "v"),
            ("k", ""),
            ("name", "v"),
            ("a b", "v"),
            ("a!", "v"),
            ("a^", "v"),
            ("a=", "v"),
            ("a;", "v"),
            ("a\n", "v"),
            ("k", "~v"),
            ("k", "a;b"),
            ("k", "a b"),
            ("k", "a\u{a0}b"),
            ("k", "a\0"),
            ("k", long.as_str()),
        ] {
            let error = Tags::new().with(key, value).unwrap_err();
            assert_eq!(error.field(), "tag", "{key:?}={value:?}");
            assert!(!error.remedy().is_empty());
        }
        assert!(Tags::new().with("k", "1").unwrap().with("k", "2").is_err());
    }

    #[test]
    fn odd_but_sound_tags_pass_in_key_order() {
        let tags = Tags::new().with("s", "å").unwrap().with("p", "/var=x").unwrap();
        assert_eq!(tags.as_str(), ";p=/var=x;s=å");
    }
}
