//! `/debug/pprof/`: heap profiles, like Go's `net/http/pprof`.
//!
//! A profile is made on its own thread, because resolving names takes time at first.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use expvar::heap::{self, Profile, SampleType};
use http::StatusCode;
use tokio::sync::oneshot;

use crate::query;
use crate::response::{self, Response};

/// The most profiles being made, and the most requests waiting for their `seconds`.
const MAX_PROFILES: usize = 4;
/// The longest `seconds`.
const MAX_SECONDS: u64 = 300;
/// The most addresses in one request for symbols.
const MAX_ADDRESSES: usize = 4096;
/// The most bytes of a body with addresses.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// How often a waiting thread checks that its client is still connected.
const LOOK: Duration = Duration::from_millis(100);

/// Threads that make a profile, and threads that wait for the end of a difference.
static RUNNING: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// A page below `/debug/pprof`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// `/debug/pprof/`
    Index,
    /// `/debug/pprof/heap`: live memory.
    Heap,
    /// `/debug/pprof/allocs`: the same, with total allocations as the default.
    Allocs,
    /// `/debug/pprof/cmdline`
    Cmdline,
    /// `/debug/pprof/symbol`
    Symbol,
}

impl Page {
    /// The page of a path below `/debug/pprof`.
    pub(crate) fn of_tail(tail: &str) -> Option<Self> {
        match tail {
            "" | "/" => Some(Self::Index),
            "/heap" => Some(Self::Heap),
            "/allocs" => Some(Self::Allocs),
            "/cmdline" => Some(Self::Cmdline),
            "/symbol" => Some(Self::Symbol),
            _ => None,
        }
    }
}

/// The response without the allocator hook.
const NO_HOOK: &str = "no heap profile: the allocator hook is not installed; add to the program\n\
                       #[global_allocator]\n\
                       static ALLOC: expvar::alloc::Counting = expvar::alloc::Counting::new();\n";

const INDEX: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Profiles</title>
<h1>Profiles</h1>
<ul>
<li><a href="heap?debug=1">heap</a>: a sample of the blocks that live. <a href="heap">For go tool pprof</a>.
<li><a href="allocs?debug=1">allocs</a>: a sample of all blocks allocated. <a href="allocs">For go tool pprof</a>.
<li><a href="cmdline">cmdline</a>: the program's arguments, secrets redacted.
</ul>
<p><code>?debug=1</code> answers text, <code>?seconds=N</code> what changed over N seconds.
</html>
"#;

/// Handles a request for a page.
pub(crate) async fn answer(page: Page, query: Option<&str>) -> Response {
    match page {
        Page::Index => response::html(INDEX),
        Page::Cmdline => response::text(expvar::cmdline::read().join("\0")),
        Page::Symbol => symbols(query.unwrap_or_default()).await,
        Page::Heap => profile("heap", SampleType::InuseSpace, query).await,
        Page::Allocs => profile("allocs", SampleType::AllocSpace, query).await,
    }
}

/// The format of a profile.
#[derive(Clone, Copy)]
enum Form {
    Pprof(SampleType),
    Text,
    /// For the live page.
    Stacks,
}

async fn profile(name: &'static str, kind: SampleType, query: Option<&str>) -> Response {
    let form = match (query::flag(query, "debug"), query::flag(query, "stacks")) {
        (true, _) => Form::Text,
        (_, true) => Form::Stacks,
        _ => Form::Pprof(kind),
    };
    let seconds = match query::value(query, "seconds").map(|text| text.parse::<u64>()) {
        None => None,
        Some(Ok(seconds @ 1..=MAX_SECONDS)) => Some(Duration::from_secs(seconds)),
        Some(_) => {
            let why = format!("?seconds takes a whole number from 1 to {MAX_SECONDS}\n");
            return response::plain(StatusCode::BAD_REQUEST, why);
        }
    };
    let Some(place) = Place::take(seconds.is_some()) else { return response::busy() };
    let (sender, receiver) = oneshot::channel();
    let made = thread::Builder::new().name("expvar-pprof".to_owned()).spawn(move || {
        let _place = place;
        let profile = make(seconds, || sender.is_closed());
        // The client may have disconnected.
        let _ = sender.send(profile.map(|profile| write(&profile, form)));
    });
    if made.is_err() {
        return response::no_thread();
    }
    match receiver.await {
        Ok(Some(body)) => match form {
            Form::Pprof(_) => response::download(name, body),
            Form::Text => response::text(body),
            Form::Stacks => response::history(body),
        },
        Ok(None) => response::plain(StatusCode::NOT_FOUND, NO_HOOK),
        Err(_) => response::failed(),
    }
}

/// A profile of now, or of a difference over some seconds. Ends early if the request is abandoned.
fn make(seconds: Option<Duration>, is_given_up: impl Fn() -> bool) -> Option<Profile> {
    let first = heap::profile()?;
    let Some(seconds) = seconds else { return Some(first) };
    let until = Instant::now() + seconds;
    while let left = until.saturating_duration_since(Instant::now())
        && !left.is_zero()
        && !is_given_up()
    {
        thread::sleep(left.min(LOOK));
    }
    Some(heap::profile()?.since(&first))
}

fn write(profile: &Profile, form: Form) -> Vec<u8> {
    match form {
        Form::Text => profile.to_text().into_bytes(),
        Form::Stacks => stacks(profile),
        Form::Pprof(kind) => {
            let bytes = profile.to_pprof(kind);
            let out = Vec::with_capacity(bytes.len() / 2);
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
            // Writing to a Vec cannot fail.
            let _ = encoder.write_all(&bytes);
            encoder.finish().unwrap_or_default()
        }
    }
}

/// The profile as `{"functions":[…],"stacks":[[[function, …], bytes, blocks], …]}`, functions by
/// index, outermost first.
fn stacks(profile: &Profile) -> Vec<u8> {
    let mut places = std::collections::HashMap::<String, usize>::new();
    let mut functions: Vec<String> = Vec::new();
    let mut rows = String::new();
    profile.for_each_stack(|stack, bytes, objects| {
        let separator = if rows.is_empty() { "" } else { "," };
        rows.push_str(separator);
        rows.push_str("[[");
        for (at, &function) in stack.iter().enumerate() {
            let place = *places.entry(function.to_owned()).or_insert_with(|| {
                functions.push(function.to_owned());
                functions.len() - 1
            });
            let separator = if at == 0 { "" } else { "," };
            rows.push_str(&format!("{separator}{place}"));
        }
        rows.push_str(&format!("],{bytes},{objects}]"));
    });
    let mut out = b"{\"functions\":[".to_vec();
    for (at, function) in functions.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        expvar::json::write_string(&mut out, function);
    }
    out.extend_from_slice(
        format!("],\"rate\":{},\"stacks\":[{rows}]}}\n", profile.rate()).as_bytes(),
    );
    out
}

/// Go's response to `symbol?0x1+0x2`, or to the same in the body of a POST: whether there are
/// symbols, and each address with its name. Runs on a thread, because it is slow at first.
pub(crate) async fn symbols(asked: &str) -> Response {
    let addresses: Vec<usize> =
        asked.split('+').filter_map(number).filter(|&n| n != 0).take(MAX_ADDRESSES).collect();
    let mut out = "num_symbols: 1\n".to_owned();
    if addresses.is_empty() {
        return response::text(out);
    }
    let Some(place) = Place::take(false) else { return response::busy() };
    let (sender, receiver) = oneshot::channel();
    let made = thread::Builder::new().name("expvar-pprof".to_owned()).spawn(move || {
        let _place = place;
        for (address, name) in addresses.iter().zip(heap::symbols(&addresses)) {
            if let Some(name) = name {
                out.push_str(&format!("{address:#x} {name}\n"));
            }
        }
        let _ = sender.send(out);
    });
    if made.is_err() {
        return response::no_thread();
    }
    receiver.await.map_or_else(|_| response::failed(), response::text)
}

/// Parses a number like Go's `strconv.ParseUint(text, 0, 64)`, in the formats that Go's tool
/// writes.
fn number(text: &str) -> Option<usize> {
    let text = text.trim_ascii();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => usize::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A slot for a thread, freed on drop.
struct Place(&'static AtomicUsize);

impl Place {
    fn take(waits: bool) -> Option<Self> {
        let running = &RUNNING[usize::from(waits)];
        let more = |running| (running < MAX_PROFILES).then_some(running + 1);
        running.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Self(running))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
