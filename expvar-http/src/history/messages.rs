//! Messages for the live page: all rows at first, then once a second the changes.
//!
//! A message is a server-sent event whose data is a JSON object. `tick` is a Unix second, `now` the
//! time in Unix milliseconds. The first message names the service and lists all rows as `[id, name,
//! top, kind, unit, value]`, with a seventh element for a help text and an eighth, 1, if the value
//! is zero but was not always. `top` is the length of the variable's own name (UTF-16 units), 0 for
//! the whole. Later messages have `gone` (ids), `add` (rows) and `set` (`id, value, id, value, …`),
//! each only if not empty.

use expvar::Number;
use expvar::json::{write_float, write_string};

use super::sample::Kind;
use super::series::{Series, Span, Summary};
use super::table::{Held, Row, Table};

/// The identity of the service.
#[derive(Debug)]
pub(super) struct Sender {
    /// The name of the program.
    pub(super) title: String,
    /// Different for each start of the service.
    pub(super) start: String,
    /// When the service began, in Unix milliseconds.
    pub(super) began_ms: u64,
}

/// The first message: all rows.
pub(super) fn whole(sender: &Sender, table: &Table, now_ms: u64) -> Vec<u8> {
    let mut out = begin(table, now_ms);
    out.extend_from_slice(b",\"title\":");
    write_string(&mut out, &sender.title);
    out.extend_from_slice(b",\"start\":");
    write_string(&mut out, &sender.start);
    out.extend_from_slice(b",\"began\":");
    integer(&mut out, sender.began_ms);
    out.extend_from_slice(b",\"hidden\":");
    integer(&mut out, table.hidden);
    rows(&mut out, "rows", table.shown());
    end(out)
}

/// The changes of the last sample.
pub(super) fn changes(table: &Table, now_ms: u64) -> Vec<u8> {
    let mut out = begin(table, now_ms);
    let changes = &table.changes;
    if !changes.gone.is_empty() {
        array(&mut out, "gone", &changes.gone, |out, &id| integer(out, id.into()));
    }
    let with_row = |ids: &'_ [u32]| -> Vec<(u32, &Row)> {
        ids.iter().filter_map(|&id| Some((id, table.row(id)?))).collect()
    };
    if !changes.added.is_empty() {
        rows(&mut out, "add", with_row(&changes.added).into_iter());
        out.extend_from_slice(b",\"hidden\":");
        integer(&mut out, table.hidden);
    }
    if !changes.set.is_empty() {
        array(&mut out, "set", with_row(&changes.set), |out, (id, row)| {
            integer(out, id.into());
            out.push(b',');
            value(out, row);
        });
    }
    end(out)
}

/// The history of `names` as JSON: for each series kind, unit and points.
pub(super) fn history(table: &Table, names: &[&str], span: Option<Span>, now_ms: u64) -> Vec<u8> {
    let mut out = b"{\"tick\":".to_vec();
    integer(&mut out, table.tick.into());
    out.extend_from_slice(b",\"now\":");
    integer(&mut out, now_ms);
    kept(&mut out, table);
    out.extend_from_slice(b",\"series\":{");
    let mut first = true;
    for name in names {
        table.find(name, |name, row, series, rate| {
            if !std::mem::replace(&mut first, false) {
                out.push(b',');
            }
            write_string(&mut out, &name);
            out.extend_from_slice(if rate { b":{\"rate\":true" } else { b":{\"rate\":false" });
            out.extend_from_slice(b",\"unit\":");
            // A count of recordings has no unit, unlike the recorded values.
            let is_count = rate && row.kind == Kind::Histogram;
            write_string(&mut out, if is_count { "" } else { row.unit });
            let spans = Span::ALL.into_iter().filter(|of| span.is_none_or(|span| span == *of));
            let points = spans.map(|of| (of, series.points(of, table.tick.into())));
            points_of(&mut out, &points.collect::<Vec<_>>());
            if rate {
                totals(&mut out, table, row, series, span);
            }
            out.push(b'}');
        });
    }
    out.extend_from_slice(b"}}\n");
    out
}

/// The means of some spans, and minimum and maximum for spans longer than seconds.
fn points_of(out: &mut Vec<u8>, spans: &[(Span, Vec<Summary>)]) {
    for (span, points) in spans {
        array(out, span.name(), points.iter().map(|point| point.mean), write_point);
    }
    type Part = fn(&Summary) -> f64;
    let parts: [(&str, Part); 2] = [("min", |point| point.low), ("max", |point| point.high)];
    for (name, part) in parts {
        let long = spans.iter().filter(|(span, _)| *span != Span::Second);
        let long = long.map(|(span, points)| (*span, points.iter().map(part).collect()));
        object(out, name, long, write_point);
    }
}

/// A counter's increase in each point.
fn totals(out: &mut Vec<u8>, table: &Table, row: &Row, series: &Series, span: Option<Span>) {
    let spans = Span::ALL.into_iter().filter(|of| span.is_none_or(|span| span == *of));
    let totals = spans.map(|of| {
        let points = series.points(of, table.tick.into());
        let totals = match of {
            Span::Second => table.climbs(row, &points),
            _ => points.iter().map(|point| point.total).collect(),
        };
        (of, totals)
    });
    object(out, "total", totals, write_float);
}

/// Numbers by span.
fn object(
    out: &mut Vec<u8>,
    name: &str,
    spans: impl Iterator<Item = (Span, Vec<f64>)>,
    write: fn(&mut Vec<u8>, f64),
) {
    out.push(b',');
    write_string(out, name);
    out.extend_from_slice(b":{");
    for (at, (span, numbers)) in spans.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        list(out, span.name(), numbers, write);
    }
    out.push(b'}');
}

/// The names with history.
pub(super) fn names(table: &Table, now_ms: u64) -> Vec<u8> {
    let mut out = b"{\"tick\":".to_vec();
    integer(&mut out, table.tick.into());
    out.extend_from_slice(b",\"now\":");
    integer(&mut out, now_ms);
    kept(&mut out, table);
    array(&mut out, "names", table.names(), write_string);
    out.extend_from_slice(b"}\n");
    out
}

/// How many series have history, and how many there are.
fn kept(out: &mut Vec<u8>, table: &Table) {
    out.extend_from_slice(b",\"kept\":");
    integer(out, table.series() as u64);
    out.extend_from_slice(b",\"of\":");
    integer(out, table.wanted as u64);
}

fn begin(table: &Table, now_ms: u64) -> Vec<u8> {
    let mut out = b"data: {\"tick\":".to_vec();
    integer(&mut out, table.tick.into());
    out.extend_from_slice(b",\"now\":");
    integer(&mut out, now_ms);
    out
}

fn end(mut out: Vec<u8>) -> Vec<u8> {
    out.extend_from_slice(b"}\n\n");
    out
}

fn rows<'t>(out: &mut Vec<u8>, name: &str, rows: impl Iterator<Item = (u32, &'t Row)>) {
    let mut said: Option<&'t str> = None;
    array(out, name, rows, |out, (id, row)| {
        out.push(b'[');
        integer(out, id.into());
        out.push(b',');
        write_string(out, &row.name);
        out.push(b',');
        integer(out, row.top.into());
        out.extend_from_slice(match row.kind {
            Kind::Counter => b",\"c\",",
            Kind::Gauge => b",\"g\",",
            Kind::Histogram => b",\"h\",",
            Kind::Text => b",\"t\",",
            Kind::Json => b",\"j\",",
        });
        write_string(out, row.unit);
        out.push(b',');
        value(out, row);
        // A help text is sent with the first of the rows that share it.
        let help = row.help.as_deref();
        let is_said = match (said, help) {
            (Some(said), Some(help)) => std::ptr::eq(said, help),
            (said, help) => said.is_none() && help.is_none(),
        };
        said = help;
        let is_back_at_zero = row.was_moved && row.is_zero();
        if !is_said || is_back_at_zero {
            out.push(b',');
            write_string(out, help.unwrap_or_default());
        }
        if is_back_at_zero {
            out.extend_from_slice(b",1");
        }
        out.push(b']');
    });
}

fn value(out: &mut Vec<u8>, row: &Row) {
    match &row.held {
        Held::Number(Number::Unsigned(n)) if *n > MAX_SAFE => quoted(out, *n),
        Held::Number(Number::Signed(n)) if n.unsigned_abs() > MAX_SAFE => quoted(out, *n),
        Held::Number(Number::Unsigned(n)) => integer(out, *n),
        Held::Number(Number::Signed(n)) => {
            out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes());
        }
        Held::Number(Number::Float(n)) => write_float(out, *n),
        Held::Text(text) => write_string(out, text),
        Held::Distribution(of) => {
            out.push(b'[');
            integer(out, of.count);
            for quantile in of.quantiles {
                out.push(b',');
                write_point(out, quantile);
            }
            out.push(b']');
        }
    }
}

/// Larger integers are sent as strings, because JavaScript numbers cannot represent them.
const MAX_SAFE: u64 = (1 << 53) - 1;

/// Writes a point with six digits, more than a screen shows, or `null` for a gap. Integers keep all
/// digits.
fn write_point(out: &mut Vec<u8>, point: f64) {
    if point.fract() == 0.0 || !point.is_finite() || point == 0.0 {
        return write_float(out, point);
    }
    let digits = 5 - (point.abs().log10().floor() as i32).clamp(-300, 5);
    let scale = 10f64.powi(digits);
    write_float(out, (point * scale).round() / scale);
}

fn array<T>(
    out: &mut Vec<u8>,
    name: &str,
    items: impl IntoIterator<Item = T>,
    write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b',');
    list(out, name, items, write);
}

fn list<T>(
    out: &mut Vec<u8>,
    name: &str,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    write_string(out, name);
    out.extend_from_slice(b":[");
    let mut first = true;
    for item in items {
        if !std::mem::replace(&mut first, false) {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn quoted(out: &mut Vec<u8>, n: impl itoa::Integer) {
    write_string(out, itoa::Buffer::new().format(n));
}

fn integer(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}
