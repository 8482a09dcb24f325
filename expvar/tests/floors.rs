//! Each floor of the sources imports only from floors below.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of each floor, from the ground up. A module is a file of `src` and the folder of
/// that name.
const FLOORS: [&[&str]; 6] = [
    &["clock", "health", "identity", "json", "number", "prefetch", "protobuf", "sync", "testing"],
    &["cells"],
    &["vars"],
    &["registry"],
    &["read"],
    &["system"],
];

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let all = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    all.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The code of a file, without comments and up to its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines.flat_map(|line| [line, "\n"]).collect();
    code.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned()
}

/// The first names of the paths that begin with `crate::`, also those in braces.
fn imports(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        // `$crate` in a macro is expanded where it is used.
        if code[..at].ends_with(|before| is_name(before) || before == '$') {
            continue;
        }
        let rest = &code[at + path.len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                names.extend(list.split(',').map(first).filter(|name| !name.is_empty()));
            }
            None => names.push(first(rest)),
        }
    }
    names
}

/// The name that a path begins with.
fn first(path: &str) -> &str {
    let path = path.trim_start();
    path.split(|c| !is_name(c)).next().unwrap_or_default()
}

/// The floors of the names that `lib.rs` takes from modules for all of the crate.
fn front_door(lib: &str) -> BTreeMap<String, usize> {
    let mut floors = BTreeMap::new();
    let uses = lib.split(';').filter_map(|item| {
        let at = item.find("use ")?;
        item[at + "use ".len()..].split_once("::")
    });
    for (module, names) in uses {
        let floor = floor_of(module).or_else(|| floors.get(module).copied());
        let names = names.split(['{', '}', ',']).map(str::trim);
        for name in names.filter_map(|name| name.rsplit([' ', ':']).next()) {
            floors.extend(floor.map(|floor| (name.to_owned(), floor)));
        }
    }
    floors
}

#[test]
fn arrows_run_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = code(&src.join("lib.rs"));
    let front_door = front_door(lib.split("mod __private").next().unwrap());
    assert_eq!(front_door.get("Counter"), Some(&2), "{front_door:?}");
    let mut wrong = Vec::new();
    for path in sources(&src).into_iter().filter(|path| !path.ends_with("src/lib.rs")) {
        let file = path.strip_prefix(&src).unwrap();
        let module = file.components().next().unwrap().as_os_str().to_str().unwrap();
        let floor = floor_of(module.trim_end_matches(".rs"));
        let floor = floor.unwrap_or_else(|| panic!("{} is on no floor", file.display()));
        let code = code(&path);
        for name in imports(&code) {
            match floor_of(name).or_else(|| front_door.get(name).copied()) {
                Some(other) if other <= floor => {}
                Some(_) => wrong.push(format!("{} imports {name} from above", file.display())),
                None => wrong.push(format!("{} imports {name} from no floor", file.display())),
            }
        }
        // Within a floor `super` is free; a file of `src` itself reaches everything through it.
        let depth = file.components().count();
        if code.contains(&vec!["super::"; depth].concat()) {
            wrong.push(format!("{} leaves its folder through super", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
