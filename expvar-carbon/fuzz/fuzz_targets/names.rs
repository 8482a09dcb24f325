//! The name rule and the line around it, on any bytes; `Cargo.toml` says how to run it.
#![no_main]

use expvar_carbon::{Lines, NAME_MAX_BYTES, Path, SEGMENT_MAX_BYTES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (&str, Vec<&str>, f64, u64)| {
    let (name, segments, value, timestamp) = data;
    let mut path = Path::new();
    path.push(name);
    let mark = path.mark();
    let before = (path.as_str().to_owned(), path.problem());
    for segment in &segments {
        path.push(segment);
    }
    path.truncate(mark);
    assert_eq!((path.as_str().to_owned(), path.problem()), before);
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_:#.".contains(c);
    assert!(path.as_str().chars().all(safe));
    if path.problem().is_none() {
        assert!(path.as_str().len() <= NAME_MAX_BYTES);
        let sound = |s: &str| !s.is_empty() && s.len() <= SEGMENT_MAX_BYTES;
        assert!(path.as_str().split('.').all(sound));
    }
    let mut lines = Lines::new();
    let taken = lines.point(name, value, timestamp);
    assert_eq!(taken, lines.points() == 1);
    assert_eq!(lines.refused().total(), u64::from(!taken));
    if taken {
        let line = std::str::from_utf8(lines.as_bytes()).unwrap();
        let fields: Vec<_> = line.trim_end_matches('\n').split(' ').collect();
        assert_eq!(fields[0], path.as_str());
        assert_eq!(fields[1].parse::<f64>().unwrap().to_bits(), value.to_bits());
        assert_eq!(fields[2].parse::<u64>().unwrap(), timestamp);
        assert_eq!(fields.len(), 3);
    }
});
