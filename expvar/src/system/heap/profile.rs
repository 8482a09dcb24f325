//! A heap profile: estimates by stack.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::symbols::{Names, Symbol};
use super::table::{Row, Weighed};
use super::{pprof, text};

/// A heap profile: an estimate of the heap at one moment, or of what changed between two.
///
/// ```
/// // `None` until `heap::start`, and in a program whose allocator is not `alloc::Counting`.
/// if let Some(profile) = expvar::heap::profile() {
///     println!("{}", profile.to_text());
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Profile {
    pub(super) rate: usize,
    pub(super) at: SystemTime,
    /// The time between the two moments of a difference.
    pub(super) duration: Option<Duration>,
    pub(super) stacks: Vec<Counted>,
    pub(super) dropped: u64,
}

/// Estimates for one stack; those of a difference may be negative.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    /// Return addresses, innermost first.
    pub(super) frames: Arc<[usize]>,
    pub(super) live: Estimate,
    pub(super) allocated: Estimate,
}

/// Blocks and bytes, rounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Estimate {
    pub(super) objects: i64,
    pub(super) bytes: i64,
}

impl From<Weighed> for Estimate {
    fn from(weighed: Weighed) -> Self {
        let (objects, bytes) = (weighed.objects.round() as i64, weighed.bytes.round() as i64);
        Self { objects, bytes }
    }
}

impl Estimate {
    fn minus(self, other: Self) -> Self {
        Self { objects: self.objects - other.objects, bytes: self.bytes - other.bytes }
    }
}

/// A function, and the live blocks that it allocated.
///
/// ```
/// if let Some(profile) = expvar::heap::profile() {
///     for site in profile.top(3) {
///         println!("{} holds {} bytes in {} blocks", site.name, site.bytes, site.objects);
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Site {
    /// The innermost function of the program's own. For a stripped program, its offset in its
    /// module: `program+0x1234`.
    pub name: String,
    /// Live bytes, estimated.
    pub bytes: u64,
    /// Live blocks, estimated.
    pub objects: u64,
}

impl Profile {
    pub(super) fn of(rate: usize, rows: Vec<Row>, dropped: u64) -> Self {
        let counted = |(frames, live, allocated): Row| Counted {
            frames,
            live: live.into(),
            allocated: allocated.into(),
        };
        let stacks = rows.into_iter().map(counted).collect();
        Self { rate, at: SystemTime::now(), duration: None, stacks, dropped }
    }

    /// Returns the difference to `earlier`, a profile of the same process. Growth is positive.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before: HashMap<&[usize], &Counted> =
            earlier.stacks.iter().map(|stack| (&*stack.frames, stack)).collect();
        let stacks = self.stacks.iter().map(|now| {
            let mut change = now.clone();
            if let Some(before) = before.get(&*now.frames) {
                change.live = now.live.minus(before.live);
                change.allocated = now.allocated.minus(before.allocated);
            }
            change
        });
        let nothing = Estimate::default();
        Self {
            stacks: stacks.filter(|s| s.live != nothing || s.allocated != nothing).collect(),
            duration: Some(self.at.duration_since(earlier.at).unwrap_or_default()),
            dropped: self.dropped - earlier.dropped.min(self.dropped),
            ..*self
        }
    }

    /// The mean distance between samples in bytes.
    pub fn rate(&self) -> usize {
        self.rate
    }

    /// Live bytes, estimated. For a difference the growth, at least zero.
    pub fn live_bytes(&self) -> u64 {
        let total: i64 = self.stacks.iter().map(|stack| stack.live.bytes).sum();
        total.max(0).unsigned_abs()
    }

    /// Returns the `n` functions with the most live bytes, largest first.
    ///
    /// A block is attributed to the innermost function of its stack that is not the standard
    /// library's or the allocator's. Resolves names, which takes up to a second the first time.
    pub fn top(&self, n: usize) -> Vec<Site> {
        let mut names = Names::new();
        let mut sites: HashMap<String, Estimate> = HashMap::new();
        for stack in self.stacks.iter().filter(|stack| stack.live.bytes > 0) {
            let site = sites.entry(names.site(&stack.frames)).or_default();
            site.objects += stack.live.objects;
            site.bytes += stack.live.bytes;
        }
        let mut sites: Vec<Site> = sites
            .into_iter()
            .map(|(name, live)| Site {
                name,
                bytes: live.bytes.max(0).unsigned_abs(),
                objects: live.objects.max(0).unsigned_abs(),
            })
            .collect();
        sites.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        sites.truncate(n);
        sites
    }

    /// Returns the profile in pprof's protobuf format, not compressed. Readers show the sample type
    /// `default` first.
    ///
    /// Sample types: `alloc_objects`, `alloc_space`, `inuse_objects`, `inuse_space`. Names are
    /// resolved once in a process, for at most 5 s; the rest stay addresses.
    pub fn to_pprof(&self, default: SampleType) -> Vec<u8> {
        pprof::encode(self, default)
    }

    /// Returns the profile as text, in the format of Go's `?debug=1`.
    pub fn to_text(&self) -> String {
        text::write(self)
    }

    /// Calls `f` for each stack with live blocks: its functions, outermost first, and its live bytes
    /// and blocks. Of a difference, for each stack that changed.
    pub fn for_each_stack(&self, mut f: impl FnMut(&[&str], i64, i64)) {
        let mut names = Names::new();
        let nothing = Estimate::default();
        for stack in self.stacks.iter().filter(|stack| stack.live != nothing) {
            let symbols = names.stack(&stack.frames);
            let mut functions: Vec<&str> = symbols.iter().map(Symbol::name).collect();
            functions.reverse();
            f(&functions, stack.live.bytes, stack.live.objects);
        }
    }
}

/// The sample type that readers show first.
///
/// ```
/// use expvar::heap::SampleType;
///
/// if let Some(profile) = expvar::heap::profile() {
///     // For `go tool pprof heap.pb`.
///     let gzipped = profile.to_pprof(SampleType::InuseSpace);
///     println!("{} bytes", gzipped.len());
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SampleType {
    /// Live bytes: `inuse_space`.
    #[default]
    InuseSpace,
    /// Bytes allocated since sampling began: `alloc_space`.
    AllocSpace,
}
