//! Statics of a dependency are shown, untouched, however the program is linked.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A program whose only use of `leaf` is to name it, and a `leaf` that declares variables.
fn project(dir: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let expvar = format!("expvar = {{ path = {root:?}, default-features = false }}");
    let files = [
        (
            "Cargo.toml",
            format!(
                "[package]\nname = \"app\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
                 [dependencies]\nleaf = {{ path = \"leaf\" }}\n{expvar}\n\n\
                 [profile.release]\nlto = \"fat\"\ncodegen-units = 1\nstrip = true\n\n\
                 [workspace]\nmembers = [\"leaf\"]\n"
            ),
        ),
        (
            "src/main.rs",
            "#![forbid(unsafe_code)]\n\nuse leaf as _;\n\n\
             fn main() {\n    print!(\"{}\", expvar::global().to_json());\n}\n"
                .into(),
        ),
        (
            "leaf/Cargo.toml",
            format!(
                "[package]\nname = \"leaf\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
                 [dependencies]\n{expvar}\n"
            ),
        ),
        (
            "leaf/src/lib.rs",
            "#![forbid(unsafe_code)]\n\nmod inner {\n    expvar::vars! {\n        \
             /// Nobody touches it.\n        \
             pub static HITS: Counter = \"leaf.hits\";\n        \
             static SEEN: Map = \"leaf.seen\";\n    }\n}\n"
                .into(),
        ),
    ];
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            std::fs::write(path, text).unwrap();
        }
    }
    // The same versions as here, which this build has already fetched.
    std::fs::copy(root.join("../Cargo.lock"), dir.join("Cargo.lock")).unwrap();
}

fn output(dir: &Path, profile: &str) -> String {
    let run = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--profile", profile])
        .env("CARGO_TARGET_DIR", dir.join("target"))
        .env_remove("RUSTFLAGS")
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn statics_of_a_dependency_are_shown_untouched_with_and_without_lto() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("linking");
    project(&dir);
    for profile in ["dev", "release"] {
        let document = output(&dir, profile);
        let shown = document.contains("\n\"leaf.hits\": 0,\n\"leaf.seen\": {}\n");
        assert!(shown, "{profile}: {document}");
    }
}
