//! Values that a function computes when they are read.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;

use crate::global::PANICS;
use crate::json::compact;

/// A value that a function computes each time it is read: anything serde can serialize. Go's `Func`.
///
/// The function runs in the thread that reads, with no lock held: it may publish, read and remove
/// variables. Where it panics or its value cannot be serialized, readers see `null`, and the
/// variable `expvar.panics` counts it. In a program built with `panic = "abort"` a panic is final.
///
/// ```
/// # let registry = expvar::Registry::new();
/// registry.publish("limits", expvar::Func::new(|| [10, 20]))?;
/// assert_eq!(registry.to_json(), "{\n\"limits\": [10,20]\n}\n");
/// # Ok::<(), expvar::PublishError>(())
/// ```
pub struct Func {
    render: Box<Render>,
}

type Render = dyn Fn(&mut Vec<u8>) -> Result<(), serde_json::Error> + Send + Sync;

impl Func {
    /// A variable that shows what `f` returns.
    pub fn new<F, T>(f: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Serialize,
    {
        Self { render: Box::new(move |buffer| compact::write(buffer, &f())) }
    }

    /// Replaces `buffer` by the value as JSON: `null` where there is none.
    pub(crate) fn read<'a>(&self, buffer: &'a mut Vec<u8>) -> &'a str {
        buffer.clear();
        // What a panicking function leaves half written is thrown away, here and in `buffer`.
        let done = catch_unwind(AssertUnwindSafe(|| (self.render)(buffer)));
        if !matches!(done, Ok(Ok(()))) {
            PANICS.inc();
            buffer.clear();
        }
        match std::str::from_utf8(buffer) {
            Ok("") | Err(_) => "null",
            Ok(json) => json,
        }
    }
}

impl fmt::Debug for Func {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Func").finish_non_exhaustive()
    }
}
