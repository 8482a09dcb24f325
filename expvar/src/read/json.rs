//! JSON as Go's `expvar` writes it, to the byte, and a way to walk it.

use std::fmt;

use crate::cells::Slabs;
use crate::histogram::{Quantiles, Reading};
use crate::info::Info;
use crate::var::Var;
use crate::visit::{Scratch, Value, Visitor};

#[cfg(feature = "serde")]
pub(crate) mod compact;
mod integer;
mod number;
mod string;
#[cfg(feature = "serde")]
mod walk;

pub use integer::{put_unsigned, write_signed, write_unsigned};
pub use number::write_float;
pub use string::write_string;
#[cfg(feature = "serde")]
pub use walk::{Error, Leaf, Leaves, Step, walk};

/// The document of a registry, variable by variable.
pub(crate) struct Document<'b> {
    buffer: &'b mut Vec<u8>,
    first: bool,
}

impl<'b> Document<'b> {
    pub(crate) fn begin(buffer: &'b mut Vec<u8>) -> Self {
        buffer.extend_from_slice(b"{\n");
        Self { buffer, first: true }
    }

    pub(crate) fn end(self) {
        self.buffer.extend_from_slice(b"\n}\n");
    }
}

impl Visitor for Document<'_> {
    fn variable(&mut self, name: &str, _: &Info, value: Value<'_>) {
        let first = std::mem::replace(&mut self.first, false);
        write_name(self.buffer, if first { b"\"" } else { b",\n\"" }, name);
        write_value(self.buffer, value);
    }
}

/// Appends what comes before a name, with its quote, and the name. In few pieces: of ten thousand
/// counters this is a good part.
#[inline]
fn write_name(buffer: &mut Vec<u8>, before: &[u8], name: &str) {
    buffer.extend_from_slice(before);
    string::write_escaped(buffer, name);
    buffer.extend_from_slice(b"\": ");
}

/// Appends a value as `/debug/vars` shows it.
pub fn write_value(buffer: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Null => buffer.extend_from_slice(b"null"),
        Value::Counter(n) => write_unsigned(buffer, n),
        Value::Gauge(n) => write_signed(buffer, n),
        Value::Float(n) => write_float(buffer, n),
        Value::Text(text) => write_string(buffer, text),
        Value::Histogram(reading) => write_histogram(buffer, reading),
        Value::Json(json) => buffer.extend_from_slice(json.as_bytes()),
        Value::Map(map) => {
            buffer.push(b'{');
            let mut first = true;
            map.for_each(|key, value| {
                let first = std::mem::replace(&mut first, false);
                write_name(buffer, if first { b"\"" } else { b", \"" }, key);
                write_value(buffer, value);
            });
            buffer.push(b'}');
        }
    }
}

fn write_histogram(buffer: &mut Vec<u8>, Reading { total, recent }: &Reading) {
    let floats = total.is_float();
    let mut number = |name: &str, whole: u64, float: f64| {
        buffer.extend_from_slice(name.as_bytes());
        if floats {
            number::write_plain(buffer, float);
        } else {
            write_unsigned(buffer, whole);
        }
    };
    number("{\"count\":", total.count(), total.count() as f64);
    number(",\"sum\":", total.sum(), total.sum_float());
    number(",\"min\":", recent.min(), recent.min_float());
    number(",\"max\":", recent.max(), recent.max_float());
    buffer.extend_from_slice(b",\"mean\":");
    number::write_plain(buffer, recent.mean());
    for (name, q) in Quantiles::SHOWN {
        buffer.extend_from_slice(b",\"");
        buffer.extend_from_slice(name.as_bytes());
        buffer.extend_from_slice(b"\":");
        if floats {
            number::write_plain(buffer, recent.quantile_float(q));
        } else {
            write_unsigned(buffer, recent.quantile(q));
        }
    }
    buffer.push(b'}');
}

impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slabs, mut buffer) = (Slabs::now(), Vec::new());
        Scratch::new(&slabs).read_top(self, |value| write_value(&mut buffer, value));
        f.write_str(&String::from_utf8_lossy(&buffer))
    }
}
