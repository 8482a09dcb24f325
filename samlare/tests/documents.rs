//! Documents of real producers, and hostile ones, become exactly these points.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use samlare::document::{Number, Points, Problem, Rules, read};
use serde_json::Value;

#[derive(Default)]
struct Collected(Vec<(String, String)>);

impl Points for Collected {
    fn number(&mut self, path: &str, number: Number<'_>) {
        self.0.push((path.to_owned(), number.text().to_owned()));
    }

    fn restart(&mut self) {
        self.0.clear();
    }
}

type Found = Result<Vec<(String, String)>, Problem>;

fn points(document: &[u8], rules: &Rules) -> Found {
    let mut collected = Collected::default();
    let count = read(document, "", rules, &mut collected)?;
    assert_eq!(count, collected.0.len());
    Ok(collected.0)
}

fn lines(document: &str) -> Vec<String> {
    let points = points(document.as_bytes(), &Rules::default()).unwrap();
    points.into_iter().map(|(path, value)| format!("{path} {value}")).collect()
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/producers")
}

/// The same rules on a tree: what the streaming reader must agree with.
fn by_tree(value: &Value, path: &str, rules: (bool, bool), found: &mut BTreeMap<String, f64>) {
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Number(number) => drop(found.insert(path.to_owned(), number.as_f64().unwrap())),
        Value::Bool(on) if rules.0 => drop(found.insert(path.to_owned(), f64::from(u8::from(*on)))),
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| by_tree(value, &join(key), rules, found));
        }
        Value::Array(items) if rules.1 => {
            let items = items.iter().enumerate();
            items
                .for_each(|(index, value)| by_tree(value, &join(&index.to_string()), rules, found));
        }
        _ => {}
    }
}

/// The problem without the key and the token that it names.
fn bare(mut problem: Problem) -> Problem {
    if let Problem::Syntax { key, .. } | Problem::Truncated { key } = &mut problem {
        key.clear();
    }
    if let Problem::Syntax { found, .. } = &mut problem {
        found.clear();
    }
    problem
}

fn agrees_with_tree(document: &[u8], name: &str) {
    let tree: Value = serde_json::from_slice(document).unwrap();
    for booleans in [false, true] {
        for arrays in [false, true] {
            let mut rules = Rules::default();
            rules.booleans = booleans;
            rules.arrays = arrays;
            let mut expected = BTreeMap::new();
            by_tree(&tree, "", (booleans, arrays), &mut expected);
            let found =
                points(document, &rules).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            let found: BTreeMap<String, f64> =
                found.into_iter().map(|(path, text)| (path, text.parse().unwrap())).collect();
            assert!(found.keys().eq(expected.keys()), "{name}: {found:?} {expected:?}");
            for (path, value) in found {
                assert_eq!(value, expected[&path], "{name}: {path}");
            }
        }
    }
}

#[test]
fn every_producer_is_read_as_a_tree_would_be() {
    let (mut seen, mut quoted_as_go) = (0, 0);
    for entry in fs::read_dir(data()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => fs::read(&path).unwrap(),
            Some("http") if !name.contains("badregexp") => {
                let whole = fs::read(&path).unwrap();
                let head = whole.windows(4).position(|window| window == b"\r\n\r\n");
                let head = head.map(|at| at + 4).or_else(|| {
                    whole.windows(2).position(|window| window == b"\n\n").map(|at| at + 2)
                });
                whole[head.unwrap()..].to_vec()
            }
            _ => continue,
        };
        // Three of the Go producers quote keys as Go source, not as JSON.
        let odd = String::from_utf8(bytes).unwrap();
        let json = odd.replace("odd\\x01key", "odd\\u0001key");
        if odd != json {
            let refused = points(odd.as_bytes(), &Rules::default());
            assert!(
                matches!(refused, Err(Problem::Syntax { expected: "an escape", .. })),
                "{name}"
            );
            quoted_as_go += 1;
        }
        agrees_with_tree(json.as_bytes(), &name);
        seen += 1;
    }
    assert_eq!((seen, quoted_as_go), (16, 3));
}

#[test]
fn hostile_documents_are_refused_or_read_exactly() {
    let syntax = |offset, expected| {
        let (key, found) = (String::new(), String::new());
        Err(Problem::Syntax { offset, expected, key, found })
    };
    let ok = |expected: &[(&str, &str)]| {
        Ok(expected.iter().map(|(path, value)| (path.to_string(), value.to_string())).collect())
    };
    let cases: BTreeMap<&str, Found> = BTreeMap::from([
        (
            "big-int",
            ok(&[
                ("i64", "9223372036854775807"),
                ("u64", "18446744073709551615"),
                ("i128", "170141183460469231731687303715884105727"),
            ]),
        ),
        ("comment", syntax(8, "a comma or a closing brace")),
        ("dup-keys", ok(&[("a", "2"), ("m.y", "2")])),
        ("empty-go", ok(&[])),
        ("empty-object", ok(&[])),
        ("go-string-panic", syntax(9, "a value")),
        (
            "graphite-hostile-keys",
            ok(&[
                ("a b", "1"),
                ("a.b", "2"),
                ("a/b", "3"),
                ("a;b=c", "4"),
                ("a\nb", "5"),
                ("a\tb", "6"),
                ("a(b)", "7"),
                ("a*", "8"),
                ("{a}", "9"),
                ("..", "10"),
                ("a..b", "11"),
                ("a:b", "12"),
                ("\"q\"", "13"),
            ]),
        ),
        ("html-error-page", syntax(0, "a value")),
        ("invalid-utf8", ok(&[("k\u{fffd}", "1")])),
        ("leading-zero", syntax(7, "a comma or a closing brace")),
        ("minus-inf", syntax(8, "a digit")),
        ("mixed", ok(&[("i", "1"), ("d", "1.5")])),
        ("nested-arrays", ok(&[])),
        ("numeric-strings", ok(&[])),
        ("plus-inf", syntax(7, "a value")),
        ("python-nan", syntax(6, "a value")),
        ("raw-newline-in-string", syntax(3, "no control character in a string")),
        ("tiny-float", ok(&[("a", "1e-400"), ("b", "5e-324")])),
        ("top-null", Err(Problem::NotAnObject("null"))),
        ("trailing-comma", syntax(8, "a string")),
        ("truncated", Err(Problem::Truncated { key: String::new() })),
        ("unicode-keys", ok(&[("héllo", "1"), ("日本.語", "2"), ("😀", "3"), ("e\u{301}", "4")])),
    ]);
    let mut names: Vec<String> = fs::read_dir(data().join("adversarial"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, cases.keys().copied().collect::<Vec<_>>(), "a document without its case");
    for (name, expected) in cases {
        let document = fs::read(data().join(format!("adversarial/{name}.json"))).unwrap();
        assert_eq!(points(&document, &Rules::default()).map_err(bare), expected, "{name}");
    }
}

#[test]
fn depth_and_number_of_numbers_are_bounded() {
    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert_eq!(points(nested(128).as_bytes(), &Rules::default()).unwrap().len(), 1);
    let too_deep = Err(Problem::TooDeep(128));
    assert_eq!(points(nested(129).as_bytes(), &Rules::default()), too_deep);
    assert_eq!(points(nested(10_000).as_bytes(), &Rules::default()), too_deep);
    let arrays = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(points(arrays.as_bytes(), &Rules::default()), too_deep);
    assert_eq!(
        points("[".repeat(100_000).as_bytes(), &Rules::default()),
        Err(Problem::NotAnObject("an array"))
    );
    let mut ignoring = Rules::default();
    ignoring.ignore("a");
    assert_eq!(points(nested(10_000).as_bytes(), &ignoring), too_deep);

    let wide = |numbers: usize| {
        let members: Vec<String> = (0..numbers).map(|at| format!("\"k{at:06}\": {at}")).collect();
        format!("{{{}}}", members.join(", "))
    };
    assert_eq!(points(wide(100_000).as_bytes(), &Rules::default()).unwrap().len(), 100_000);
    assert_eq!(
        points(wide(100_001).as_bytes(), &Rules::default()),
        Err(Problem::TooManyNumbers(100_000))
    );

    let long = format!("{{\"{}\": 1}}", "k".repeat(70_000));
    assert_eq!(points(long.as_bytes(), &Rules::default()).unwrap()[0].0.len(), 70_000);
}

#[test]
fn of_a_key_given_twice_the_last_counts_in_its_own_object_only() {
    assert_eq!(
        lines(r#"{"a": {"x": 1}, "b": {"x": 2}, "a": {"y": {"x": 3, "x": 4}}}"#),
        ["b.x 2", "a.y.x 4"]
    );
    assert_eq!(lines(r#"{"a": 1, "\u0061": 2, "a": {"k": 3}}"#), ["a.k 3"]);
    assert_eq!(lines(r#"{"a": 1, "a": null}"#), [""; 0]);
}

#[test]
fn escapes_are_those_of_json() {
    assert_eq!(
        lines(r#"{"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00": 1}"#),
        ["\"\\/\u{8}\u{c}\n\r\té😀 1"]
    );
    assert_eq!(lines(r#"{"\ud83dx\ude00\ud83d\u0041": 1}"#), ["\u{fffd}x\u{fffd}\u{fffd}A 1"]);
    for bad in [r#"{"\x": 1}"#, r#"{"\u00g0": 1}"#, r#"{"\u12": 1}"#] {
        assert!(points(bad.as_bytes(), &Rules::default()).is_err(), "{bad}");
    }
}

#[test]
fn rules_match_bare_keys_at_every_level() {
    let mut rules = Rules::default();
    rules.ignore("out");
    rules.rename("Sys", "sys");
    rules.rename("out", "in");
    let found = points(br#"{"Sys": 1, "m": {"out": 2, "Sys": 3}, "out": {"Sys": 4}}"#, &rules);
    assert_eq!(found.unwrap(), [("sys".into(), "1".into()), ("m.sys".into(), "3".into())]);
}

/// JSON values of every kind, with keys that repeat, hold dots, or need escapes.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

#[test]
fn a_problem_names_the_key_and_the_token() {
    for (document, said) in [
        (r#"{"a": {"b": nul}}"#, r#"not JSON: expected a value at byte 12, not "nul", in "a.b""#),
        (
            r#"{"a": {"b": 1 "c": 2}}"#,
            r#"not JSON: expected a comma or a closing brace at byte 14, not "\"", in "a""#,
        ),
        (r#"{"x": NaN}"#, r#"not JSON: expected a value at byte 6, not "NaN", in "x""#),
        (r#"{"a": {"b": "c"#, r#"not JSON: the document ends too early, in "a.b""#),
        ("<html>", r#"not JSON: expected a value at byte 0, not "<""#),
    ] {
        let problem =
            read(document.as_bytes(), "apps.one", &Rules::default(), &mut Collected::default());
        assert_eq!(problem.unwrap_err().to_string(), said);
    }
}

#[test]
fn the_smallest_numbers_are_read_exactly() {
    agrees_with_tree(br#"{"a": [-2.28165327827429e-309], "b": -2.28165327827429e-309}"#, "tiny");
}

proptest! {
    #[test]
    fn any_object_is_read_as_a_tree_would_be(members in prop::collection::btree_map(
        "[^.]{1,5}", json(), 0..8,
    )) {
        let object: Value = members.into_iter().collect();
        agrees_with_tree(object.to_string().as_bytes(), "compact");
        agrees_with_tree(serde_json::to_string_pretty(&object).unwrap().as_bytes(), "spaced");
    }

    #[test]
    fn whatever_the_bytes_they_are_json_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let _ = points(&bytes, &Rules::default());
    }

    /// Damage at one place: accepted exactly when a tree reader accepts it.
    #[test]
    fn a_damaged_document_is_accepted_only_where_a_tree_accepts_it(
        at in 0usize..200, byte in prop::sample::select(b"{}[]\",:0-+.eE \\nulltruefas\n/".to_vec()),
    ) {
        let mut document =
            br#"{"a": -1.5e+3, "b": {"c": [true, false, null, "\u00e9\n"], "d": 10}, "e": {}}"#.to_vec();
        let at = at % document.len();
        document[at] = byte;
        let tree = serde_json::from_slice::<Value>(&document);
        let found = points(&document, &Rules::default());
        prop_assert_eq!(found.is_ok(), tree.is_ok_and(|tree| tree.is_object()));
    }
}
