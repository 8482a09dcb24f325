//! `heap.top`: the functions with the most live memory, as a variable.

use std::sync::Once;
use std::time::{Duration, Instant};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::profile::Site;
use crate::sync::Mutex;
use crate::vars::func::Func;
use crate::vars::info::Info;

/// The number of functions shown.
const SITES: usize = 10;
/// The greatest age of the values: a profile costs some milliseconds, and exporters may read every
/// second.
const AGE: Duration = Duration::from_secs(10);

/// The most characters of a name. Names of generic functions can have thousands, and Graphite
/// stores a name in a file name of at most 255 bytes.
const MAX_NAME: usize = 199;

static LAST: Mutex<Option<(Instant, Top)>> = Mutex::new(None);

/// Publishes the variable, once.
pub(super) fn show() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let help = "Functions whose blocks hold most of the heap, estimated from a sample.";
        let info = Info::new().help(help).label("function");
        // A program that already has a variable of that name keeps it.
        let _ = crate::global().publish_with("heap.top", Func::new(read), info);
    });
}

fn read() -> Top {
    if let Some((at, top)) = &*LAST.lock()
        && at.elapsed() < AGE
    {
        return top.clone();
    }
    let top = Top(shown(super::profile().map(|profile| profile.top(SITES)).unwrap_or_default()));
    // An empty result is not cached: it costs nothing to repeat, and the first functions appear at
    // once.
    if !top.0.is_empty() {
        *LAST.lock() = Some((Instant::now(), top.clone()));
    }
    top
}

/// The functions under names that every exporter accepts; equal names are merged.
fn shown(sites: Vec<Site>) -> Vec<Site> {
    let mut shown: Vec<Site> = Vec::with_capacity(sites.len());
    for site in sites {
        let site = Site { name: short(&site.name), ..site };
        match shown.iter_mut().find(|other| other.name == site.name) {
            Some(same) => {
                same.bytes += site.bytes;
                same.objects += site.objects;
            }
            None => shown.push(site),
        }
    }
    shown
}

/// Shortens the middle of a name longer than [`MAX_NAME`] characters: the crate is at its start,
/// the function at its end.
fn short(name: &str) -> String {
    let len = name.chars().count();
    if len <= MAX_NAME {
        return name.to_owned();
    }
    let half = (MAX_NAME - 1) / 2;
    let (start, end) = (name.chars().take(half), name.chars().skip(len - half));
    start.chain(['…']).chain(end).collect()
}

/// An object of function names, each with `bytes` and `objects`.
#[derive(Clone)]
struct Top(Vec<Site>);

struct Entry<'s>(&'s Site);

impl Serialize for Top {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|site| (&site.name, Entry(site))))
    }
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(Some(2))?;
        fields.serialize_entry("bytes", &self.0.bytes)?;
        fields.serialize_entry("objects", &self.0.objects)?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(short("a::b"), "a::b");
        let long = format!("start::{}::end", "Type<".repeat(100));
        let name = short(&long);
        assert!(name.starts_with("start::Type<") && name.ends_with("<::end"), "{name}");
        assert_eq!(name.chars().count(), 199);
        assert_eq!(short(&"ß".repeat(199)), "ß".repeat(199));
        assert_eq!(short(&"ß".repeat(200)).chars().count(), 199);
    }

    #[test]
    fn names_that_become_one_are_added_up() {
        let site = |middle: &str, bytes| {
            let name = format!("{}{middle}{}", "a".repeat(120), "z".repeat(120));
            Site { name, bytes, objects: 1 }
        };
        let shown = shown(vec![site("x", 5), site("y", 3)]);
        assert_eq!((shown.len(), shown[0].bytes, shown[0].objects), (1, 8, 2));
    }
}
