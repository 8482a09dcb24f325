//! One metric: what its points are, and how they are written.

use expvar::Number;
use expvar::protobuf::Message;

use crate::encode::attributes::{Attributes, OF_NUMBER};

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Gauge,
    /// A sum that only goes up, since its start or since the point before.
    Sum {
        delta: bool,
    },
    /// A sum that goes up and down, always since its start.
    UpDown,
    /// Buckets with bounds that are written out.
    Explicit {
        delta: bool,
    },
    /// Buckets whose bounds are powers of one number.
    Exponential {
        delta: bool,
    },
}

impl Kind {
    /// The field of `Metric` that the points are in.
    const fn field(self) -> u32 {
        match self {
            Self::Gauge => 5,
            Self::Sum { .. } | Self::UpDown => 7,
            Self::Explicit { .. } => 9,
            Self::Exponential { .. } => 10,
        }
    }

    /// `AggregationTemporality`; 0 for a gauge, which has none.
    const fn temporality(self) -> u64 {
        match self {
            Self::Gauge => 0,
            Self::UpDown => 2,
            Self::Sum { delta } | Self::Explicit { delta } | Self::Exponential { delta } => {
                if delta { 1 } else { 2 }
            }
        }
    }

    /// Its place among all.
    pub(crate) const fn at(self) -> usize {
        match self {
            Self::Gauge => 0,
            Self::Sum { delta: false } => 1,
            Self::Sum { delta: true } => 2,
            Self::UpDown => 3,
            Self::Explicit { .. } => 4,
            Self::Exponential { .. } => 5,
        }
    }

    /// How many bytes a number's point ends with, whatever the number.
    #[inline]
    pub(crate) const fn tail_len(self) -> usize {
        TAIL_LEN - if matches!(self, Self::Gauge) { START_LEN } else { 0 }
    }
}

/// How many kinds a number can have.
pub(crate) const NUMBERS: usize = 4;

/// A `fixed64` with its key.
const START_LEN: usize = 9;
const TAIL_LEN: usize = 3 * START_LEN;

/// A metric without its points.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric<'m> {
    pub(crate) name: &'m str,
    pub(crate) help: &'m str,
    pub(crate) unit: &'m str,
    pub(crate) kind: Kind,
}

impl Metric<'_> {
    /// Appends it, as an element of `ScopeMetrics.metrics`.
    pub(crate) fn write(&self, out: &mut Message, points: impl FnOnce(&mut Message)) {
        out.nested(2, |metric| {
            metric.text(1, self.name);
            for (field, text) in [(2, self.help), (3, self.unit)] {
                if !text.is_empty() {
                    metric.text(field, text);
                }
            }
            metric.nested(self.kind.field(), |data| {
                data.varint(2, self.kind.temporality());
                data.varint(3, matches!(self.kind, Kind::Sum { .. }).into());
                points(data);
            });
        });
    }
}

/// Appends a number's point to the points of a metric.
pub(crate) fn write_number(
    points: &mut Message,
    kind: Kind,
    attributes: &Attributes,
    (start, time): (u64, u64),
    number: Number,
) {
    points.nested(1, |point| {
        attributes.put(point, OF_NUMBER);
        write_tail(point, kind, (start, time), number);
    });
}

/// Appends how a number's point ends: since when, when, how much. Always
/// [`tail_len`](Kind::tail_len) bytes.
#[inline]
pub(crate) fn write_tail(
    point: &mut Message,
    kind: Kind,
    (start, time): (u64, u64),
    number: Number,
) {
    const START: u8 = 2 << 3 | 1;
    const TIME: u8 = 3 << 3 | 1;
    const AS_DOUBLE: u8 = 4 << 3 | 1;
    const AS_INT: u8 = 6 << 3 | 1;
    let (key, bits) = match number {
        Number::Unsigned(n) if n <= i64::MAX as u64 => (AS_INT, n),
        // An `sfixed64` has no room for it.
        Number::Unsigned(n) => (AS_DOUBLE, (n as f64).to_bits()),
        Number::Signed(n) => (AS_INT, n as u64),
        Number::Float(n) => (AS_DOUBLE, n.to_bits()),
    };
    let mut tail = [0; TAIL_LEN];
    tail[0] = START;
    tail[1..9].copy_from_slice(&start.to_le_bytes());
    tail[9] = TIME;
    tail[10..18].copy_from_slice(&time.to_le_bytes());
    tail[18] = key;
    tail[19..27].copy_from_slice(&bits.to_le_bytes());
    point.append(&tail[TAIL_LEN - kind.tail_len()..]);
}
