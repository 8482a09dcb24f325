//! One service on the whole screen: a chart and all of its lines.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::theme::Theme;
use super::{bars, line, title};
use crate::watch::series::Latest;
use crate::watch::service::Service;
use crate::watch::text;
use crate::watch::units;
use crate::watch::view::{Row, View};

pub(super) fn draw(view: &View, area: Rect, theme: Theme, buffer: &mut Buffer) {
    let service = &view.services[view.selected];
    let rows = view.rows(view.selected);
    let selected = view.row.min(rows.len().saturating_sub(1));
    let mut left = Lines { area };

    let Some(one) = left.take(1) else { return };
    title::draw(service, view.now, one, false, theme, buffer);
    let count = match service.left_out {
        0 => format!("{} of {} variables", rows.len(), service.len()),
        more => format!("{} of {} variables, {more} more left out", rows.len(), service.len()),
    };
    if one.width >= 60 {
        line::right(&count, one, 0, theme.faint(), buffer);
    }
    if let Some(error) = title::error(service) {
        let Some(one) = left.take(1) else { return };
        let shown = text::head(error, one.width.into());
        buffer.set_stringn(one.x, one.y, shown, one.width.into(), theme.down());
    }
    let chart_height = (area.height / 3).clamp(4, 16);
    if area.height >= 12
        && let (Some(place), Some(row)) = (left.take(chart_height), rows.get(selected))
    {
        draw_chart(row, service, view, place, theme, buffer);
    }
    let Some(one) = left.take(1) else { return };
    line::heading(one, theme, buffer);

    let visible = usize::from(left.area.height);
    let first = (selected + 1).saturating_sub(visible);
    let shown = &rows[first.min(rows.len())..rows.len().min(first + visible)];
    let names = line::names(shown, left.area.width);
    for ((row, name), place) in shown.iter().zip(&names).zip(first..) {
        let Some(one) = left.take(1) else { return };
        let style = if place == selected { theme.selected() } else { Style::new() };
        line::draw(row, name, service, view.rates, one, style, theme, buffer);
    }
    if rows.is_empty() && visible > 0 {
        let why = match (view.filter.is_empty(), service.is_empty()) {
            (_, true) => "no variables yet",
            (false, _) => "no variable's name has the filter's words",
            (true, _) => "no variables to show; press a for all",
        };
        buffer.set_stringn(left.area.x, left.area.y, why, left.area.width.into(), theme.faint());
    }
}

fn draw_chart(
    row: &Row<'_>,
    service: &Service,
    view: &View,
    area: Rect,
    theme: Theme,
    buffer: &mut Buffer,
) {
    let Some(series) = row.series else { return };
    let rates = view.rates && series.counts();
    let all = series.drawn(rates, service.times());
    let width = usize::from(area.width.saturating_sub(10));
    let values = &all[all.len().saturating_sub(width)..];
    let Some((min, max)) = bars::extent(values) else {
        return draw_text(row, &series.latest, area, theme, buffer);
    };
    let known: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    let show = |value| line::show(row.unit, rates, value);
    let times = service.times();
    let span = match (times.back(), times.iter().rev().nth(values.len().saturating_sub(1))) {
        (Some(last), Some(first)) => units::duration((last - first).round()),
        _ => units::duration(0.0),
    };
    let now = values.last().copied().unwrap_or(f64::NAN);
    // A rate does not show the total.
    let total = match series.values().rfind(|value| value.is_finite()) {
        Some(total) if rates => format!(" of {}", row.unit.show(total)),
        Some(_) if view.rates && series.may_count() => {
            format!(", {}", row.unit.show_rate(series.rate(times)))
        }
        _ => String::new(),
    };
    let caption = format!(
        "  now {}{total}  min {}  mean {}  max {}  over {span}",
        show(now),
        show(min),
        show(mean),
        show(max),
    );
    let room = usize::from(area.width).saturating_sub(caption.chars().count());
    let name = text::tail(&text::harmless(&row.name), room.max(10));
    let (x, _) = buffer.set_stringn(area.x, area.y, name, area.width.into(), theme.strong());
    let rest = usize::from(area.right().saturating_sub(x));
    buffer.set_stringn(x, area.y, caption, rest, Style::new());

    let top = area.y + 1;
    let bottom = area.bottom() - 1;
    if bottom <= top {
        return;
    }
    // The base of the bars, as in `bars::draw`.
    let floor = if min >= 0.0 && min <= max / 2.0 { 0.0 } else { min };
    let scale = Rect { width: 9, height: 1, ..area };
    line::right(&show(max), Rect { y: top, ..scale }, 0, theme.faint(), buffer);
    let foot = Rect { y: bottom - 1, ..scale };
    line::right(&show(floor), foot, 0, theme.faint(), buffer);
    let chart =
        Rect { x: area.x + 10, y: top, width: area.width.saturating_sub(10), height: bottom - top };
    bars::draw(values, chart, theme.chart(), buffer);
}

/// A variable without numbers: its name, and a text in as many lines as fit.
fn draw_text(row: &Row<'_>, latest: &Latest, area: Rect, theme: Theme, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    let name = text::tail(&text::harmless(&row.name), width);
    buffer.set_stringn(area.x, area.y, name, width, theme.strong());
    let Latest::Text(value) = latest else { return };
    let value = text::harmless(value);
    // One line stays free above the list.
    let rows = area.y + 1..area.bottom().saturating_sub(1);
    for (y, line) in rows.zip(text::lines(&value, width)) {
        buffer.set_stringn(area.x, y, line, width, Style::new());
    }
}

/// The unused lines of an area.
struct Lines {
    area: Rect,
}

impl Lines {
    /// The next `height` lines; `None` without room.
    fn take(&mut self, height: u16) -> Option<Rect> {
        if self.area.height < height {
            return None;
        }
        let taken = Rect { height, ..self.area };
        self.area.y += height;
        self.area.height -= height;
        Some(taken)
    }
}
