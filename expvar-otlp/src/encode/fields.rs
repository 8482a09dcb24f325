//! Parses the parts of Protocol Buffers' wire format that responses and the conversion to JSON need.

/// One field's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'b> {
    /// Of a `varint` or a fixed width.
    Number(u64),
    Bytes(&'b [u8]),
}

/// The fields of a message. They end where it is damaged.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    pub(crate) fn of(message: &'b [u8]) -> Self {
        Self(message)
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = (u32, Value<'b>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = take_varint(&mut self.0)?;
        let value = match key & 7 {
            0 => Value::Number(take_varint(&mut self.0)?),
            1 => Value::Number(u64::from_le_bytes(*take(&mut self.0)?)),
            2 => {
                let len = usize::try_from(take_varint(&mut self.0)?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(len)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Number(u32::from_le_bytes(*take(&mut self.0)?).into()),
            _ => return None,
        };
        Some((u32::try_from(key >> 3).ok()?, value))
    }
}

/// Takes an integer off the front.
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'b, const N: usize>(bytes: &mut &'b [u8]) -> Option<&'b [u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use expvar::protobuf::Message;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut message = Message::default();
        message.explicit_varint(1, u64::MAX);
        message.text(2, "text");
        message.explicit_double(300, 0.5);
        let fields: Vec<_> = Fields::of(message.as_bytes()).collect();
        let half = Value::Number(0.5_f64.to_bits());
        assert_eq!(fields, [(1, Value::Number(u64::MAX)), (2, Value::Bytes(b"text")), (300, half)]);
    }

    #[test]
    fn damaged_messages_end() {
        for bytes in [&[0x0a_u8, 5, 1][..], &[0x09, 1], &[0x80], &[0x0b], &[0xff; 11]] {
            assert_eq!(Fields::of(bytes).count(), 0, "{bytes:?}");
        }
    }
}
