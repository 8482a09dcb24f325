//! Variables that a service shows: counters, gauges, histograms, texts, maps and functions.
//!
//! Recording takes about a nanosecond, does not allocate and never blocks: each thread adds to
//! cells of its own. A read is one walk over a [`Registry`], and every exporter is a [`Visitor`] of
//! that walk. This crate has the JSON exporter, whose output equals that of Go's `expvar` at
//! `/debug/vars` byte for byte. `expvar-http` serves it over HTTP, with Prometheus' formats and a
//! live page; `expvar-carbon` pushes to Graphite; `expvar-otlp` pushes to OpenTelemetry collectors.
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
//! - Names: [`vars!`] declares statics, [`publish`] and [`Registry`] name variables made at run
//!   time, [`Info`] and [`Unit`] are their metadata.
//! - Groups: [`group!`] declares the variables of a component, such as a pool or a cache, and
//!   publishes them once for each instance.
//! - Reading: [`Registry::to_json`], [`Registry::visit`] with a [`Visitor`], [`visit_json`] to walk
//!   a JSON document from elsewhere, [`json`] to write JSON.
//! - The process: [`memstats`], [`process`], [`cmdline`], and [`alloc::Counting`], the allocator
//!   hook that gives `memstats` exact numbers.
//!
//! # Limitations
//! - The linker drops a crate that nothing refers to, and with it the statics it declares. Write
//!   `use that_crate as _;`. The same holds for an object file in a static library that a C program
//!   links; `--whole-archive` keeps them all.
//! - Statics of a library loaded at run time (`dlopen`) appear when it is loaded, provided that it
//!   and the program share this crate as a dynamic library. Such a library must not be unloaded.
//! - Recording works before `main` and inside an allocator. Statics of the same name are merged
//!   when the global registry is first used; values recorded before that are added up.
//! - In a signal handler, only add to a counter that the same thread has added to before.
//!   Everything else may allocate or lock.
//! - `wasm32-unknown-unknown` has no clock and no process information: timers record zero,
//!   [`Histogram::recent`] covers all values, `memstats` and `process` are empty. Where the host
//!   does not call the module's constructors, publish statics by hand.
//!
//! # After `fork`
//! A forked child that does not call `exec` keeps recording, and reports its own process, memory
//! and start time. Its variables start from the parent's values and count on in the child alone.
//! Threads are not inherited, so servers and pushes must be started again. A lock that another
//! thread of the parent held at the moment of the fork stays locked in the child, as with any
//! library. Rendering a document, publishing, setting texts and adding keys to a map each hold a
//! lock for less than a microsecond. If the parent's other threads are busy, the child should only
//! record until it calls `exec`. A value that another thread was moving between cells at that
//! moment may be counted twice in the child.
//!
//! # In tests
//! The tests of one binary share their statics, so other tests record into them at the same time.
//! [`testing::alone`] runs a test in a process of its own, where `REQUESTS.get()` is exact:
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
//! can be given new ones in each test.
//!
//! # Features
//! | feature | default | what |
//! |---|---|---|
//! | `serde` | yes | [`Func::new`]: functions that return structures |
//! | `parking_lot` | yes | use its locks in place of std's |
//! | `process` | yes | [`memstats`] and [`process`] read from the system |
//! | `heap` | no | [`heap`]: sampling heap profiles |
//! | `jemalloc`, `mimalloc` | no | [`memstats`] with these allocators' own statistics |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]
#![warn(missing_debug_implementations)]

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
use read::{document, recall, recorded, visitor, walk};
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
pub use recorded::Recorded;
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

#[doc(hidden)]
pub mod __private {
    pub use crate::cells::{Fixed, age, shared_records};
    pub use crate::declared::{Declaration, report_conflict};
    pub use crate::family::{Start, check_values};
    pub use crate::global::count_overflow;
    pub use crate::group::Shown;
    pub use crate::histogram::roll_windows;
    pub use crate::identity::BuildIdentity;
    pub use crate::map::arrange::{Flat, Live};
    pub use crate::numbers::switch_columns;
    pub use crate::prefetch::switch_prefetch;
    pub use crate::registry::stateful::{Publication, Published};
    pub use crate::spec::{Levels, Spec, check_name};
    pub use inventory::submit;

    /// The names that `init:` can use.
    pub mod kinds {
        pub use crate::{Counter, Family, FloatGauge, Func, Gauge, Histogram, Map, Text};
    }
}
