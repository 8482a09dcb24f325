//! Writes Protocol Buffers' wire format, for heap profiles, Prometheus and OTLP.

/// A message being written.
///
/// Fields with the default value take no bytes, as in proto3. The `explicit_` methods write them,
/// for fields with presence and members of a `oneof`.
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

    /// Like `varint`, and writes zero.
    #[inline]
    pub fn explicit_varint(&mut self, field: u32, value: u64) {
        self.key(field, VARINT);
        put_varint(&mut self.0, value);
    }

    /// A `sint32` or `sint64`.
    pub fn sint(&mut self, field: u32, value: i64) {
        self.varint(field, zigzag(value));
    }

    /// Like `sint`, and writes zero.
    pub fn explicit_sint(&mut self, field: u32, value: i64) {
        self.explicit_varint(field, zigzag(value));
    }

    /// A `fixed64` or, as two's complement, an `sfixed64`.
    pub fn fixed64(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.explicit_fixed64(field, value);
        }
    }

    /// Like `fixed64`, and writes zero.
    #[inline]
    pub fn explicit_fixed64(&mut self, field: u32, value: u64) {
        self.key(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A floating-point number.
    pub fn double(&mut self, field: u32, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    /// Like `double`, and writes zero.
    #[inline]
    pub fn explicit_double(&mut self, field: u32, value: f64) {
        self.explicit_fixed64(field, value.to_bits());
    }

    /// A text, even if empty.
    #[inline]
    pub fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// Bytes, even if empty.
    #[inline]
    pub fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.begin(field, bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Begins a text, bytes or a nested message of so many bytes, which are appended next. Unlike
    /// [`nested`](Self::nested), it moves nothing.
    #[inline]
    pub fn begin(&mut self, field: u32, length: usize) {
        self.key(field, LENGTH_DELIMITED);
        put_varint(&mut self.0, length as u64);
    }

    /// A nested message, even if empty.
    pub fn message(&mut self, field: u32, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// A nested message that `write` writes in place.
    #[inline]
    pub fn nested<R>(&mut self, field: u32, write: impl FnOnce(&mut Self) -> R) -> R {
        self.key(field, LENGTH_DELIMITED);
        self.delimited(write)
    }

    /// A message preceded by its length, without a field: one of a stream of messages.
    #[inline]
    pub fn delimited<R>(&mut self, write: impl FnOnce(&mut Self) -> R) -> R {
        // The length usually takes one byte; if it takes more, the content is moved.
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

    /// Replaces the byte at `at` with a length of several bytes.
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

    /// Packed integers, zeros included; nothing if there are none.
    pub fn packed(&mut self, field: u32, values: impl IntoIterator<Item = u64>) {
        self.pack(field, values, put_varint);
    }

    /// Packed `sint32` or `sint64`.
    pub fn packed_sint(&mut self, field: u32, values: impl IntoIterator<Item = i64>) {
        self.pack(field, values, |out, value| put_varint(out, zigzag(value)));
    }

    /// Packed `fixed64`.
    pub fn packed_fixed64(&mut self, field: u32, values: impl IntoIterator<Item = u64>) {
        self.pack(field, values, |out, value| out.extend_from_slice(&value.to_le_bytes()));
    }

    /// Packed floating-point numbers.
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

    /// Appends fields written elsewhere.
    #[inline]
    pub fn append(&mut self, fields: &[u8]) {
        self.0.extend_from_slice(fields);
    }

    /// Appends the first `len` bytes of `fields`. Up to 128 are copied in one or two steps of a fixed
    /// size if `fields` has as many: a call of `memcpy` takes longer.
    ///
    /// # Panics
    /// `fields` has fewer than `len` bytes.
    #[inline]
    pub fn append_first(&mut self, fields: &[u8], len: usize) {
        const STEP: usize = 64;
        let end = self.0.len() + len;
        match fields.first_chunk::<STEP>() {
            Some(chunk) if len <= STEP => self.0.extend_from_slice(chunk),
            _ => match fields.first_chunk::<{ 2 * STEP }>() {
                Some(chunk) if len <= 2 * STEP => self.0.extend_from_slice(chunk),
                _ => self.0.extend_from_slice(&fields[..len]),
            },
        }
        self.0.truncate(end);
    }

    /// The bytes written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The number of bytes written so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Truncates to the first `len` bytes, and keeps the memory.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Empties the message, and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The message as bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    #[inline]
    fn key(&mut self, field: u32, wire_type: u64) {
        put_varint(&mut self.0, u64::from(field) << 3 | wire_type);
    }
}

/// Appends to the buffer, in its memory.
impl From<Vec<u8>> for Message {
    fn from(buffer: Vec<u8>) -> Self {
        Self(buffer)
    }
}

/// Maps small numbers of either sign to small numbers.
fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// Seven bits per byte, lowest first; all but the last byte have the high bit set.
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
    fn the_first_bytes_are_appended_whatever_follows_them() {
        let fields: Vec<u8> = (0..=255).collect();
        for has in [0, 1, 63, 64, 65, 127, 128, 129, 256] {
            for len in (0..=has).filter(|len| len % 7 < 3 || has - len < 2) {
                let mut message = Message::from(b"x".to_vec());
                message.append_first(&fields[..has], len);
                assert_eq!(message.as_bytes(), [b"x", &fields[..len]].concat(), "{len} of {has}");
            }
        }
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
