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
    write(dir, &files);
}

fn write(dir: &Path, files: &[(&str, String)]) {
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if std::fs::read_to_string(&path).ok().as_ref() != Some(text) {
            std::fs::write(path, text).unwrap();
        }
    }
    // The same versions as here, which this build has already fetched.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(root.join("../Cargo.lock"), dir.join("Cargo.lock")).unwrap();
}

fn cargo(dir: &Path, arguments: &[&str], flags: &str) -> String {
    let run = Command::new(env!("CARGO"))
        .args(["--quiet", "--offline"])
        .args(arguments)
        .env("CARGO_TARGET_DIR", dir.join("target"))
        .env("RUSTFLAGS", flags)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

fn output(dir: &Path, profile: &str) -> String {
    cargo(dir, &["run", "--profile", profile], "")
}

#[test]
#[ignore = "slow: builds programs"]
fn statics_of_a_dependency_are_shown_untouched_with_and_without_lto() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("linking");
    project(&dir);
    for profile in ["dev", "release"] {
        let document = output(&dir, profile);
        let shown = document.contains("\n\"leaf.hits\": 0,\n\"leaf.seen\": {}\n");
        assert!(shown, "{profile}: {document}");
    }
}

/// A package of a workspace that depends on others of it.
fn package(name: &str, kind: &str, dependencies: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n{kind}\n\
         [dependencies]\n{dependencies}\n"
    )
}

/// The dependency on this crate.
fn expvar() -> String {
    format!("expvar = {{ path = {:?}, default-features = false }}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_recording_before_main_hides_no_static() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("early");
    let main = "use leaf as _;\n\n\
         expvar::vars! {\n    static EARLY: Counter = \"early.hits\";\n    \
         static LATE: Counter = \"late.hits\";\n}\n\n\
         // What an initializer before main does: it counts.\n\
         ctor::declarative::ctor! { #[ctor(unsafe)] fn early() { EARLY.inc(); } }\n\n\
         fn main() {\n    leaf::LEAF.add(2);\n    LATE.add(3);\n    \
         print!(\"{}\", expvar::global().to_json());\n}\n";
    let leaf = "expvar::vars! {\n    pub static LEAF: Counter = \"leaf.hits\";\n}\n";
    let app =
        package("app", "", &format!("{}\nctor = \"1\"\nleaf = {{ path = \"leaf\" }}", expvar()));
    write(
        &dir,
        &[
            ("Cargo.toml", format!("{app}\n[workspace]\nmembers = [\"leaf\"]\n")),
            ("src/main.rs", main.into()),
            ("leaf/Cargo.toml", package("leaf", "", &expvar())),
            ("leaf/src/lib.rs", leaf.into()),
        ],
    );
    let document = cargo(&dir, &["run"], "");
    for shown in ["\"early.hits\": 1", "\"late.hits\": 3", "\"leaf.hits\": 2"] {
        assert!(document.contains(shown), "{shown} in {document}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn statics_of_a_library_appear_when_it_is_loaded() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("plugin");
    // The one copy of the crate that the program and its plugin share.
    let shared = "pub use expvar;\n";
    let plugin = "use shared::expvar;\n\n\
         expvar::vars! {\n    static HITS: Counter = \"plugin.hits\";\n}\n\n\
         #[unsafe(no_mangle)]\npub extern \"C\" fn hit() {\n    HITS.inc();\n}\n";
    let main = "use std::ffi::CString;\n\nuse shared::expvar;\n\n\
         fn main() {\n    \
         let registry = expvar::global().clone();\n    \
         assert!(registry.get(\"plugin.hits\").is_none());\n    \
         let path = CString::new(std::env::args().nth(1).unwrap()).unwrap();\n    \
         unsafe {\n        \
         let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);\n        \
         assert!(!library.is_null());\n        \
         println!(\"{}\", registry.get(\"plugin.hits\").unwrap());\n        \
         let hit = libc::dlsym(library, c\"hit\".as_ptr());\n        \
         let hit: extern \"C\" fn() = std::mem::transmute(hit);\n        \
         hit();\n    }\n    \
         print!(\"{}\", registry.to_json());\n}\n";
    let library = "[lib]\ncrate-type = [\"dylib\"]\n";
    let shared_here = "shared = { path = \"../shared\" }";
    write(
        &dir,
        &[
            (
                "Cargo.toml",
                "[workspace]\nresolver = \"3\"\nmembers = [\"app\", \"shared\", \"plugin\"]\n"
                    .into(),
            ),
            ("app/Cargo.toml", package("app", "", &format!("{shared_here}\nlibc = \"0.2\""))),
            ("app/src/main.rs", main.into()),
            ("shared/Cargo.toml", package("shared", library, &expvar())),
            ("shared/src/lib.rs", shared.into()),
            ("plugin/Cargo.toml", package("plugin", library, shared_here)),
            ("plugin/src/lib.rs", plugin.into()),
        ],
    );
    cargo(&dir, &["build", "--workspace"], "-C prefer-dynamic");
    let path = dir.join("target/debug/libplugin.so");
    let run = ["run", "--package", "app", "--", path.to_str().unwrap()];
    let printed = cargo(&dir, &run, "-C prefer-dynamic");
    assert!(printed.starts_with("0\n{\n"), "{printed}");
    assert!(printed.contains("\n\"plugin.hits\": 1\n"), "{printed}");
}
