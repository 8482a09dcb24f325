//! Any name, any value, any tag: every line that comes out is one that every server takes.

use expvar_carbon::{Lines, NAME_MAX_BYTES, Number, Path, SEGMENT_MAX_BYTES, Tags};
use proptest::prelude::*;

/// Name, tags, value, timestamp.
type Parsed = (String, Vec<(String, String)>, f64, u64);

/// Reads a line as the strictest of the servers would; says what is wrong with it.
fn parse(line: &str) -> Result<Parsed, &'static str> {
    let fields: Vec<_> = line.split(' ').collect();
    let [series, value, timestamp] = fields[..] else { return Err("not three fields") };
    if line.len() > 16_000
        || line.contains(char::is_whitespace) && line.split_whitespace().count() != 3
    {
        return Err("other whitespace, or too long");
    }
    let mut parts = series.split(';');
    let name = parts.next().unwrap_or_default();
    let word = |c: char| c.is_alphanumeric() || unicode_ident::is_xid_continue(c);
    let safe = |c: char| word(c) || "-_:#.".contains(c);
    if !name.chars().all(safe) || name.len() > NAME_MAX_BYTES {
        return Err("a name of other characters, or too long");
    }
    if name.split('.').any(|s| s.is_empty() || s.len() > SEGMENT_MAX_BYTES) {
        return Err("an empty segment, or one too long");
    }
    let mut tags: Vec<(String, String)> = Vec::new();
    for part in parts {
        let (key, value) = part.split_once('=').ok_or("a tag without =")?;
        if key.is_empty() || value.is_empty() || key.contains(['!', '^']) || value.starts_with('~')
        {
            return Err("a bad tag");
        }
        if key == "name" || tags.last().is_some_and(|(last, _)| last.as_str() >= key) {
            return Err("tags out of order, repeated, or the name's own");
        }
        tags.push((key.into(), value.into()));
    }
    let digits = |c: char| c.is_ascii_digit() || "+-.e".contains(c);
    let number: f64 = value.parse().map_err(|_| "a value that is no number")?;
    if !value.chars().all(digits) || !number.is_finite() {
        return Err("a value in other digits, or not finite");
    }
    let time: u64 = timestamp.parse().map_err(|_| "a timestamp that is no number")?;
    if time == 0 || time > u64::from(u32::MAX) || time.to_string() != timestamp {
        return Err("a timestamp out of range");
    }
    Ok((name.into(), tags, number, time))
}

fn any_number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<u64>().prop_map(Number::Unsigned),
        any::<i64>().prop_map(Number::Signed),
        any::<u64>().prop_map(|bits| Number::Float(f64::from_bits(bits))),
        (-1e6..1e6).prop_map(Number::Float),
    ]
}

fn any_timestamp() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..4u64,
        1_600_000_000..1_900_000_000u64,
        any::<u32>().prop_map(u64::from)
    ]
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,80}",
        "([a-z.;=~\u{0}-\u{20}é]{0,9}\\.){0,600}",
        "s{240,260}"
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn lines_are_sound_whatever_goes_in(
        points in prop::collection::vec((any_name(), any_number(), any_timestamp()), 0..8),
        tags in prop::collection::vec((any_name(), any_name()), 0..4),
    ) {
        // Bad tags are refused at construction; the others stay.
        let tags = tags.iter().fold(Tags::new(), |tags, (key, value)| {
            tags.clone().with(key, value).unwrap_or(tags)
        });
        let mut lines = Lines::tagged(tags.clone());
        let mut taken = Vec::new();
        for (name, value, timestamp) in &points {
            if lines.point(name, *value, *timestamp) {
                taken.push((name, *value, *timestamp));
            }
        }
        prop_assert_eq!(lines.points() as usize, taken.len());
        prop_assert_eq!(lines.refused().total() as usize, points.len() - taken.len());
        let text = std::str::from_utf8(lines.as_bytes()).unwrap();
        prop_assert!(text.is_empty() || text.ends_with('\n'));
        prop_assert_eq!(text.lines().count(), taken.len());
        for (line, (name, value, timestamp)) in text.split_terminator('\n').zip(taken) {
            let parsed = parse(line);
            let (got_name, got_tags, got_value, got_timestamp) =
                parsed.map_err(|why| TestCaseError::fail(format!("{why}: {line:?}")))?;
            let mut path = Path::new();
            path.push(name);
            prop_assert_eq!(&got_name, path.as_str());
            let shown: String = got_tags.iter().map(|(k, v)| format!(";{k}={v}")).collect();
            prop_assert_eq!(shown, tags.as_str());
            prop_assert_eq!(got_timestamp, timestamp);
            match value {
                Number::Unsigned(n) => prop_assert_eq!(got_value, n as f64),
                Number::Signed(n) => prop_assert_eq!(got_value, n as f64),
                Number::Float(f) => prop_assert_eq!(got_value.to_bits(), f.to_bits()),
            }
        }
    }

    #[test]
    fn a_safe_name_is_left_alone_and_the_rule_settles_at_once(name in any_name()) {
        let safe = |text: &str| {
            let mut path = Path::new();
            path.push(text);
            path
        };
        let once = safe(&name);
        let twice = safe(once.as_str());
        prop_assert_eq!(twice.as_str(), once.as_str());
        if once.problem().is_none() {
            prop_assert_eq!(twice.problem(), None);
        }
    }
}
