//! Strings as Go writes them.

/// Appends a string as Go's `expvar` shows names, keys and texts: quoted, with `"` `\` and controls
/// escaped, and `<` `>` `&` U+2028 U+2029 too, so that the document is safe inside HTML.
pub fn write_string(buffer: &mut Vec<u8>, text: &str) {
    buffer.push(b'"');
    write_escaped(buffer, text);
    buffer.push(b'"');
}

/// Whether a byte needs escaping or a closer look: controls, `"` `\` `<` `>` `&`, and the first
/// byte of U+2028 and U+2029.
fn is_special(byte: u8) -> bool {
    matches!(byte, ..0x20 | b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2)
}

/// Whether no byte needs a closer look.
#[inline]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    match bytes.last_chunk() {
        // The last eight bytes overlap the previous ones, which is cheaper than byte by byte.
        Some(last) => bytes.as_chunks().0.iter().all(are_plain) && are_plain(last),
        None => !bytes.iter().any(|&byte| is_special(byte)),
    }
}

/// The same for eight bytes at once.
#[inline]
fn are_plain(bytes: &[u8; 8]) -> bool {
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    /// A word whose bytes have the high bit set if, and only if, they are zero in the argument.
    fn zeros(bytes: u64) -> u64 {
        bytes.wrapping_sub(each(0x01)) & !bytes & each(0x80)
    }
    let bytes = u64::from_ne_bytes(*bytes);
    let controls = zeros(bytes & each(0xe0));
    // Two values that differ in one bit are found together by setting that bit.
    let quote_or_ampersand = zeros((bytes | each(b'"' ^ b'&')) ^ each(b'"' | b'&'));
    let angles = zeros((bytes | each(b'<' ^ b'>')) ^ each(b'<' | b'>'));
    let others = zeros(bytes ^ each(b'\\')) | zeros(bytes ^ each(0xe2));
    controls | quote_or_ampersand | angles | others == 0
}

/// Appends the inside of a string.
#[inline]
pub(crate) fn write_escaped(buffer: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        buffer.extend_from_slice(text.as_bytes());
    } else {
        write_special(buffer, text.as_bytes());
    }
}

fn write_special(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let mut plain = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !is_special(byte) {
            continue;
        }
        let (escape, width): (&[u8], usize) = match byte {
            b'"' => (b"\\\"", 1),
            b'\\' => (b"\\\\", 1),
            b'\n' => (b"\\n", 1),
            b'\r' => (b"\\r", 1),
            b'\t' => (b"\\t", 1),
            0xe2 => match bytes.get(at + 1..at + 3) {
                Some(b"\x80\xa8") => (b"\\u2028", 3),
                Some(b"\x80\xa9") => (b"\\u2029", 3),
                _ => continue,
            },
            _ => (&escape_hex(byte), 1),
        };
        buffer.extend_from_slice(&bytes[plain..at]);
        buffer.extend_from_slice(escape);
        plain = at + width;
    }
    buffer.extend_from_slice(&bytes[plain..]);
}

/// `\u00xx`.
fn escape_hex(byte: u8) -> [u8; 6] {
    let digit = |n: u8| b"0123456789abcdef"[n as usize];
    [b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]
}

#[cfg(test)]
mod tests {
    use super::{is_plain, is_special};

    #[test]
    fn a_special_byte_is_found_wherever_it_is() {
        for byte in 0..=255 {
            for len in 0..20 {
                for at in 0..len {
                    for around in [b'a', b' ', 0x7f, 0x80, 0xff] {
                        let mut bytes = vec![around; len];
                        bytes[at] = byte;
                        assert_eq!(is_plain(&bytes), !is_special(byte), "{bytes:?}");
                    }
                }
            }
        }
    }
}
