//! A metric's labels, and where its variable is shown among those of its name.

use std::borrow::Cow;
use std::fmt::Write as _;

use metrics::Key;

/// The most labels of a name.
pub(crate) const LABELS: usize = 8;
/// The most bytes of a label's name or value.
const BYTES: usize = 1024;
/// The value of each label of the set past the limit.
pub(crate) const OTHER: &str = "(other)";

/// Label names, in the order of the levels of nested maps.
pub(crate) type Labels = [Cow<'static, str>];

/// A label set as the key of a flat map: names and values in the order of names, each after its
/// length. Empty without labels; [`OTHER`] for a set past the limits.
pub(crate) struct Set(Box<str>);

impl Set {
    /// The labels of a metric. An empty one is omitted, as in Prometheus.
    pub(crate) fn of(key: &Key) -> Self {
        let mut pairs: Vec<_> = given(key).collect();
        pairs.sort_unstable();
        pairs.dedup_by_key(|(name, _)| *name);
        let fits = |&(name, value): &(&str, &str)| name.len() <= BYTES && value.len() <= BYTES;
        if pairs.len() > LABELS || !pairs.iter().all(fits) {
            return Self(OTHER.into());
        }
        let mut text = String::new();
        for word in pairs.iter().flat_map(|(name, value)| [name, value]) {
            // Writing to a string cannot fail.
            let _ = write!(text, "{}:{word}", word.len());
        }
        Self(text.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn is_other(&self) -> bool {
        *self.0 == *OTHER
    }
}

/// Whether the known labels and the metric's are few enough together.
pub(crate) fn fits(known: &Labels, key: &Key) -> bool {
    let is_known = |name: &str| known.iter().any(|label| label == name);
    // Each name once: a metric may have a label twice.
    let new = given(key).enumerate().filter(|&(at, (name, _))| {
        !is_known(name) && !given(key).take(at).any(|(early, _)| early == name)
    });
    known.len() + new.count() <= LABELS
}

/// The known labels and the metric's new ones, in the metric's order.
pub(crate) fn learn(known: &Labels, key: &Key) -> Vec<Cow<'static, str>> {
    let mut labels = known.to_vec();
    for (name, _) in given(key) {
        if !labels.iter().any(|label| label == name) {
            labels.push(Cow::Owned(name.into()));
        }
    }
    labels
}

/// The known labels, or one for [`OTHER`] if there are none.
pub(crate) fn some(known: &Labels) -> Vec<Cow<'static, str>> {
    if known.is_empty() { vec![Cow::Borrowed("key")] } else { known.to_vec() }
}

/// A set's keys in nested maps, from the top. `None` if it has a label that is not among `labels`.
pub(crate) fn path(set: &str, labels: &Labels) -> Option<Vec<String>> {
    if set == OTHER {
        return Some(vec![OTHER.into(); labels.len()]);
    }
    let mut path = vec![String::new(); labels.len()];
    let mut rest = set;
    while let (Some(name), Some(value)) = (word(&mut rest), word(&mut rest)) {
        let at = labels.iter().position(|label| label == name)?;
        path[at] = value.into();
    }
    Some(path)
}

/// The next name or value of a set.
fn word<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let (len, words) = rest.split_once(':')?;
    let (word, after) = words.split_at_checked(len.parse().ok()?)?;
    *rest = after;
    Some(word)
}

/// A metric's labels that are not empty.
fn given(key: &Key) -> impl Iterator<Item = (&str, &str)> {
    let pairs = key.labels().map(|label| (label.key(), label.value()));
    pairs.filter(|(_, value)| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_s_path_has_every_value_at_its_label_s_level() {
        let key = Key::from_parts("n", &[("b", "1:x"), ("a", "é:"), ("c", "")]);
        let set = Set::of(&key);
        assert_eq!(set.as_str(), "1:a3:é:1:b3:1:x");
        let labels = ["z".into(), "b".into(), "a".into()];
        assert_eq!(path(set.as_str(), &labels).unwrap(), ["", "1:x", "é:"]);
        assert_eq!(path(set.as_str(), &labels[..2]), None);
        assert_eq!(path("", &labels[..1]).unwrap(), [""]);
        assert_eq!(path(OTHER, &labels[..2]).unwrap(), [OTHER, OTHER]);
        assert_eq!(learn(&labels[..1], &key), ["z", "b", "a"]);
    }
}
