//! The attributes of a point or a resource.

use std::hash::Hasher;
use std::ops::Range;

use expvar::protobuf::Message;

/// The field of attributes in a number's point.
pub(crate) const OF_NUMBER: u32 = 7;
/// The field of attributes in a histogram's point.
pub(crate) const OF_HISTOGRAM: u32 = 9;
/// The field of attributes in an exponential histogram's point, and in a resource.
pub(crate) const OF_EXPONENTIAL: u32 = 1;

/// Encoded attributes. Keys are unique: a repeated one gets a `_`.
#[derive(Debug, Default, Clone)]
pub(crate) struct Attributes {
    encoded: Message,
    /// The end of each `KeyValue`, and the position of its key.
    at: Vec<(usize, Range<usize>)>,
}

/// A number of attributes to truncate to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Mark(usize);

/// The value of an attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'v> {
    Text(&'v str),
    Integer(i64),
}

impl Attributes {
    pub(crate) fn clear(&mut self) {
        self.truncate(Mark(0));
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.at.len())
    }

    /// Removes what was added after the mark.
    pub(crate) fn truncate(&mut self, mark: Mark) {
        self.at.truncate(mark.0);
        self.encoded.truncate(self.at.last().map_or(0, |(end, _)| *end));
    }

    /// Adds an attribute. An empty name is skipped.
    pub(crate) fn push(&mut self, name: &str, value: Value<'_>) {
        if name.is_empty() {
            return;
        }
        let mut more = 0;
        while self.has(name, more) {
            more += 1;
        }
        if more > 0 {
            return self.push_new(&format!("{name}{}", "_".repeat(more)), value);
        }
        self.push_new(name, value);
    }

    fn push_new(&mut self, name: &str, value: Value<'_>) {
        let out = &mut self.encoded;
        out.text(1, name);
        let key = out.len() - name.len()..out.len();
        out.nested(2, |any| match value {
            Value::Text(text) => any.text(1, text),
            Value::Integer(n) => any.explicit_varint(3, n as u64),
        });
        let end = out.len();
        self.at.push((end, key));
    }

    /// Whether there is a key of this name followed by `more` underscores.
    fn has(&self, name: &str, more: usize) -> bool {
        self.at.iter().any(|(_, key)| {
            let known = &self.encoded.as_bytes()[key.clone()];
            known
                .strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.len() == more && rest.iter().all(|&byte| byte == b'_'))
        })
    }

    /// Appends the attributes as this field.
    pub(crate) fn put(&self, out: &mut Message, field: u32) {
        let mut start = 0;
        for &(end, _) in &self.at {
            out.bytes(field, &self.encoded.as_bytes()[start..end]);
            start = end;
        }
    }

    pub(crate) fn hash(&self, hasher: &mut impl Hasher) {
        hasher.write(self.encoded.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::fields::{Fields, Value as Field};

    #[test]
    fn a_key_is_there_once() {
        let mut attributes = Attributes::default();
        attributes.push("key", Value::Text("a"));
        let mark = attributes.mark();
        attributes.push("key", Value::Integer(-1));
        attributes.push("a_key", Value::Text("c"));
        attributes.push("key", Value::Text("d"));
        attributes.push("", Value::Text("e"));
        let keys = |attributes: &Attributes| -> Vec<String> {
            let mut out = Message::default();
            attributes.put(&mut out, OF_NUMBER);
            let key = |(field, value)| match value {
                Field::Bytes(bytes) => match Fields::of(bytes).next() {
                    Some((1, Field::Bytes(key))) if field == OF_NUMBER => {
                        String::from_utf8(key.to_vec()).unwrap()
                    }
                    other => panic!("{other:?}"),
                },
                Field::Number(n) => panic!("{n}"),
            };
            Fields::of(out.as_bytes()).map(key).collect()
        };
        assert_eq!(keys(&attributes), ["key", "key_", "a_key", "key__"]);
        attributes.truncate(mark);
        attributes.push("key", Value::Text("f"));
        assert_eq!(keys(&attributes), ["key", "key_"]);
    }
}
