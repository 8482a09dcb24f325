//! Variables that a service shows: counters, gauges, histograms, texts, maps and functions.
//!
//! Recording costs about a nanosecond, allocates nothing and never waits: each thread adds to
//! cells of its own. Reading is one walk over a [`Registry`], and every exporter is a [`Visitor`]
//! of that walk: the JSON here, which is what Go's `expvar` answers at `/debug/vars`, byte for
//! byte; HTTP, Prometheus text and a live page in `expvar-http`; Graphite in `expvar-carbon`.
//!
//! ```
//! expvar::vars! {
//!     /// Requests answered.
//!     static REQUESTS: Counter = "requests";
//!     /// Requests by route.
//!     static ROUTES: Map = "routes", label: "route", counter;
//! }
//!
//! REQUESTS.inc();
//! ROUTES.add("/login", 1);
//! let document = expvar::global().to_json();
//! assert!(document.contains("\"requests\": 1,\n\"routes\": {\"/login\": 1}"));
//! ```
//!
//! # Contents
//! - Variables: [`Counter`], [`Gauge`], [`FloatGauge`], [`Text`], [`Histogram`], [`Map`], [`Func`].
//! - Labels: [`Map`] for open sets of keys, [`Family`] with [`label!`] for closed ones.
//! - Names: [`vars!`] declares statics, [`publish`] and [`Registry`] name what is made at run time,
//!   [`Info`] and [`Unit`] say what it means.
//! - Groups: [`group!`] declares variables that a pool or a cache owns, published for each.
//! - Reading: [`Registry::to_json`], [`Registry::visit`] with a [`Visitor`], [`visit_json`] for
//!   documents of others, [`json`] to write some.
//! - The program itself: [`memstats`], [`process`], [`cmdline`], and [`alloc::Counting`], the
//!   allocator hook that makes `memstats` exact.
//!
//! # What to know
//! - A crate that nothing names is not linked, so what it declares is not there: write
//!   `use that_crate as _;`. The same holds for an object in a static library that a C program links
//!   (`--whole-archive` takes all of them).
//! - What a library declares that is loaded later (`dlopen`) appears when it is loaded, if it shares
//!   this crate with the program as a dynamic library. It must not be unloaded.
//! - Recording before `main` and in an allocator is fine: no recording looks at what is declared.
//!   Statics of one name share a variable from the first time that somebody asks for the global
//!   registry; what they recorded before is added up.
//! - In a signal handler add to a counter that the same thread added to before. All else may
//!   allocate or lock.
//! - On `wasm32-unknown-unknown` nothing panics. There is no clock: timers record zero and a
//!   histogram's recent values are all of them; `memstats` and `process` are empty. Where nobody
//!   calls the module's constructors, publish statics by hand.
//!
//! # After `fork`
//! A child that was forked and goes on without `exec` records, and reads its own process, memory
//! and start. It has its parent's variables as they stood: each counts on from there, in the child
//! alone. Threads are not inherited, so whatever pushes or serves in the parent has to be started
//! again. Locks that another thread of the parent held at that moment are held for ever, as with
//! anything else in such a child: reading a document, publishing, texts and a map's new keys take
//! some, for less than a microsecond each. A child of a parent with busy threads had better only
//! record until it calls `exec`. What another thread was moving between cells just then may be
//! counted twice in the child.
//!
//! # In tests
//! The tests of one binary share their statics, so a static's value before and after counts what
//! other tests record in between. [`testing::alone`] runs a test in a process of its own, where
//! `REQUESTS.get()` is exact:
//!
//! ```
//! # expvar::vars! { static REQUESTS: Counter = "requests"; }
//! # fn handle() { REQUESTS.inc(); }
//! # fn requests_are_counted() {
//! expvar::testing::alone(|| {
//!     handle();
//!     assert_eq!(REQUESTS.get(), 1);
//! });
//! # }
//! ```
//!
//! A library that takes its variables as an argument (a [`group!`], or `Arc`s from a [`Registry`])
//! gets others in each test.
//!
//! # Features
//! | feature | default | what |
//! |---|---|---|
//! | `serde` | yes | [`Func::new`]: functions that return structures |
//! | `parking_lot` | yes | its locks in place of std's |
//! | `process` | yes | [`memstats`] and [`process`] from the system |
//! | `heap` | no | [`heap`]: profiles of who holds the memory |
//! | `jemalloc`, `mimalloc` | no | what these allocators know of themselves, in [`memstats`] |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]

mod cells;
mod clock;
mod health;
mod identity;
pub mod json;
mod number;
mod prefetch;
#[doc(hidden)]
pub mod protobuf;
mod read;
mod registry;
mod sync;
mod system;
pub mod testing;
mod vars;

#[cfg(feature = "serde")]
use read::parts;
use read::{document, recall, visitor, walk};
use registry::{declared, global, group};
#[cfg(feature = "process")]
use system::fresh;
use vars::{
    counter, exemplar, family, float_gauge, func, gauge, histogram, info, join, map, member, names,
    numbers, spec, text, var,
};

pub use cells::{Usage, set_limit, usage};
pub use counter::Counter;
pub use exemplar::{Exemplar, ExemplarLabels, set_trace_hook};
pub use family::{Family, Label, LabelSet};
pub use float_gauge::FloatGauge;
pub use func::Func;
pub use gauge::Gauge;
pub use global::{global, publish, publish_with};
pub use group::Group;
pub use histogram::{Bucket, Histogram, Quantiles, Reading, Snapshot, Stamp, Timer};
pub use info::{Info, Unit};
pub use map::{KindError, Map};
pub use member::Member;
#[doc(hidden)]
pub use names::Generation;
pub use number::Number;
#[cfg(feature = "serde")]
pub use parts::{JsonError, visit_json};
#[doc(hidden)]
pub use recall::Recall;
pub use registry::{PublishError, Registry};
pub use system::alloc;
#[cfg(feature = "serde")]
pub use system::cmdline;
#[cfg(feature = "heap")]
pub use system::heap;
#[cfg(feature = "process")]
pub use system::{memstats, process};
pub use text::Text;
pub use var::{Handle, Kind, Publish, Var};
pub use visitor::{Shape, Step, Visitor};
pub use walk::Recorded;

#[doc(hidden)]
pub mod __private {
    pub use crate::cells::{add, age, shared_records};
    pub use crate::declared::{Declaration, report_conflict};
    pub use crate::family::{Start, check_values};
    pub use crate::global::count_overflow;
    pub use crate::group::Shown;
    pub use crate::histogram::roll_windows;
    pub use crate::identity::BuildIdentity;
    pub use crate::spec::{Levels, Spec, check_name};
    pub use inventory::submit;

    /// In scope where `init:` is.
    pub mod kinds {
        pub use crate::{Counter, Family, FloatGauge, Func, Gauge, Histogram, Map, Text};
    }
}
