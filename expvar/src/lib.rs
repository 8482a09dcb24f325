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
//! - Reading: [`Registry::to_json`], [`Registry::visit`] with a [`Visitor`], [`json`].
//! - The program itself: [`memstats`], [`process`], [`cmdline`], and [`alloc::Counting`], the
//!   allocator hook that makes `memstats` exact.
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
#[allow(dead_code, reason = "without the feature process only histograms need it")]
mod clock;
mod health;
mod read;
mod registry;
mod sync;
mod system;
pub mod testing;
mod vars;

use read::{number, prefetch, recall, visit, visitor, walk};
use registry::{global, names, numbers};
#[cfg(feature = "process")]
use system::fresh;
use vars::{
    counter, family, float_gauge, func, gauge, group, histogram, info, map, member, spec, text, var,
};

pub use cells::{Usage, set_limit, usage};
pub use counter::Counter;
pub use family::{Family, Label, LabelSet};
pub use float_gauge::FloatGauge;
pub use func::Func;
pub use gauge::Gauge;
pub use global::{global, publish, publish_with};
pub use group::Group;
pub use histogram::{Bucket, Histogram, Quantiles, Reading, Snapshot, Timer};
pub use info::{Info, Unit};
pub use map::{KindError, Map};
pub use member::Member;
#[doc(hidden)]
pub use names::Generation;
pub use number::Number;
pub use read::json;
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
#[doc(hidden)]
pub use visit::{MapValue, OldVisitor, Value};
pub use visitor::{Shape, Step, Visitor};
pub use walk::Recorded;

#[doc(hidden)]
pub mod __private {
    pub use crate::family::check_values;
    pub use crate::global::{Declaration, count_overflow, report_conflict};
    pub use crate::group::Shown;
    pub use crate::spec::{Levels, Spec, check_name};
    pub use inventory::submit;

    /// In scope where `init:` is.
    pub mod kinds {
        pub use crate::{Counter, Family, FloatGauge, Func, Gauge, Histogram, Map, Text};
    }
}
