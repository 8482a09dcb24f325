//! Compression of written lines: names shared with earlier lines are stored once.
//!
//! Written lines are kept for the resend window, and each collection of a service has the same
//! names as the previous one. Lines that share them keep only their values, about a fifth.

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
        let (mut rest, mut start) = (lines, 0);
        for end in &names.ends {
            let end = *end as usize;
            rest = rest.strip_prefix(&names.text[start..end])?;
            let line = &rest[..=memchr::memchr(b'\n', rest)?];
            rest = &rest[line.len()..];
            values.extend_from_slice(line.strip_suffix(tail)?);
            values.push(b'\n');
            start = end;
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
        let (mut rest, mut start) = (&*self.values, 0);
        for end in &self.names.ends {
            let end = *end as usize;
            let value = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            out.extend_from_slice(&self.names.text[start..end]);
            out.extend_from_slice(&rest[..value]);
            out.extend_from_slice(&self.tail);
            rest = rest.get(value + 1..).unwrap_or_default();
            start = end;
        }
        out
    }
}

impl Names {
    fn of(lines: &[u8]) -> Option<Self> {
        let (mut text, mut ends) = (Vec::with_capacity(lines.len()), Vec::new());
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            text.extend_from_slice(&line[..=memchr::memchr(b' ', line)?]);
            ends.push(u32::try_from(text.len()).ok()?);
        }
        Some(Self { text: text.into(), ends: ends.into() })
    }
}

/// Finds names shared by batches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packer {
    /// By the hash of the first name.
    known: HashMap<u64, Weak<Names>>,
    /// The size that triggers a cleanup of unused names.
    most: usize,
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
        let key = self.known.hasher().hash_one(first);
        let known = self.known.get(&key).and_then(Weak::upgrade);
        if let Some(values) = known.and_then(|names| Values::of(lines, &names)) {
            return Some(values);
        }
        let names = Arc::new(Names::of(lines)?);
        let values = Values::of(lines, &names)?;
        if self.known.len() >= self.most {
            self.known.retain(|_, names| names.strong_count() > 0);
            self.most = (2 * self.known.len()).max(MIN_KNOWN);
        }
        self.known.insert(key, Arc::downgrade(&names));
        Some(values)
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
        assert!(packer.known.values().all(|names| names.strong_count() == 0));
    }

    #[test]
    fn names_that_nobody_has_are_forgotten() {
        let mut packer = Packer::default();
        for service in 0..5_000 {
            packed(&mut packer, &lines(&names(service), &[1; 40], 1_700_000_000));
        }
        assert!(packer.known.len() < 200, "{}", packer.known.len());
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
