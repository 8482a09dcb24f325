//! The JSON document of `/debug/vars`.

use std::fmt;

use super::recall::Memory;
use super::recorded::Recorded;
use super::visitor::{Shape, Step, Visitor};
use super::walk;
use crate::histogram::{Quantiles, Reading};
use crate::info::Info;
use crate::json::{
    few_digits, write_escaped, write_float, write_plain, write_signed, write_string, write_unsigned,
};
use crate::names::{Heads, List};
use crate::number::Number;
use crate::var::Var;

/// Caches escaped names for each list, and writes numbers after them.
pub(crate) struct Escaped;

impl Memory<Document<'_>> for Escaped {
    type Names<'l> = &'l Heads;

    fn names<'l, T>(document: &mut Document<'_>, list: &'l List<T>) -> Option<&'l Heads> {
        let is_registry = std::mem::take(&mut document.is_top);
        let heads = list.heads(if is_registry { b",\n" } else { b", " });
        // The names, and eight digits for each number.
        document.buffer.reserve(heads.len() + 8 * list.len());
        Some(heads)
    }

    /// Not inlined: with the registers for itself it is faster.
    #[inline(never)]
    fn numbers(
        document: &mut Document<'_>,
        heads: &&Heads,
        at: usize,
        numbers: &[Number],
    ) -> usize {
        for (at, &number) in (at..).zip(numbers) {
            let first = std::mem::replace(&mut document.first, false);
            if let Number::Unsigned(n) = number
                && let Some(digits) = few_digits(n)
            {
                heads.write_digits(at, first, digits, document.buffer);
            } else {
                heads.write(at, first, document.buffer);
                document.number(number);
            }
        }
        numbers.len()
    }
}

/// Writes a registry's document, variable by variable.
pub(crate) struct Document<'b> {
    buffer: &'b mut Vec<u8>,
    /// Whether nothing was written yet at the current level.
    first: bool,
    /// Whether the next list of names is the registry's, not a map's.
    is_top: bool,
}

impl<'b> Document<'b> {
    pub(crate) fn begin(buffer: &'b mut Vec<u8>) -> Self {
        buffer.extend_from_slice(b"{\n");
        Self { buffer, first: true, is_top: true }
    }

    pub(crate) fn end(self) {
        self.buffer.extend_from_slice(b"\n}\n");
    }
}

impl Visitor for Document<'_> {
    #[inline]
    fn enter(&mut self, step: Step<'_>, _: &Info) {
        let first = std::mem::replace(&mut self.first, false);
        match step {
            Step::Name(name) => write_name(self.buffer, if first { b"\"" } else { b",\n\"" }, name),
            Step::Key(key) => write_name(self.buffer, if first { b"\"" } else { b", \"" }, key),
            Step::Index(_) if first => {}
            Step::Index(_) => self.buffer.extend_from_slice(b", "),
        }
    }

    #[inline]
    fn leave(&mut self) {}

    #[inline]
    fn number(&mut self, number: Number) {
        match number {
            Number::Unsigned(n) => write_unsigned(self.buffer, n),
            Number::Signed(n) => write_signed(self.buffer, n),
            Number::Float(n) => write_float(self.buffer, n),
        }
    }

    fn text(&mut self, text: &str) {
        write_string(self.buffer, text);
    }

    fn boolean(&mut self, value: bool) {
        self.buffer.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn null(&mut self) {
        self.buffer.extend_from_slice(b"null");
    }

    fn histogram(&mut self, mut histogram: Recorded<'_>) {
        write_histogram(self.buffer, histogram.reading());
    }

    fn begin(&mut self, shape: Shape) -> bool {
        self.buffer.push(if shape == Shape::Array { b'[' } else { b'{' });
        self.first = true;
        true
    }

    fn end(&mut self, shape: Shape) {
        self.buffer.push(if shape == Shape::Array { b']' } else { b'}' });
        self.first = false;
    }

    fn wants_json(&self) -> bool {
        true
    }

    fn json(&mut self, json: &str) {
        self.buffer.extend_from_slice(json.as_bytes());
    }
}

/// Appends separator, quote and name in few pieces: a good part of the cost of ten thousand
/// counters.
#[inline]
fn write_name(buffer: &mut Vec<u8>, before: &[u8], name: &str) {
    buffer.extend_from_slice(before);
    write_escaped(buffer, name);
    buffer.extend_from_slice(b"\": ");
}

fn write_histogram(buffer: &mut Vec<u8>, Reading { total, recent }: &Reading) {
    let floats = total.is_float();
    let mut number = |name: &str, whole: u64, float: f64| {
        buffer.extend_from_slice(name.as_bytes());
        if floats {
            write_plain(buffer, float);
        } else {
            write_unsigned(buffer, whole);
        }
    };
    number("{\"count\":", total.count(), total.count() as f64);
    number(",\"sum\":", total.sum(), total.sum_float());
    number(",\"min\":", recent.min(), recent.min_float());
    number(",\"max\":", recent.max(), recent.max_float());
    buffer.extend_from_slice(b",\"mean\":");
    write_plain(buffer, recent.mean());
    let ranks = recent.ranks(Quantiles::SHOWN.iter().map(|&(_, q)| q));
    for (&(name, _), rank) in Quantiles::SHOWN.iter().zip(ranks) {
        buffer.extend_from_slice(b",\"");
        buffer.extend_from_slice(name.as_bytes());
        buffer.extend_from_slice(b"\":");
        if floats {
            write_plain(buffer, recent.middle_float(rank));
        } else {
            write_unsigned(buffer, recent.middle(rank));
        }
    }
    buffer.push(b'}');
}

impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = Vec::new();
        walk::value(self, &mut Document { buffer: &mut buffer, first: true, is_top: false });
        f.write_str(&String::from_utf8_lossy(&buffer))
    }
}
