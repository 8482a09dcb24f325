//! The screen: a summary line, the services, a line of keys.

mod bars;
mod detail;
mod grid;
mod help;
mod line;
mod theme;
mod title;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text;
use super::units;
use super::view::View;
use theme::Theme;

/// Draws everything into `area`, at any size.
pub fn draw(view: &View, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::new(view.color);
    if area.width < 20 || area.height < 4 {
        if !area.is_empty() {
            buffer.set_stringn(area.x, area.y, "too small", area.width.into(), theme.warn());
        }
        return;
    }
    let head = Rect { height: 1, ..area };
    let foot = Rect { y: area.bottom() - 1, height: 1, ..area };
    let body = Rect { y: area.y + 1, height: area.height - 2, ..area };
    draw_head(view, head, theme, buffer);
    if view.services.is_empty() {
        buffer.set_stringn(body.x, body.y, "no services", body.width.into(), theme.faint());
    } else if view.zoomed {
        detail::draw(view, body, theme, buffer);
    } else {
        grid::draw(view, body, theme, buffer);
    }
    draw_foot(view, foot, theme, buffer);
    if view.help {
        help::draw(body, theme, buffer);
    }
}

fn draw_head(view: &View, area: Rect, theme: Theme, buffer: &mut Buffer) {
    let room = usize::from(area.width);
    let count = match view.services.len() {
        1 => "1 service".to_owned(),
        count => format!("{count} services"),
    };
    let shown = if view.rates { "rates" } else { "totals" };
    let every = units::duration(view.interval);
    let text = format!("samlare watch  {count}, every {every}, {shown}");
    buffer.set_style(area, theme.strong());
    let (mut x, y) = buffer.set_stringn(area.x, area.y, text, room, theme.strong());
    let down = match view.down() {
        0 => String::new(),
        down => format!("{down} down"),
    };
    let paused = if view.paused() { "PAUSED" } else { "" };
    for (word, style) in [(down.as_str(), theme.down()), (paused, theme.warn())] {
        let left = usize::from(area.right().saturating_sub(x + 2));
        if !word.is_empty() && left > 0 {
            (x, _) = buffer.set_stringn(x + 2, y, word, left, style);
        }
    }
}

fn draw_foot(view: &View, area: Rect, theme: Theme, buffer: &mut Buffer) {
    let room = usize::from(area.width);
    if view.typing || !view.filter.is_empty() {
        let filter = text::harmless(&view.filter);
        let (keys, cursor) = match view.typing {
            true => ("  Enter keep  Esc clear", "█"),
            false => ("  / change  Esc clear", ""),
        };
        let filter = text::tail(&filter, room.saturating_sub(keys.len() + 3));
        let line = format!("/ {filter}{cursor}");
        let (x, y) = buffer.set_stringn(area.x, area.y, line, room, theme.strong());
        let left = usize::from(area.right().saturating_sub(x));
        buffer.set_stringn(x, y, keys, left, theme.faint());
        return;
    }
    let more = match (view.services.len(), view.zoomed) {
        (1, _) => "",
        (_, true) => "  Tab next  Esc back",
        (_, false) => "  Tab next  Enter open",
    };
    let pause = if view.paused() { "go on" } else { "pause" };
    let rates = if view.rates { "totals" } else { "rates" };
    let all = if view.everything { "fewer" } else { "all" };
    let keys = format!("q quit  ? help  / filter  p {pause}  r {rates}  a {all}{more}");
    buffer.set_stringn(area.x, area.y, keys, room, Style::patch(theme.faint(), Style::new()));
}
