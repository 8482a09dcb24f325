//! What the variables of documents are called in Graphite.

#[path = "support/program.rs"]
mod program;

use std::io::Write;

use program::{Service, document, once};

/// The names of a document's points, sorted.
fn names(body: &'static str, settings: &str) -> Vec<String> {
    let service = Service::start(move |_, stream| {
        let _ = stream.write_all(&document(body));
    });
    let url = service.url("/debug/vars");
    let output = once(&format!(
        "Timeout = 20000\n{settings}[[endpoint]]\nURL = \"{url}\"\nPrefix = \"p\"\n"
    ));
    let lines = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<_> =
        lines.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn letters_stay_and_what_must_change_is_told_apart() {
    let body =
        r#"{"Zürich": 1, "東京": 2, "大阪": 3, "a b": 4, "a/b": 5, "a_b": 6, "m": {"x y": 7}}"#;
    assert_eq!(
        names(body, ""),
        [
            "p.Zürich",
            "p.a_b",
            "p.a_b_07f4401c",
            "p.a_b_806c5cd3",
            "p.m.x_y_19fe0dc0",
            "p.大阪",
            "p.東京",
        ]
    );
}

#[test]
fn relays_that_take_only_ascii_get_ascii() {
    let body = r#"{"Zürich": 1, "Zörich": 2, "東京": 3, "大阪": 4, "plain": 5}"#;
    let names = names(body, "AsciiNames = true\n");
    assert_eq!(names.len(), 5);
    assert!(names.iter().all(|name| name.is_ascii()), "{names:?}");
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), 5, "{names:?}");
    assert!(names.contains(&"p.plain".to_owned()));
}
