//! Compact JSON of anything serde can serialize, as Go's `encoding/json` writes it.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::{number, string};

/// Appends `value`; on failure, an arbitrary part of it.
pub(crate) fn write(buffer: &mut Vec<u8>, value: &impl Serialize) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(buffer, Go { scratch: Vec::new() }))
}

/// Differences of Go's `encoding/json`: floats, and escapes for HTML.
struct Go {
    scratch: Vec<u8>,
}

impl Go {
    fn through<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<()> {
        self.scratch.clear();
        write(&mut self.scratch);
        writer.write_all(&self.scratch)
    }
}

impl Formatter for Go {
    fn write_f64<W: Write + ?Sized>(&mut self, writer: &mut W, n: f64) -> io::Result<()> {
        self.through(writer, |buffer| number::write_plain(buffer, n))
    }

    fn write_f32<W: Write + ?Sized>(&mut self, writer: &mut W, n: f32) -> io::Result<()> {
        self.through(writer, |buffer| number::write_plain_f32(buffer, n))
    }

    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        text: &str,
    ) -> io::Result<()> {
        if string::is_plain(text.as_bytes()) {
            return writer.write_all(text.as_bytes());
        }
        self.through(writer, |buffer| string::write_escaped(buffer, text))
    }
}
