//! Protocol Buffers' wire format, as far as writing needs it.

/// A message that is being written.
#[derive(Debug, Default)]
pub(crate) struct Message(Vec<u8>);

const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;

impl Message {
    /// An integer, a boolean or an enum; zero, the default, takes no bytes.
    pub(crate) fn varint(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.key(field, VARINT);
            put_varint(&mut self.0, value);
        }
    }

    /// A text, also an empty one.
    pub(crate) fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// A message within this one.
    pub(crate) fn message(&mut self, field: u32, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// Integers one after the other, zeros included.
    pub(crate) fn packed(&mut self, field: u32, values: impl IntoIterator<Item = u64>) {
        let mut bytes = Vec::new();
        values.into_iter().for_each(|value| put_varint(&mut bytes, value));
        self.bytes(field, &bytes);
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, LENGTH_DELIMITED);
        put_varint(&mut self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn key(&mut self, field: u32, wire_type: u64) {
        put_varint(&mut self.0, u64::from(field) << 3 | wire_type);
    }
}

/// Seven bits a byte, the lowest first; all but the last have the upper bit.
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
    }
}
