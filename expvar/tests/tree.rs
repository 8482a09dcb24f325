//! How much a program takes on with this crate.

use std::collections::BTreeSet;
use std::process::Command;

/// The crates of the tree, this one among them.
fn crates(options: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none"])
        .args(["--package", "expvar"])
        .args(options)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("names are text");
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_default_tree_has_at_most_18_crates() {
    let crates = crates(&[]);
    assert!(crates.contains("serde_json"), "{crates:?}");
    assert!(crates.len() <= 18, "{}: {crates:?}", crates.len());
}

#[test]
fn the_smallest_tree_has_at_most_8_crates() {
    let crates = crates(&["--no-default-features"]);
    assert!(crates.contains("expvar"), "{crates:?}");
    assert!(crates.len() <= 8, "{}: {crates:?}", crates.len());
}
