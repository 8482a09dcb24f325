//! Parses lines of a name and a value, the format of most files in `/proc` and in cgroups.

/// The names and values of a text, in order: `VmRSS:\t  12 kB`, `oom_kill 3`.
pub(crate) fn entries(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let end = line.iter().position(|byte| matches!(byte, b':' | b' ' | b'\t'))?;
        let value = line[end..].trim_ascii_start();
        let value = value.strip_prefix(b":").unwrap_or(value);
        Some((&line[..end], value.trim_ascii()))
    })
}

/// Parses a decimal number; `None` for anything else, or above `i64::MAX`, which JSON readers may
/// not accept.
pub(crate) fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(value).ok()?.parse().ok().filter(|number| *number <= i64::MAX as u64)
}

/// Parses kibibytes, as in `/proc/self/status`, to bytes.
pub(crate) fn kibibytes(value: &[u8]) -> Option<u64> {
    let count = number(value.strip_suffix(b"kB")?.trim_ascii_end())?;
    count.checked_mul(1024).filter(|bytes| *bytes <= i64::MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_separators_are_understood() {
        let text = b"VmRSS:\t    12 kB\noom_kill 3\nName:\ta: b\nlonely\n\nempty:\n";
        let found: Vec<_> = entries(text).collect();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"VmRSS", b"12 kB"), (b"oom_kill", b"3"), (b"Name", b"a: b"), (b"empty", b"")];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_number_is_none() {
        assert_eq!(number(b"9223372036854775807"), Some(i64::MAX as u64));
        for text in [
            "9223372036854775808",
            "99999999999999999999",
            "",
            "-1",
            "+1",
            "1.5",
            "max",
            "1 2",
            "0x1",
            "\u{661}",
        ] {
            assert_eq!(number(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn kibibytes_do_not_overflow() {
        assert_eq!(kibibytes(b"3 kB"), Some(3072));
        assert_eq!(kibibytes(b"9007199254740991 kB"), Some(9_223_372_036_854_774_784));
        assert_eq!(kibibytes(b"9007199254740992 kB"), None);
        assert_eq!(kibibytes(b"9223372036854775807 kB"), None);
        assert_eq!(kibibytes(b"3"), None);
        assert_eq!(kibibytes(b"3 MB"), None);
    }
}
