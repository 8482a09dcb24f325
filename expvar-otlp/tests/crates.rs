//! What a program that has `expvar-http` gets to compile beside `expvar-otlp` itself.

use std::collections::BTreeSet;
use std::process::Command;

/// The crates that a package of this workspace is built of, as cargo says.
fn crates(package: &str) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", package, "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).unwrap();
    text.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect()
}

#[test]
fn it_adds_three_crates_beside_itself() {
    let (http, otlp) = (crates("expvar-http"), crates("expvar-otlp"));
    let added: Vec<_> = otlp.difference(&http).filter(|name| *name != "expvar-otlp").collect();
    assert_eq!(added, ["expvar-push", "try-lock", "want"]);
}
