//! One Python environment for all tests, under the target directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use fs4::FileExt;

/// The directory of an environment that holds `packages` (as pip takes them: `carbon==1.1.10`).
///
/// It is made once for each `name`, and again when the packages change; tests of several
/// binaries that run at one time wait for one another.
///
/// # Panics
/// Without Python 3, its `venv` module or a package index; the text says how to get them.
pub fn python(name: &str, packages: &[&str]) -> PathBuf {
    let target = target();
    let dir = target.join(format!("python-{name}"));
    let lock = File::create(target.join(format!("python-{name}.lock"))).expect("a lock file");
    FileExt::lock(&lock).expect("a lock");
    let wanted = packages.join("\n");
    let made = dir.join("packages.txt");
    if fs::read_to_string(&made).is_ok_and(|found| found == wanted) {
        return dir;
    }
    let _ = fs::remove_dir_all(&dir);
    run(
        Command::new("python3").args(["-m", "venv"]).arg(&dir),
        "these tests need Python 3 with its venv module (Debian: apt-get install python3-venv)",
    );
    run(
        Command::new(dir.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(packages),
        "these tests install packages from PyPI: allow access to it or set PIP_INDEX_URL",
    );
    fs::write(made, wanted).expect("a note of what is installed");
    dir
}

/// The workspace's target directory: tests and benches lie in its `<profile>/deps`.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    test.ancestors().nth(3).map_or_else(|| Path::new("target").to_owned(), Path::to_owned)
}

fn run(command: &mut Command, remedy: &str) {
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            panic!("{remedy}\n{command:?} failed:\n{said}");
        }
        Err(error) => panic!("{remedy}\n{command:?} did not start: {error}"),
    }
}
