//! Strings as Go writes them.

/// Appends a string as Go's `expvar` shows names, keys and texts: quoted, with `"` `\` and controls
/// escaped, and `<` `>` `&` U+2028 U+2029 too, so that the document is safe inside HTML.
pub fn write_string(buffer: &mut Vec<u8>, text: &str) {
    buffer.push(b'"');
    write_escaped(buffer, text);
    buffer.push(b'"');
}

/// Whether a byte needs a look: controls, `"` `\` `<` `>` `&`, and the first byte of U+2028 and
/// U+2029.
fn is_special(byte: u8) -> bool {
    // Without short circuits, so that a run of bytes is looked at all at once.
    (byte < 0x20)
        | (byte == b'"')
        | (byte == b'\\')
        | (byte == b'<')
        | (byte == b'>')
        | (byte == b'&')
        | (byte == 0xe2)
}

/// Whether none of the bytes needs a look.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    fn all<const N: usize>(bytes: &[u8; N]) -> bool {
        !bytes.iter().fold(false, |any, &byte| any | is_special(byte))
    }
    // The last run overlaps with the one before, which costs less than looking byte by byte.
    if let Some(last) = bytes.last_chunk::<16>() {
        all(last) && bytes.as_chunks::<16>().0.iter().all(all)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        all(first) && all(last)
    } else {
        !bytes.iter().any(|&byte| is_special(byte))
    }
}

/// Appends the inside of a string.
#[inline]
pub(super) fn write_escaped(buffer: &mut Vec<u8>, text: &str) {
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
