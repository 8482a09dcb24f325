//! Discovery in files of Prometheus' file_sd format.
//!
//! Files are read again at each interval, so renames, mounts without change events and two writes
//! within one clock tick are all noticed. An empty, malformed or changing file, or a listed file
//! that is missing, keeps its last targets; a file matched by `*` that disappears removes its
//! targets. A YAML file that ended with a line feed before and no longer does counts as truncated.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::status::Publisher;
use super::{Labels, Problem, Settings, Source};

/// The default interval.
pub(super) const REFRESH: Duration = Duration::from_secs(5);

/// The largest file.
pub(super) const MAX_FILE_BYTES: u64 = 16 << 20;

/// A changed file must be stable for this time.
const SETTLE: Duration = Duration::from_millis(50);

/// The most files that the paths of one source may match.
const MAX_FILES: usize = 10_000;

#[derive(Deserialize)]
struct Group {
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, Scalar>,
}

/// A label's value; YAML reads `port: 80` as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Flag(bool),
    Whole(i64),
    Number(f64),
}

/// The last content of a file.
#[derive(Default)]
struct Known {
    text: String,
    groups: Vec<Labels>,
}

/// The source of a table with `Files`.
pub(super) fn source(settings: &Settings, problems: &mut Vec<Problem>) -> Option<Source> {
    let before = problems.len();
    for file in &settings.files {
        let name = file.rsplit('/').next().unwrap_or_default();
        let ending = name.rsplit('.').next().unwrap_or_default().to_lowercase();
        if !["json", "yml", "yaml"].contains(&ending.as_str()) || !name.contains('.') {
            problems
                .push(Problem::new("Files", format!("{file:?} must end in .json, .yml or .yaml")));
        } else if file.matches('*').count() != name.matches('*').count()
            || name.matches('*').count() > 1
        {
            problems.push(Problem::new(
                "Files",
                format!("{file:?}: one * may stand, after the last slash"),
            ));
        }
    }
    let paths = settings.files.iter().map(PathBuf::from).collect();
    (problems.len() == before).then_some(Source::Files(paths))
}

/// Reads the files every `refresh` until the receiver is dropped.
pub(super) async fn watch(paths: Vec<PathBuf>, refresh: Duration, publisher: Publisher) {
    let mut known = BTreeMap::new();
    let mut first = true;
    loop {
        let scanned = tokio::task::spawn_blocking({
            let paths = paths.clone();
            move || {
                let (changed, errors) = scan(&paths, &mut known);
                (known, changed, errors)
            }
        });
        let Ok((back, changed, errors)) = scanned.await else {
            return; // the runtime is going down
        };
        known = back;
        let error = Some(errors.join("; ")).filter(|_| !errors.is_empty());
        let nothing_known = known.is_empty() && error.is_some();
        if (changed || first) && !nothing_known {
            first = false;
            let found = known.values().flat_map(|file| file.groups.iter().cloned());
            publisher.found_but(found, error.as_deref());
        } else if error.is_none() {
            publisher.unchanged();
        }
        if let Some(error) = error {
            publisher.failed(&error);
        }
        publisher.complete();
        tokio::select! {
            () = publisher.closed() => return,
            () = tokio::time::sleep(refresh) => {}
        }
    }
}

/// Reads all files; returns whether anything changed, and errors.
fn scan(paths: &[PathBuf], known: &mut BTreeMap<PathBuf, Known>) -> (bool, Vec<String>) {
    let mut errors = Vec::new();
    let mut present = Vec::new();
    for path in paths {
        match expand(path) {
            Ok(matched) => present.extend(matched),
            Err(error) => errors.push(format!("{}: {error}", path.display())),
        }
    }
    present.truncate(MAX_FILES);
    let before = known.len();
    if errors.is_empty() {
        known.retain(|path, _| present.contains(path));
    }
    let mut changed = known.len() != before;
    let mut fresh = Vec::new();
    for path in present {
        match read(&path) {
            Ok(text) if known.get(&path).is_some_and(|file| file.text == text) => {}
            Ok(text) => fresh.push((path, text)),
            Err(error) => errors.push(format!("{}: {error}", path.display())),
        }
    }
    if fresh.iter().any(|(path, _)| known.contains_key(path)) {
        std::thread::sleep(SETTLE);
    }
    for (path, text) in fresh {
        match taken(&path, &text, known.get(&path)) {
            Ok(groups) => {
                known.insert(path, Known { text, groups });
                changed = true;
            }
            Err(error) => {
                let kept = known.get(&path).map_or(0, |file| file.groups.len());
                let stay = if kept > 0 {
                    format!("; its last {kept} targets stay")
                } else {
                    String::new()
                };
                errors.push(format!("{error}{stay}"));
            }
        }
    }
    (changed, errors)
}

/// The targets of a changed file; an error while it is being written.
fn taken(path: &Path, text: &str, known: Option<&Known>) -> Result<Vec<Labels>, String> {
    let name = path.display();
    let error = |what: &str| Err(format!("{name}: {what}"));
    let Some(groups) = parse(path, text)? else {
        return error("it is empty: write [] where there are no targets");
    };
    if let Some(known) = known {
        if !read(path).is_ok_and(|again| again == text) {
            return error("it is being written");
        }
        // A truncated YAML file is valid YAML, with fewer targets or a shorter port.
        if known.text.ends_with('\n') && !text.ends_with('\n') && !is_json(path) {
            return error("its last line is cut: end it with a line feed");
        }
    }
    Ok(groups)
}

/// The path, or the files matched by the `*` in its last part.
fn expand(path: &Path) -> io::Result<Vec<PathBuf>> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    let Some((before, after)) = name.split_once('*') else {
        return Ok(vec![path.to_owned()]);
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut matched = Vec::new();
    for entry in folder.read_dir()? {
        let file = entry?.file_name();
        let Some(file) = file.to_str() else { continue };
        let fits = file.len() >= before.len() + after.len()
            && file.starts_with(before)
            && file.ends_with(after);
        if fits && (before.starts_with('.') || !file.starts_with('.')) {
            matched.push(folder.join(file));
        }
    }
    matched.sort();
    Ok(matched)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

/// Parses a file_sd document, JSON if `path` ends in `.json` and YAML otherwise, to the labels of
/// each target.
///
/// `host` and `port` come from the target's `host:port` (default port: the scheme's, 80 or 443),
/// `service` from the label `service` or else `job`.
///
/// # Errors
/// The text is not a list of `{targets, labels}`. The error has file and position.
pub fn parse_groups(path: &Path, text: &str) -> Result<Vec<Labels>, String> {
    Ok(parse(path, text)?.unwrap_or_default())
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"))
}

/// The same; `None` if the document has no list.
fn parse(path: &Path, text: &str) -> Result<Option<Vec<Labels>>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let groups: Option<Vec<Group>> = if is_json(path) {
        serde_json::from_str(text).map_err(|e| format!("{}: {e}", path.display()))?
    } else {
        serde_yaml_ng::from_str(text).map_err(|e| format!("{}: {e}", path.display()))?
    };
    let Some(groups) = groups else { return Ok(None) };
    let mut all = Vec::new();
    for group in groups {
        let mut labels: Labels =
            group.labels.into_iter().map(|(name, value)| (name, value.into_text())).collect();
        if let (Some(job), None) = (labels.get("job"), labels.get("service")) {
            labels.insert("service".to_owned(), job.clone());
        }
        for address in group.targets {
            let mut labels = labels.clone();
            if let Some((host, port)) = split_address(&address, &labels) {
                labels.insert("host".to_owned(), host);
                labels.insert("port".to_owned(), port.to_string());
            }
            labels.insert("address".to_owned(), address);
            all.push(labels);
        }
    }
    Ok(Some(all))
}

/// Host and port of `host:port`, `host`, `[::1]:port`; `None` for anything else.
fn split_address(address: &str, labels: &Labels) -> Option<(String, u16)> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port.strip_prefix(':').or(port.is_empty().then_some("")))
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, Some("")),
        },
    };
    let fits = |c: char| c.is_alphanumeric() || ".-_:".contains(c);
    if host.is_empty() || !host.chars().all(fits) {
        return None;
    }
    let port = match port? {
        "" if address.ends_with(':') => return None,
        "" if labels.get("__scheme__").is_some_and(|s| s == "https") => 443,
        "" => 80,
        port => port.parse().ok()?,
    };
    Some((host.to_owned(), port))
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Scalar::Text(text) => text,
            Scalar::Flag(flag) => flag.to_string(),
            Scalar::Whole(number) => number.to_string(),
            Scalar::Number(number) => number.to_string(),
        }
    }
}
