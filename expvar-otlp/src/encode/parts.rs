//! The output of one collection: encoded requests of about a mebibyte.

use std::collections::VecDeque;

use bytes::Bytes;
use expvar::protobuf::Message;

use crate::encode::request::Envelope;

/// What is sent at once. Receivers take at least 4 MiB.
pub(crate) const PART_BYTES: usize = 1 << 20;

/// Metrics on their way into requests. They are encoded behind room for what a request begins with,
/// so that a request is made of them without a copy.
pub(crate) struct Parts {
    envelope: Envelope,
    /// The most that a request begins with.
    room: usize,
    /// Elements of `ScopeMetrics.metrics`, behind the room; empty where there are none yet.
    open: Message,
    /// Points in it.
    points: u64,
    whole: VecDeque<Part>,
    /// Memory for the parts of the next collection.
    spare: Vec<Message>,
    /// The requests taken from this collection. Once they are sent, their memory serves the next
    /// one. Memory new from the system would take a quarter of a collection's time.
    taken: Vec<Bytes>,
    /// The parts' sizes in bytes: those of this collection so far, then those of the previous one.
    lens: Vec<usize>,
    cut: usize,
}

/// Metrics that go in one request.
struct Part {
    metrics: Message,
    points: u64,
}

impl Parts {
    pub(crate) fn new(envelope: Envelope) -> Self {
        Self {
            room: envelope.room(),
            envelope,
            open: Message::default(),
            points: 0,
            whole: VecDeque::new(),
            spare: Vec::new(),
            taken: Vec::new(),
            lens: Vec::new(),
            cut: 0,
        }
    }

    /// Forgets what was encoded and not taken; keeps its memory, and that of what was sent.
    pub(crate) fn clear(&mut self) {
        if !self.open.is_empty() {
            self.spare.push(std::mem::take(&mut self.open));
        }
        // The first part's memory is the first part's again.
        self.spare.extend(self.whole.drain(..).rev().map(|part| part.metrics));
        let sent = self.taken.drain(..).rev().filter_map(|request| request.try_into_mut().ok());
        self.spare.extend(sent.map(|mut memory| {
            memory.clear();
            Message::from(Vec::from(memory))
        }));
        (self.points, self.cut) = (0, 0);
    }

    /// Where metrics are appended.
    #[inline]
    pub(crate) fn metrics(&mut self) -> &mut Message {
        if self.open.is_empty() {
            self.begin();
        }
        &mut self.open
    }

    #[cold]
    fn begin(&mut self) {
        let len = self.lens.get(self.cut).copied().unwrap_or(0);
        let mut memory = match self.spare.pop() {
            Some(message) => message.into_bytes(),
            None => Vec::with_capacity(self.room.max(len + len / 16)),
        };
        memory.clear();
        memory.resize(self.room, 0);
        self.open = memory.into();
    }

    /// Counts points that were appended.
    #[inline]
    pub(crate) fn count(&mut self, points: u64) {
        self.points += points;
    }

    /// How many bytes the part has that is not whole yet.
    #[inline]
    pub(crate) fn pending(&self) -> usize {
        self.open.len().saturating_sub(self.room)
    }

    /// Ends a part where there are more bytes than this.
    #[inline]
    pub(crate) fn cut(&mut self, more_than: usize) {
        if self.pending() > more_than {
            self.end_part();
        }
    }

    #[cold]
    fn end_part(&mut self) {
        let (metrics, points) = (std::mem::take(&mut self.open), std::mem::take(&mut self.points));
        match self.lens.get_mut(self.cut) {
            Some(len) => *len = metrics.len(),
            None => self.lens.push(metrics.len()),
        }
        self.cut += 1;
        self.whole.push_back(Part { metrics, points });
    }

    /// Ends the collection.
    pub(crate) fn finish(&mut self) {
        self.cut(0);
        self.lens.truncate(self.cut);
        // It needed less than the last one.
        self.spare.clear();
    }

    /// The next request, and how many points it has.
    pub(crate) fn take(&mut self) -> Option<(Bytes, u64)> {
        let Part { metrics, points } = self.whole.pop_front()?;
        let mut request = metrics.into_bytes();
        if request.capacity() - request.len() > request.len() / 4 {
            // It may wait for a while.
            request.shrink_to_fit();
        }
        let front = self.envelope.front(request.len() - self.room);
        let start = self.room - front.len();
        request[start..self.room].copy_from_slice(front.as_bytes());
        let request = Bytes::from(request);
        self.taken.push(request.clone());
        Some((request.slice(start..), points))
    }

    /// How many requests wait to be taken.
    pub(crate) fn left(&self) -> usize {
        self.whole.len()
    }

    /// How many points and bytes wait to be taken.
    pub(crate) fn weight(&self) -> (u64, usize) {
        let bytes = |part: &Part| part.metrics.len() - self.room;
        let points = self.whole.iter().map(|part| part.points).sum();
        (points, self.whole.iter().map(bytes).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::attributes::{Attributes, Value};

    #[test]
    fn a_request_is_what_the_envelope_makes_of_the_metrics() {
        for (text, len) in [("", 1), ("shop", 100), ("x", 20_000), (&*"y".repeat(300), 3_000_000)] {
            let mut resource = Attributes::default();
            resource.push("service.name", Value::Text(text));
            let envelope = Envelope::new(&resource);
            let metrics = vec![b'm'; len];
            let mut expected = Message::default();
            envelope.append(&mut expected, &metrics);
            let mut parts = Parts::new(envelope);
            for _ in 0..2 {
                parts.clear();
                parts.metrics().append(&metrics);
                parts.count(7);
                parts.finish();
                assert_eq!((parts.left(), parts.weight()), (1, (7, len)));
                let (request, points) = parts.take().unwrap();
                assert!(request == expected.as_bytes(), "{len}");
                assert_eq!(points, 7);
                assert!(parts.take().is_none());
            }
        }
    }

    #[test]
    fn what_is_not_taken_gives_its_memory_to_the_next_reading() {
        let mut parts = Parts::new(Envelope::new(&Attributes::default()));
        let mut places = Vec::new();
        for _ in 0..3 {
            parts.clear();
            for len in [5_000, 300] {
                parts.metrics().append(&vec![b'm'; len]);
                places.push(parts.metrics().as_bytes().as_ptr());
                parts.cut(0);
            }
            parts.finish();
        }
        assert_eq!(places[0..2], places[2..4]);
        assert_eq!(places[0..2], places[4..6]);
    }

    #[test]
    fn what_was_sent_gives_its_memory_to_the_next_reading() {
        let mut parts = Parts::new(Envelope::new(&Attributes::default()));
        let mut read = |lens: &[usize]| {
            parts.clear();
            let mut places = Vec::new();
            for &len in lens {
                parts.metrics().append(&vec![b'm'; len]);
                places.push(parts.metrics().as_bytes().as_ptr());
                parts.cut(0);
            }
            parts.finish();
            let requests: Vec<_> = std::iter::from_fn(|| parts.take()).collect();
            (places, requests, parts.spare.len())
        };
        let (first, sent, _) = read(&[5_000, 300]);
        drop(sent);
        let (second, waiting, _) = read(&[5_000, 300]);
        assert_eq!(first, second);
        let whole = waiting[0].0.clone();
        let (third, sent, _) = read(&[5_000, 300]);
        assert!(third.iter().all(|place| !second.contains(place)), "two requests still wait");
        assert_eq!(waiting[0].0, whole);
        drop(sent);
        let (fourth, _, spare) = read(&[5_000]);
        assert_eq!(
            (&fourth[..], spare),
            (&third[..1], 0),
            "memory that is not needed is given back"
        );
    }
}
