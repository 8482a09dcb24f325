//! The output: families, each under its header.

use expvar::Number;

use super::left_out::LeftOut;
use super::samples::{Samples, Type, push_label, write_escaped, write_name};
use super::{Format, MediaType, protobuf};

/// The family that lists the omitted variables.
pub(super) const LEFT_OUT_FAMILY: &str = "expvar_prometheus_left_out";

/// The buffer, and the format of what is written to it.
pub(super) struct Output<'a> {
    pub(super) media_type: MediaType,
    /// Whether `_created` samples are written.
    pub(super) shows_created: bool,
    pub(super) buffer: &'a mut Vec<u8>,
}

impl Output<'_> {
    pub(super) fn format(&self) -> Format {
        self.media_type.format()
    }

    /// Writes a family of that kind with its samples; returns the position of the samples.
    pub(super) fn push_family(
        &mut self,
        family: &Samples,
        kind: Type,
        variable: &str,
        unit: &str,
    ) -> usize {
        let alone = matches!(kind, Type::Alone { .. });
        // OpenMetrics requires that the name ends in `_` and the unit.
        let ends = family.name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'));
        let unit = if ends && !alone { unit } else { "" };
        if self.format() == Format::Protobuf {
            let help = match family.help.as_str() {
                "" => ["Variable ", variable, "."],
                help => [help, "", ""],
            };
            let name = [family.name.as_str(), kind.ending()];
            let header = protobuf::Header { name, kind, help, unit };
            protobuf::push_family(self.buffer, &header, &family.text);
            return self.buffer.len() - family.text.len();
        }
        self.push_header(family, kind, variable, unit);
        let text_at = self.buffer.len();
        // Under its full name a family has a type without `_created`.
        match alone && self.shows_created && family.kind.has_created() {
            true => self.buffer.extend_from_slice(&family.without_created()),
            false => self.buffer.extend_from_slice(&family.text),
        }
        text_at
    }

    fn push_header(&mut self, family: &Samples, kind: Type, variable: &str, unit: &str) {
        let open = self.format() == Format::OpenMetrics;
        let alone = matches!(kind, Type::Alone { .. });
        let ending = if open && !alone { "" } else { kind.ending() };
        let mut name = Vec::with_capacity(family.name.len() + 8);
        write_name(&mut name, &family.name);
        match name.last() {
            // The suffix belongs inside the quotes.
            Some(b'"') => {
                name.pop();
                name.extend_from_slice(ending.as_bytes());
                name.push(b'"');
            }
            _ => name.extend_from_slice(ending.as_bytes()),
        }
        let out = &mut *self.buffer;
        out.extend_from_slice(b"# HELP ");
        out.extend_from_slice(&name);
        out.push(b' ');
        if family.help.is_empty() {
            out.extend_from_slice(b"Variable ");
            write_escaped(out, variable, open);
            out.push(b'.');
        } else {
            write_escaped(out, &family.help, open);
        }
        out.extend_from_slice(b"\n# TYPE ");
        out.extend_from_slice(&name);
        out.push(b' ');
        out.extend_from_slice(kind.name(self.media_type.format()).as_bytes());
        out.push(b'\n');
        if open && !unit.is_empty() {
            out.extend_from_slice(b"# UNIT ");
            out.extend_from_slice(&name);
            out.push(b' ');
            out.extend_from_slice(unit.as_bytes());
            out.push(b'\n');
        }
    }

    /// Writes which variables are omitted, and ends the text.
    pub(super) fn end(mut self, left_out: &LeftOut) {
        let format = self.format();
        let mut rows = left_out.rows().peekable();
        if rows.peek().is_some() {
            let mut family = Samples::new(format);
            let name = self.media_type.escaping().escape(LEFT_OUT_FAMILY);
            family.begin(&name, Type::Gauge, format);
            family.help.push_str("Variables that cannot be shown, and why.");
            let mut labels = Vec::new();
            for (variable, reason, count) in rows {
                labels.clear();
                push_label(&mut labels, "variable", variable, format);
                push_label(&mut labels, "reason", reason, format);
                family.push_number(&labels, Number::Unsigned(count), None);
            }
            self.push_family(&family, Type::Gauge, "", "");
        }
        if format == Format::OpenMetrics {
            self.buffer.extend_from_slice(b"# EOF\n");
        }
    }
}
