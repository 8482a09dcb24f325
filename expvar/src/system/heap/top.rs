//! `heap.top`: the largest owners of memory as a variable, for exporters that know no profiles.

use std::sync::Once;
use std::time::{Duration, Instant};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::profile::Site;
use crate::sync::Mutex;
use crate::vars::func::Func;
use crate::vars::info::Info;

/// Functions that are shown.
const SITES: usize = 10;
/// How old the figures may be: a profile costs some milliseconds, and exporters read each second.
const AGE: Duration = Duration::from_secs(10);

static LAST: Mutex<Option<(Instant, Top)>> = Mutex::new(None);

/// Shows the variable, once.
pub(super) fn show() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let help = "Functions whose blocks hold most of the heap, estimated from a sample.";
        let info = Info::new().help(help).label("function");
        // A program that has a variable of that name keeps it.
        let _ = crate::global().publish_with("heap.top", Func::new(read), info);
    });
}

fn read() -> Top {
    if let Some((at, top)) = &*LAST.lock()
        && at.elapsed() < AGE
    {
        return top.clone();
    }
    let top = Top(super::profile().map(|profile| profile.top(SITES)).unwrap_or_default());
    // At the start there is nothing to show: to look again costs nothing, and the first owners are
    // seen at once.
    if !top.0.is_empty() {
        *LAST.lock() = Some((Instant::now(), top.clone()));
    }
    top
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
