//! Sanitizes foreign text for a terminal.

use unicode_width::UnicodeWidthChar;

/// The longest name that is kept, in bytes.
pub(super) const MAX_NAME_BYTES: usize = 512;
/// The longest text value that is kept, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 1024;

/// Replaces characters that must not reach a terminal.
const STAND_IN: char = '?';

/// Appends `text` without anything that could control a terminal or reorder its content: each
/// control, bidirectional, invisible or private character becomes a question mark, which is one
/// column wide.
pub(super) fn push_harmless(text: &str, out: &mut String) {
    out.extend(text.chars().map(|c| if is_harmless(c) { c } else { STAND_IN }));
}

/// `text`, as [`push_harmless`] makes it.
pub(super) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_harmless(text, &mut out);
    out
}

fn is_harmless(c: char) -> bool {
    match c {
        ' '..='~' => true,
        // Soft hyphen; Arabic letter mark and its like; zero width, marks and
        // embeddings; isolates; interlinear; tags; byte order mark.
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{2000}'..='\u{200f}'
        | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}'
        | '\u{3000}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{e000}'..='\u{f8ff}'
        | '\u{e0000}'..='\u{10ffff}' => false,
        c => !c.is_control() && matches!(c.width(), Some(1 | 2)),
    }
}

/// A name of bounded length: a longer one is truncated and marked with a hash, so that names stay
/// distinct.
pub(super) fn bounded_name(name: &str) -> std::borrow::Cow<'_, str> {
    if name.len() <= MAX_NAME_BYTES {
        return name.into();
    }
    let hash = xxhash_rust::xxh64::xxh64(name.as_bytes(), 0);
    format!("{}…{hash:016x}", cut(name, MAX_NAME_BYTES - 20)).into()
}

/// At most `bytes` of the text's beginning.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let mut end = bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The width of a sanitized text in columns.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// A sanitized text in lines of at most `width` columns.
pub(super) fn lines(text: &str, width: usize) -> Vec<&str> {
    let (mut lines, mut start, mut used) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        let wide = c.width().unwrap_or(0);
        if used + wide > width && at > start {
            lines.push(&text[start..at]);
            (start, used) = (at, 0);
        }
        used += wide;
    }
    lines.push(&text[start..]);
    lines
}

/// The end of a sanitized text, in at most `width` columns: the last part of a dotted name says
/// most.
pub(super) fn tail(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        let wide = c.width().unwrap_or(0);
        if wide > left {
            break;
        }
        left -= wide;
        start = at;
    }
    // Whole parts of a dotted name, if at least a third remains.
    if let Some(dot) = text[start..].find('.').filter(|&dot| 3 * dot <= 2 * (text.len() - start)) {
        start += dot + 1;
    }
    if width == 0 { String::new() } else { format!("…{}", &text[start..]) }
}

/// Shortens names to `width` columns so that they differ: at the beginning, or in the middle if two
/// would end alike.
pub(super) fn distinct(names: &[String], width: usize) -> Vec<String> {
    let cuts: [fn(&str, usize) -> String; 2] = [parent, middle];
    let mut shown: Vec<String> = names.iter().map(|name| tail(name, width)).collect();
    for cut in cuts {
        let mut counts = std::collections::HashMap::new();
        for name in &shown {
            *counts.entry(name.clone()).or_insert(0) += 1;
        }
        for (name, shown) in names.iter().zip(&mut shown) {
            if counts.get(shown).is_some_and(|&count| count > 1) {
                *shown = cut(name, width);
            }
        }
    }
    shown
}

/// The last part of a dotted name and the beginning of its parent: `…late….p99`.
fn parent(name: &str, width: usize) -> String {
    let Some((above, last)) = name.rsplit_once('.') else { return middle(name, width) };
    let above = above.rsplit('.').next().unwrap_or(above);
    let room = width.saturating_sub(columns(last) + 2);
    if room < 2 {
        return middle(name, width);
    }
    format!("…{}.{last}", head(above, room))
}

/// The beginning and the end of a name.
fn middle(name: &str, width: usize) -> String {
    if columns(name) <= width || width < 3 {
        return tail(name, width);
    }
    let front = (width - 1) / 2;
    let mut left = width - 1 - front;
    let mut start = name.len();
    for (at, c) in name.char_indices().rev() {
        let wide = c.width().unwrap_or(0);
        if wide > left {
            break;
        }
        left -= wide;
        start = at;
    }
    // Only one ellipsis.
    format!("{}{}", head(name, front + 1), &name[start..])
}

/// The beginning of a sanitized text, in at most `width` columns.
pub(super) fn head(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut shown = String::new();
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if wide > left {
            break;
        }
        left -= wide;
        shown.push(c);
    }
    if width > 0 {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal() {
        for (hostile, shown) in [
            ("\x1b[2J\x07bell", "?[2J?bell"),
            ("a\u{202e}b\u{200f}\u{2066}", "a?b??"),
            ("tab\tline\nfeed\r", "tab?line?feed?"),
            ("\u{9b}31m\u{7f}", "?31m?"),
            ("zero\u{200b}width e\u{301}", "zero?width e?"),
            ("<script>é漢😀", "<script>é漢😀"),
            ("\u{e0041}\u{f8ff}", "??"),
        ] {
            assert_eq!(harmless(hostile), shown);
        }
        for c in '\0'..=char::MAX {
            let shown = harmless(c.encode_utf8(&mut [0; 4]));
            assert!((1..=2).contains(&columns(&shown)), "{c:?}");
            assert!(!shown.contains(|c: char| c.is_control()), "{c:?}");
        }
    }

    #[test]
    fn names_of_a_list_differ() {
        let cut = |names: &[&str], width| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            distinct(&names, width)
        };
        assert_eq!(cut(&["db.latency.p99", "db.put.p99"], 10), ["…p99", "db.put.p99"]);
        assert_eq!(cut(&["a.get_time.p99", "a.put_time.p99"], 10), ["…get_….p99", "…put_….p99"]);
        assert_eq!(cut(&["memstats.HeapAlloc", "hits"], 10), ["…HeapAlloc", "hits"]);
        assert_eq!(
            cut(&["first_of_all_of_the_names", "later_of_all_of_the_names"], 12),
            ["first…_names", "later…_names"]
        );
        for width in 0..30 {
            for name in cut(&["漢字.漢字漢字.p99", "漢字.漢字漢語.p99", "plain", ""], width)
            {
                assert!(columns(&name) <= width, "{name:?} in {width}");
            }
        }
    }

    #[test]
    fn names_are_cut_to_fit_and_stay_apart() {
        let (a, b) = ("x".repeat(10_000), "x".repeat(10_001));
        assert!(bounded_name(&a).len() <= MAX_NAME_BYTES);
        assert_ne!(bounded_name(&a), bounded_name(&b));
        assert_eq!(tail("memstats.HeapAlloc", 10), "…HeapAlloc");
        assert_eq!(tail("memstats.Sys", 10), "…Sys");
        assert_eq!(tail("short", 10), "short");
        assert_eq!(tail("漢漢漢", 4), "…漢");
        assert_eq!(head("cannot connect", 7), "cannot…");
        assert_eq!(head("漢漢漢", 4), "漢…");
        assert_eq!((tail("abc", 0), head("abc", 0)), (String::new(), String::new()));
        assert_eq!(cut("é", 1), "");
    }
}
