//! Heap profiles of programs as they are shipped: that abort on a panic, are stripped, have no build
//! id, or run without `/proc`. What is missing is said, and never a failure.

#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const PROGRAM: &str = r#"
#[global_allocator]
static ALLOC: expvar::alloc::Counting = expvar::alloc::Counting::new();

#[inline(never)]
fn leaks_all_of_it() -> Vec<Vec<u8>> {
    // Its last act is no call, which would take the place of its own frame.
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(std::hint::black_box(vec![1; 100_000]));
    }
    held
}

fn main() {
    expvar::heap::start(1 << 10);
    // What was drawn before the rate was set ends within this.
    drop(std::hint::black_box(vec![1_u8; 1 << 20]));
    let held = std::hint::black_box(leaks_all_of_it());
    let profile = expvar::heap::profile().unwrap();
    let largest = &profile.top(1)[0];
    println!("largest: {} {}", largest.bytes, largest.name);
    print!("{}", profile.to_text());
    let file = std::env::args_os().nth(1).unwrap();
    std::fs::write(file, profile.to_pprof(expvar::heap::SampleType::InuseSpace)).unwrap();
    if std::env::args().nth(2).is_some() {
        std::thread::spawn(|| panic!("as asked")).join().unwrap_err();
    }
    drop(held);
}
"#;

/// The program, built to abort on a panic, with other arguments to the linker where there are some.
fn built(link: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("heap_builds");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(dir.join("src")).unwrap();
    fs::write(dir.join("src/main.rs"), PROGRAM).unwrap();
    let manifest = format!(
        "[package]\nname = \"shipped\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\nexpvar = {{ path = {root:?}, features = [\"heap\"] }}\n\n\
         [profile.release]\npanic = \"abort\"\n\n[workspace]\n"
    );
    fs::write(dir.join("Cargo.toml"), manifest).unwrap();
    // The same versions as here, which this build has already fetched.
    fs::copy(root.join("../Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["rustc", "--quiet", "--offline", "--release"]);
    if !link.is_empty() {
        cargo.args(["--", "-C", &format!("link-arg={link}")]);
    }
    let target = dir.join("target");
    let output =
        cargo.env("CARGO_TARGET_DIR", &target).env_remove("RUSTFLAGS").current_dir(&dir).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("release/shipped")
}

/// A copy of its own, so that tests do not change one another's.
fn copy(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let copied = |from: &Path, name: &str| {
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::copy(from, &to).unwrap();
        to
    };
    copied(BUILT.get_or_init(|| copied(&built(""), "shipped")), name)
}

/// What a run said, and the profile that it wrote.
struct Run {
    said: String,
    profile: Vec<u8>,
}

impl Run {
    fn of(command: &mut Command) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        let output = command.arg(file.path()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        Self { said: text(&output.stdout), profile: fs::read(file.path()).unwrap() }
    }

    /// The bytes of the largest owner, which must be right, and its name.
    fn largest(&self) -> &str {
        let line = self.said.lines().next().unwrap().strip_prefix("largest: ").unwrap();
        let (bytes, name) = line.split_once(' ').unwrap();
        let bytes: u64 = bytes.parse().unwrap();
        assert!((9_900_000..10_100_000).contains(&bytes), "{}", self.said);
        name
    }

    /// Whether a text is among the profile's strings.
    fn has(&self, text: &str) -> bool {
        self.profile.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(program: &str, args: &[&Path]) {
    let Output { status, stderr, .. } = Command::new(program).args(args).output().unwrap();
    assert!(status.success(), "{program}: {}", text(&stderr));
}

const STRIPPED: &str = "addresses have no name: is the program stripped? Keep its symbol table";
const NO_BUILD_ID: &str = "the program has no build id: link it with --build-id";
const NO_PROC: &str = "/proc/self/maps could not be read: no modules";

#[test]
#[ignore = "needs a release build of its own"]
fn a_program_that_aborts_on_a_panic_has_stacks_and_names() {
    let program = copy("shipped-as-it-is");
    let run = Run::of(&mut Command::new(&program));
    assert_eq!(run.largest(), "shipped::leaks_all_of_it");
    assert!(run.said.contains("\tshipped::main\t"), "{}", run.said);
    assert!(run.has("shipped::leaks_all_of_it"));
    for comment in [STRIPPED, NO_BUILD_ID, NO_PROC] {
        assert!(!run.has(comment), "{comment}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let aborted = Command::new(&program).arg(file.path()).arg("panic").output().unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&aborted.status);
    assert_eq!(signal, Some(6), "it aborts: {}", text(&aborted.stderr));
    assert!(text(&aborted.stderr).contains("as asked"));
}

#[test]
#[ignore = "needs a release build of its own, and strip (binutils)"]
fn a_stripped_program_has_modules_and_addresses() {
    let program = copy("shipped-stripped");
    run("strip", &[Path::new("--strip-all"), &program]);
    let run = Run::of(&mut Command::new(&program));
    let again = Run::of(&mut Command::new(&program));
    let name = run.largest();
    assert!(name.starts_with("shipped-stripped+0x"), "{}", run.said);
    assert_eq!(name, again.largest(), "the same place in each run");
    assert!(run.has(STRIPPED) && run.said.contains(STRIPPED), "{}", run.said);
    // With these a reader finds the names elsewhere.
    assert!(run.has(program.to_str().unwrap()));
    assert!(!run.has(NO_BUILD_ID) && !run.has("leaks_all_of_it"));
    // The address is in the function, as the symbols say that were stripped.
    let address = usize::from_str_radix(name.split_once("+0x").unwrap().1, 16).unwrap();
    let segments = Command::new("readelf").args(["-lW"]).arg(&program).output().unwrap();
    let address = virtual_address(&text(&segments.stdout), address);
    let mut symbols = Command::new("addr2line");
    symbols.args(["-f", "-C", "-e"]).arg(copy("shipped-whole")).arg(format!("{:#x}", address - 1));
    let symbols = symbols.output().unwrap();
    let said = text(&symbols.stdout);
    assert!(said.contains("shipped::leaks_all_of_it"), "{name}: {said}");
}

/// Where a place in an ELF file is mapped, by what `readelf -lW` says of its segments.
fn virtual_address(segments: &str, offset: usize) -> usize {
    let hex = |text: &str| usize::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    let loads = segments.lines().filter_map(|line| line.trim().strip_prefix("LOAD "));
    let mut found = loads.filter_map(|line| {
        let fields: Vec<usize> = line.split_whitespace().take(4).map(hex).collect();
        let (start, address, len) = (fields[0], fields[1], fields[3]);
        (start..start + len).contains(&offset).then(|| offset - start + address)
    });
    found.next().expect(segments)
}

#[test]
#[ignore = "needs a release build of its own"]
fn a_program_without_a_build_id_says_so() {
    // Rebuilt, because the others share one path.
    copy("shipped-first");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shipped-no-id");
    fs::copy(built("-Wl,--build-id=none"), &program).unwrap();
    let run = Run::of(&mut Command::new(&program));
    assert_eq!(run.largest(), "shipped::leaks_all_of_it");
    assert!(run.has(NO_BUILD_ID));
    assert!(!run.has(STRIPPED));
}

#[test]
#[ignore = "needs a release build of its own, and user namespaces (unshare)"]
fn a_program_without_proc_says_so() {
    let program = copy("shipped-no-proc");
    let without = "mount -t tmpfs none /proc && exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", without]).arg(&program);
    let run = Run::of(&mut command);
    assert!(run.has(NO_PROC));
    run.largest();
}
