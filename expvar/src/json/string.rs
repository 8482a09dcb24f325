//! Strings as Go writes them.

/// Appends a string as Go's `expvar` shows names, keys and texts: quoted, with `"` `\` and controls
/// escaped, and `<` `>` `&` U+2028 U+2029 too, so that the document is safe inside HTML.
pub fn write_string(buffer: &mut Vec<u8>, text: &str) {
    buffer.push(b'"');
    write_escaped(buffer, text);
    buffer.push(b'"');
}

/// Which bytes need a look: controls, `"` `\` `<` `>` `&`, and the first byte of U+2028 and U+2029.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    let named = b"\"\\<>&\xe2";
    let mut at = 0;
    while at < named.len() {
        table[named[at] as usize] = true;
        at += 1;
    }
    table
};

/// Appends the inside of a string.
pub(super) fn write_escaped(buffer: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !SPECIAL[byte as usize] {
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
