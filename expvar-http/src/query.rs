//! Parameters in a request's query.

use std::borrow::Cow;

use form_urlencoded::parse;

/// The decoded value of the first `name` in `query`.
pub(crate) fn value<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    let pairs = parse(query.unwrap_or_default().as_bytes());
    pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))
}

/// The decoded values of all `name`s in `query`.
pub(crate) fn values<'a>(query: Option<&'a str>, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
    let pairs = parse(query.unwrap_or_default().as_bytes());
    pairs.filter_map(move |(key, value)| (key == name).then_some(value))
}

/// Whether a flag is set: `?name`, or with any value but `0` and `false`.
pub(crate) fn flag(query: Option<&str>, name: &str) -> bool {
    value(query, name).is_some_and(|value| value != "0" && value != "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded() {
        let query = Some("seek=x&r=%5Ehttp%5C.+a&r=second&pretty");
        assert_eq!(value(query, "r").as_deref(), Some("^http\\. a"));
        assert_eq!(value(query, "pretty").as_deref(), Some(""));
        assert_eq!(value(query, "x"), None);
        assert_eq!(value(None, "r"), None);
    }

    #[test]
    fn flags() {
        assert!(flag(Some("pretty"), "pretty"));
        assert!(flag(Some("pretty=1"), "pretty"));
        assert!(!flag(Some("pretty=0"), "pretty"));
        assert!(!flag(Some("pretty=false"), "pretty"));
        assert!(!flag(Some("prettyprint"), "pretty"));
        assert!(!flag(None, "pretty"));
    }
}
