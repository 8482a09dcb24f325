//! Protocol Buffers' wire format, as far as writing needs it: heap profiles, Prometheus and OTLP.

/// A message that is being written.
///
/// Fields of a default value take no bytes, as in proto3; the `explicit_` methods write them too,
/// for fields with presence and for members of a `oneof`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message(Vec<u8>);

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;

impl Message {
    /// An integer, a boolean or an enum.
    #[inline]
    pub fn varint(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.explicit_varint(field, value);
        }
    }

    /// The same, also zero.
    #[inline]
    pub fn explicit_varint(&mut self, field: u32, value: u64) {
        self.key(field, VARINT);
        put_varint(&mut self.0, value);
    }

    /// A `sint32` or `sint64`.
    pub fn sint(&mut self, field: u32, value: i64) {
        self.varint(field, zigzag(value));
    }

    /// The same, also zero.
    pub fn explicit_sint(&mut self, field: u32, value: i64) {
        self.explicit_varint(field, zigzag(value));
    }

    /// A `fixed64` or, as two's complement, an `sfixed64`.
    pub fn fixed64(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.explicit_fixed64(field, value);
        }
    }

    /// The same, also zero.
    #[inline]
    pub fn explicit_fixed64(&mut self, field: u32, value: u64) {
        self.key(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A floating-point number.
    pub fn double(&mut self, field: u32, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    /// The same, also zero.
    #[inline]
    pub fn explicit_double(&mut self, field: u32, value: f64) {
        self.explicit_fixed64(field, value.to_bits());
    }

    /// A text, also an empty one.
    #[inline]
    pub fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// Bytes, also none.
    #[inline]
    pub fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, LENGTH_DELIMITED);
        put_varint(&mut self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A message within this one, also an empty one.
    pub fn message(&mut self, field: u32, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// A message within this one that `write` writes in place.
    #[inline]
    pub fn nested<R>(&mut self, field: u32, write: impl FnOnce(&mut Self) -> R) -> R {
        self.key(field, LENGTH_DELIMITED);
        self.delimited(write)
    }

    /// A message after its length, without a field: one of a stream of messages.
    #[inline]
    pub fn delimited<R>(&mut self, write: impl FnOnce(&mut Self) -> R) -> R {
        // The length mostly takes one byte; where it takes more, what was written moves.
        let at = self.0.len();
        self.0.push(0);
        let result = write(self);
        let length = self.0.len() - at - 1;
        if length < 0x80 {
            self.0[at] = length as u8;
        } else {
            self.lengthen(at, length);
        }
        result
    }

    /// Replaces the byte at `at` by a length of several bytes.
    fn lengthen(&mut self, at: usize, length: usize) {
        let end = self.0.len();
        put_varint(&mut self.0, length as u64);
        let bytes = self.0.len() - end;
        self.0.copy_within(at + 1..end, at + bytes);
        let mut rest = length;
        for byte in &mut self.0[at..at + bytes] {
            *byte = rest as u8 | 0x80;
            rest >>= 7;
        }
        self.0[at + bytes - 1] &= 0x7f;
        self.0.truncate(end + bytes - 1);
    }

    /// Integers one after the other, zeros included; nothing where there are none.
    pub fn packed(&mut self, field: u32, values: impl IntoIterator<Item = u64>) {
        self.pack(field, values, put_varint);
    }

    /// The same for `sint32` and `sint64`.
    pub fn packed_sint(&mut self, field: u32, values: impl IntoIterator<Item = i64>) {
        self.pack(field, values, |out, value| put_varint(out, zigzag(value)));
    }

    /// The same for `fixed64`.
    pub fn packed_fixed64(&mut self, field: u32, values: impl IntoIterator<Item = u64>) {
        self.pack(field, values, |out, value| out.extend_from_slice(&value.to_le_bytes()));
    }

    /// The same for floating-point numbers.
    pub fn packed_double(&mut self, field: u32, values: impl IntoIterator<Item = f64>) {
        self.packed_fixed64(field, values.into_iter().map(f64::to_bits));
    }

    fn pack<T>(
        &mut self,
        field: u32,
        values: impl IntoIterator<Item = T>,
        put: impl Fn(&mut Vec<u8>, T),
    ) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_some() {
            self.nested(field, |packed| values.for_each(|value| put(&mut packed.0, value)));
        }
    }

    /// Appends fields that were written elsewhere.
    #[inline]
    pub fn append(&mut self, fields: &[u8]) {
        self.0.extend_from_slice(fields);
    }

    /// What was written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes that is.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes back what was written after the first `len` bytes; keeps the memory.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Makes it the empty message; keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The message.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    #[inline]
    fn key(&mut self, field: u32, wire_type: u64) {
        put_varint(&mut self.0, u64::from(field) << 3 | wire_type);
    }
}

/// Goes on behind what the buffer holds, in its memory.
impl From<Vec<u8>> for Message {
    fn from(buffer: Vec<u8>) -> Self {
        Self(buffer)
    }
}

/// Small numbers of either sign are small.
fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// Seven bits a byte, the lowest first; all but the last have the upper bit.
#[inline]
fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_s_own_examples() {
        let mut message = Message::default();
        message.varint(1, 150);
        message.text(2, "testing");
        assert_eq!(message.into_bytes(), b"\x08\x96\x01\x12\x07testing");
        let mut message = Message::default();
        message.packed(6, [3, 270, 86942]);
        assert_eq!(message.into_bytes(), [0x32, 6, 3, 0x8e, 2, 0x9e, 0xa7, 5]);
        let mut negative = Message::default();
        negative.varint(1, -1_i64 as u64);
        assert_eq!(negative.into_bytes().len(), 11);
        for (value, encoded) in [(0, 0), (-1, 1), (1, 2), (-2, 3), (i64::MIN, u64::MAX)] {
            assert_eq!(zigzag(value), encoded);
        }
    }

    #[test]
    fn defaults_take_no_bytes_unless_they_are_explicit() {
        let mut message = Message::default();
        message.varint(1, 0);
        message.sint(2, 0);
        message.double(3, 0.0);
        message.packed_sint(4, []);
        assert!(message.is_empty());
        message.explicit_varint(1, 0);
        message.explicit_sint(2, -1);
        message.explicit_double(3, 0.0);
        assert_eq!(message.as_bytes(), [8, 0, 16, 1, 25, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn what_is_nested_in_place_is_what_is_nested_by_copy() {
        for length in [0, 1, 127, 128, 129, 16_383, 16_384, 3_000_000] {
            let text = "x".repeat(length);
            let (mut inner, mut copied, mut nested) = <[Message; 3]>::default().into();
            inner.text(1, &text);
            copied.message(7, &inner);
            copied.varint(8, 1);
            nested.nested(7, |inner| inner.text(1, &text));
            nested.varint(8, 1);
            assert!(copied == nested, "{length}");
        }
    }
}
