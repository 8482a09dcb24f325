//! A variable on one line: name, chart, current value and maximum.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::bars;
use super::theme::Theme;
use crate::watch::series::Latest;
use crate::watch::service::{Service, State};
use crate::watch::text;
use crate::watch::units::Unit;
use crate::watch::view::Row;

/// Columns of a value.
const VALUE: u16 = 9;

/// The positions of a line's parts.
struct Columns {
    name: u16,
    chart: u16,
}

impl Columns {
    /// Values have a fixed width. Names of up to 40 columns take half of the rest, and more in a
    /// narrow area, which has a single value.
    fn of(width: u16) -> Columns {
        if width < TWO_VALUES {
            let rest = width.saturating_sub(VALUE + 1);
            let name = (2 * rest / 3).clamp(rest.min(10), 40);
            return Columns { name, chart: rest.saturating_sub(name + 1) };
        }
        let rest = width.saturating_sub(2 * (VALUE + 1));
        let name = (rest / 2).clamp(rest.min(10), 40);
        Columns { name, chart: rest.saturating_sub(name + 1) }
    }
}

/// The minimum width for a second value.
const TWO_VALUES: u16 = 50;

/// Columns between the value and the area's end.
fn after_value(width: u16) -> u16 {
    if width < TWO_VALUES { 0 } else { VALUE + 1 }
}

/// The sanitized names of rows, shortened to an area of this width.
pub(super) fn names(rows: &[Row<'_>], width: u16) -> Vec<String> {
    let names: Vec<String> = rows.iter().map(|row| text::harmless(&row.name)).collect();
    text::distinct(&names, Columns::of(width).name.into())
}

/// The heading of the values.
pub(super) fn heading(area: Rect, theme: Theme, buffer: &mut Buffer) {
    right("now", area, after_value(area.width), theme.faint(), buffer);
    if area.width >= TWO_VALUES {
        right("max", area, 0, theme.faint(), buffer);
    }
}

/// Draws a row into the single line of `area`, under its name from [`names`].
#[allow(clippy::too_many_arguments, reason = "what is drawn, where and how")]
pub(super) fn draw(
    row: &Row<'_>,
    name: &str,
    service: &Service,
    rates: bool,
    area: Rect,
    style: Style,
    theme: Theme,
    buffer: &mut Buffer,
) {
    let columns = Columns::of(area.width);
    buffer.set_stringn(area.x, area.y, name, columns.name.into(), style);
    let rest = Rect {
        x: area.x + columns.name + 1,
        width: area.width.saturating_sub(columns.name + 1),
        ..area
    };
    let Some(series) = row.series else {
        right("n/a", area, after_value(area.width), theme.faint(), buffer);
        return;
    };
    let plain = match &series.latest {
        Latest::Text(value) => Some(text::harmless(value)),
        Latest::Number(value) if row.unit == Unit::Text => Some(value.to_string()),
        Latest::Flag(value) if row.unit == Unit::Text => Some(value.to_string()),
        _ => None,
    };
    if let Some(plain) = plain {
        let shown = text::head(&plain, rest.width.into());
        right(&shown, area, 0, Style::new(), buffer);
        return;
    }
    // For a number that may be a counter or a level, shows both; the rate replaces the maximum.
    let both = rates && series.may_count();
    let rates = rates && series.counts();
    let values = series.drawn(rates, service.times());
    let chart = Rect { width: columns.chart, ..rest };
    bars::draw(&values, chart, theme.chart(), buffer);
    let show = |value| show(row.unit, rates, value);
    // For a service that is down, shows the last known value, dimmed.
    let (current, style) = match service.state {
        State::Down { .. } => (values.iter().rfind(|value| value.is_finite()), theme.faint()),
        _ => (values.last(), theme.strong()),
    };
    let now = match &series.latest {
        Latest::Null => "null".to_owned(),
        Latest::Flag(flag) => flag.to_string(),
        _ => show(current.copied().unwrap_or(f64::NAN)),
    };
    let max = bars::extent(&values).map_or(f64::NAN, |(_, max)| max);
    right(&now, area, after_value(area.width), style, buffer);
    if area.width >= TWO_VALUES {
        let rate = series.rate(service.times());
        let second = if both { row.unit.show_rate(rate) } else { show(max) };
        right(&second, area, 0, theme.faint(), buffer);
    }
}

/// A value or a rate, in its unit.
pub(super) fn show(unit: Unit, rate: bool, value: f64) -> String {
    if rate { unit.show_rate(value) } else { unit.show(value) }
}

/// Draws text that ends `from_right` columns before the end of the area's first line.
pub(super) fn right(text: &str, area: Rect, from_right: u16, style: Style, buffer: &mut Buffer) {
    let room = area.width.saturating_sub(from_right);
    let width = text::columns(text).min(room.into()) as u16;
    let x = area.x + room - width;
    buffer.set_stringn(x, area.y, text, width.into(), style);
}
