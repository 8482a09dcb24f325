//! The name rule and the line around it, on any bytes.
#![no_main]

use expvar_carbon::{Lines, NAME_MAX_BYTES, Path, SEGMENT_MAX_BYTES};
use libfuzzer_sys::fuzz_target;

/// Letters and digits of every script stay; no other character may end a line's name.
fn is_safe(c: char) -> bool {
    let is_other = c.is_ascii() || c.is_whitespace() || c.is_control();
    !is_other || c.is_ascii_alphanumeric() || "-_:#.".contains(c)
}

fn check(mut path: Path, name: &str, segments: &[&str]) -> String {
    path.push(name);
    let mark = path.mark();
    let before = (path.as_str().to_owned(), path.problem());
    for segment in segments {
        path.push(segment);
    }
    path.truncate(mark);
    assert_eq!((path.as_str().to_owned(), path.problem()), before);
    assert!(path.as_str().chars().all(is_safe));
    if path.problem().is_none() {
        assert!(path.as_str().len() <= NAME_MAX_BYTES);
        let sound = |s: &str| !s.is_empty() && s.len() <= SEGMENT_MAX_BYTES;
        assert!(path.as_str().split('.').all(sound));
    }
    path.as_str().to_owned()
}

fuzz_target!(|data: (&str, Vec<&str>, f64, u64)| {
    let (name, segments, value, timestamp) = data;
    let path = check(Path::new(), name, &segments);
    assert!(check(Path::ascii(), name, &segments).is_ascii());
    let mut lines = Lines::new();
    let taken = lines.point(name, value, timestamp);
    assert_eq!(taken, lines.points() == 1);
    assert_eq!(lines.refused().total(), u64::from(!taken));
    if taken {
        let line = std::str::from_utf8(lines.as_bytes()).unwrap();
        let fields: Vec<_> = line.trim_end_matches('\n').split(' ').collect();
        assert_eq!(fields[0], path);
        assert_eq!(fields[1].parse::<f64>().unwrap().to_bits(), value.to_bits());
        assert_eq!(fields[2].parse::<u64>().unwrap(), timestamp);
        assert_eq!(fields.len(), 3);
    }
});
