//! The documents of the workspace name existing files and tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text between backticks, outside code blocks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_path(word: &str) -> bool {
    let known = [".rs", ".toml", ".md", ".py", ".sh", ".yml", ".yaml", ".json", ".conf", "/"];
    word.contains('/')
        && !word.starts_with('/')
        && known.iter().any(|end| word.ends_with(end))
        && !word.contains([' ', '*', ':'])
}

/// A test's name is a sentence.
fn is_test(word: &str) -> bool {
    word.matches('_').count() >= 2
        && word.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
}

#[test]
fn every_file_and_test_that_they_name_is_there() {
    let mut missing = BTreeSet::new();
    let (mut paths, mut tests) = (0, 0);
    let documents =
        ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "SECURITY.md", "contrib/README.md"];
    for document in documents {
        let folder = root().join(document).parent().unwrap().to_owned();
        for line in fs::read_to_string(root().join(document)).unwrap().lines() {
            let mut named = String::new();
            for word in quoted(line) {
                if is_path(word) {
                    paths += 1;
                    let beside = folder.join(word);
                    let path = if beside.exists() { beside } else { root().join(word) };
                    if !path.exists() {
                        missing.insert(format!("{document}: {word}"));
                    }
                    named = fs::read_to_string(path).unwrap_or_default();
                } else if document == "SECURITY.md" && is_test(word) {
                    tests += 1;
                    if !named.contains(&format!("fn {word}(")) {
                        missing.insert(format!("{document}: {word}"));
                    }
                }
            }
        }
    }
    assert_eq!(missing, BTreeSet::new());
    assert!(paths > 60 && tests > 20, "{paths} paths, {tests} tests");
}

/// Links between the documents and folders of the workspace, and to them in the repository.
#[test]
fn every_link_leads_somewhere() {
    let mut dead = BTreeSet::new();
    let pages = [
        "README.md",
        "ARCHITECTURE.md",
        "BENCHMARKS.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "contrib/README.md",
        "docs/memory.md",
        "docs/migrations/go-expvar.md",
        "docs/migrations/metrics-exporter-prometheus.md",
        "docs/migrations/prometheus.md",
        "docs/migrations/samlare.md",
        "samlare/README.md",
    ];
    let repository = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");
    for page in pages {
        let path = root().join(page);
        let text = fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let (base, target) = match target.strip_prefix(repository) {
                Some(target) => (root(), target),
                None => (path.parent().unwrap().to_owned(), target),
            };
            let inside = !target.is_empty() && !target.contains("://");
            if inside && !base.join(target).exists() {
                dead.insert(format!("{page}: {link}"));
            }
        }
    }
    assert_eq!(dead, BTreeSet::new());
}

#[test]
fn the_first_program_is_the_example_quickstart() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let example = fs::read_to_string(root().join("examples/quickstart.rs")).unwrap();
    let (_, shown) = readme.split_once("```rust,no_run\n").unwrap();
    let shown = shown.split("```").next().unwrap();
    assert_eq!(example.split_once("\n\n").unwrap().1, shown);
}
