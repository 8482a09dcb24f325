//! Compression of written lines: names shared with earlier lines are stored once.
//!
//! Written lines are kept for the resend window. Each collection of a service has the same names as
//! the previous one, and services of one kind differ in the beginning of their names only. Lines
//! that share names keep only their values, about a fifth.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Weak};

use bytes::Bytes;

/// Smaller batches are kept unchanged.
const MIN_BYTES: usize = 512;
/// The number of shared names before the first cleanup of unused ones.
const MIN_KNOWN: usize = 64;

/// The stored content of a batch.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Whole(Bytes),
    Values(Arc<Values>),
}

/// The values of lines whose names and timestamp are stored elsewhere.
#[derive(Debug)]
pub(crate) struct Values {
    names: Arc<Names>,
    /// Each value with a line end.
    values: Box<[u8]>,
    /// The end of each line: a space, the timestamp, a line feed.
    tail: Box<[u8]>,
    /// The length of the whole lines.
    len: usize,
}

/// The beginnings of lines: names, each with a space.
#[derive(Debug)]
struct Names {
    /// What all of them begin with.
    prefix: Box<[u8]>,
    rests: Arc<Rests>,
}

/// Names without a prefix, each with a space.
#[derive(Debug, PartialEq, Hash)]
struct Rests {
    text: Box<[u8]>,
    ends: Box<[u32]>,
}

impl Content {
    /// The length of the whole.
    pub(crate) fn len(&self) -> usize {
        match self {
            Content::Whole(bytes) => bytes.len(),
            Content::Values(values) => values.len,
        }
    }

    /// The whole lines; copies if names are shared.
    pub(crate) fn bytes(&self) -> Bytes {
        match self {
            Content::Whole(bytes) => bytes.clone(),
            Content::Values(values) => values.whole().into(),
        }
    }
}

impl Values {
    /// `None` if the lines have other names, or more than one timestamp.
    fn of(lines: &[u8], names: &Arc<Names>) -> Option<Self> {
        let first = &lines[..=memchr::memchr(b'\n', lines)?];
        let tail = &first[memchr::memrchr(b' ', first)?..];
        let mut values = Vec::with_capacity(lines.len() / 4);
        let mut rest = lines;
        for name in names.rests.iter() {
            rest = rest.strip_prefix(&*names.prefix)?.strip_prefix(name)?;
            let line = &rest[..=memchr::memchr(b'\n', rest)?];
            rest = &rest[line.len()..];
            values.extend_from_slice(line.strip_suffix(tail)?);
            values.push(b'\n');
        }
        rest.is_empty().then(|| Self {
            names: names.clone(),
            values: values.into(),
            tail: tail.into(),
            len: lines.len(),
        })
    }

    fn whole(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len);
        let mut rest = &*self.values;
        for name in self.names.rests.iter() {
            let value = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            out.extend_from_slice(&self.names.prefix);
            out.extend_from_slice(name);
            out.extend_from_slice(&rest[..value]);
            out.extend_from_slice(&self.tail);
            rest = rest.get(value + 1..).unwrap_or_default();
        }
        out
    }
}

/// The longest beginning of all lines that ends before a space.
fn prefix(lines: &[u8]) -> Option<&[u8]> {
    let mut prefix = &lines[..memchr::memchr(b' ', lines)?];
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        if !line.starts_with(prefix) {
            let same = prefix.iter().zip(line).take_while(|(one, other)| one == other);
            prefix = &prefix[..same.count()];
        }
    }
    Some(prefix)
}

impl Rests {
    fn of(lines: &[u8], prefix: usize) -> Option<Self> {
        let (mut text, mut ends) = (Vec::with_capacity(lines.len()), Vec::new());
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            text.extend_from_slice(&line[prefix..=memchr::memchr(b' ', line)?]);
            ends.push(u32::try_from(text.len()).ok()?);
        }
        Some(Self { text: text.into(), ends: ends.into() })
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let name = &self.text[start..end as usize];
            start = end as usize;
            name
        })
    }
}

/// Finds names shared by batches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packer {
    /// By the hash of the first name.
    names: Known<Names>,
    /// By their hash.
    rests: Known<Rests>,
}

/// Values that are in use elsewhere, by a hash.
#[derive(Debug)]
struct Known<T> {
    known: HashMap<u64, Weak<T>>,
    /// The size that triggers a cleanup of unused values.
    most: usize,
}

impl<T> Known<T> {
    fn get(&self, key: u64) -> Option<Arc<T>> {
        self.known.get(&key)?.upgrade()
    }

    fn insert(&mut self, key: u64, value: &Arc<T>) {
        if self.known.len() >= self.most {
            self.known.retain(|_, value| value.strong_count() > 0);
            self.most = (2 * self.known.len()).max(MIN_KNOWN);
        }
        self.known.insert(key, Arc::downgrade(value));
    }
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), most: 0 }
    }
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        Self { known: self.known.clone(), most: self.most }
    }
}

impl Packer {
    /// Shares a content's names with earlier ones, if they are the same.
    pub(crate) fn pack(&mut self, content: &mut Content) {
        if let Content::Whole(lines) = content
            && let Some(values) = self.values(lines)
        {
            *content = Content::Values(Arc::new(values));
        }
    }

    fn values(&mut self, lines: &[u8]) -> Option<Values> {
        if lines.len() < MIN_BYTES {
            return None;
        }
        let first = &lines[..memchr::memchr(b' ', lines)?];
        let key = self.names.known.hasher().hash_one(first);
        if let Some(values) = self.names.get(key).and_then(|names| Values::of(lines, &names)) {
            return Some(values);
        }
        let prefix = prefix(lines)?;
        let rests = self.rests(Rests::of(lines, prefix.len())?);
        let names = Arc::new(Names { prefix: prefix.into(), rests });
        let values = Values::of(lines, &names)?;
        self.names.insert(key, &names);
        Some(values)
    }

    /// The same ones that are in use already, if any.
    fn rests(&mut self, rests: Rests) -> Arc<Rests> {
        let key = self.rests.known.hasher().hash_one(&rests);
        if let Some(known) = self.rests.get(key).filter(|known| **known == rests) {
            return known;
        }
        let rests = Arc::new(rests);
        self.rests.insert(key, &rests);
        rests
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(names: &[String], values: &[u64], time: u64) -> Content {
        let line = |(name, value)| format!("{name} {value} {time}\n");
        let text: String = names.iter().zip(values).map(line).collect();
        Content::Whole(text.into())
    }

    fn packed(packer: &mut Packer, whole: &Content) -> Content {
        let mut content = whole.clone();
        packer.pack(&mut content);
        assert_eq!(content.bytes(), whole.bytes());
        assert_eq!(content.len(), whole.len());
        content
    }

    fn names(service: usize) -> Vec<String> {
        (0..40).map(|n| format!("apps.app{service}.some.name.of.usual.length{n}")).collect()
    }

    #[test]
    fn readings_of_one_service_share_their_names() {
        let mut packer = Packer::default();
        let mut kept = Vec::new();
        for time in 0..10 {
            let values: Vec<u64> = (0..40).map(|n| n * 1_000 * time).collect();
            kept.push(packed(&mut packer, &lines(&names(1), &values, 1_700_000_000 + time)));
        }
        let shares: Vec<_> = kept
            .iter()
            .map(|content| match content {
                Content::Values(values) => (Arc::strong_count(&values.names), values.values.len()),
                Content::Whole(_) => panic!("it shares nothing"),
            })
            .collect();
        assert!(shares.iter().all(|(count, len)| *count == 10 && *len < 300), "{shares:?}");
        drop(kept);
        assert!(packer.names.known.values().all(|names| names.strong_count() == 0));
    }

    #[test]
    fn services_of_one_kind_share_all_but_the_beginning_of_their_names() {
        let mut packer = Packer::default();
        let contents = [1, 2].map(|service| {
            packed(&mut packer, &lines(&names(service), &[service as u64; 40], 1_700_000_000))
        });
        let [one, other] = contents.map(|content| match content {
            Content::Values(values) => values.names.clone(),
            Content::Whole(_) => panic!("it shares nothing"),
        });
        assert_eq!(&*one.prefix, b"apps.app1.some.name.of.usual.length");
        assert_eq!(&*other.prefix, b"apps.app2.some.name.of.usual.length");
        assert!(Arc::ptr_eq(&one.rests, &other.rests));
    }

    #[test]
    fn names_that_nobody_has_are_forgotten() {
        let mut packer = Packer::default();
        for service in 0..5_000 {
            packed(&mut packer, &lines(&names(service), &[1; 40], 1_700_000_000));
        }
        let known = [packer.names.known.len(), packer.rests.known.len()];
        assert!(known.iter().all(|len| *len < 200), "{known:?}");
    }

    proptest! {
        #[test]
        fn whatever_is_packed_comes_back(
            batches in prop::collection::vec("([a-c]{1,3}( |\n|x{40})){0,40}\n?", 1..8),
        ) {
            let mut packer = Packer::default();
            for batch in batches {
                let long = batch.repeat(1 + MIN_BYTES / batch.len().max(1));
                packed(&mut packer, &Content::Whole(long.into()));
            }
        }
    }
}
