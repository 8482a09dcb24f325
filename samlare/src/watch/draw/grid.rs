//! Several services side by side.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::theme::Theme;
use super::{line, title};
use crate::watch::text;
use crate::watch::view::View;

/// The minimum columns and lines of a service.
const MIN_WIDTH: u16 = 39;
const MIN_HEIGHT: u16 = 5;
/// From this many lines on, width is preferred.
const GOOD_HEIGHT: u16 = 12;

pub(super) fn draw(view: &View, area: Rect, theme: Theme, buffer: &mut Buffer) {
    let count = view.services.len() as u16;
    let most = ((area.width + 1) / (MIN_WIDTH + 1)).clamp(1, count);
    // Side by side, but only as many as needed for enough lines.
    let across = (most.min(2)..most)
        .find(|&across| area.height / count.div_ceil(across) >= GOOD_HEIGHT)
        .unwrap_or(most);
    let lines = count.div_ceil(across);
    // If there is not enough room, services scroll with the selection.
    let height = (area.height / lines).max(MIN_HEIGHT.min(area.height));
    let shown_lines = (area.height / height.max(1)).clamp(1, lines);
    let first_line = (view.selected as u16 / across).saturating_sub(shown_lines - 1);
    // A few services share the width of a wide screen.
    let width = (area.width + 1) / across - 1;
    for place in 0..shown_lines * across {
        let service = usize::from(first_line * across + place);
        if service >= view.services.len() {
            break;
        }
        let panel = Rect {
            x: area.x + place % across * (width + 1),
            y: area.y + place / across * height,
            width,
            height,
        };
        draw_panel(view, service, panel, theme, buffer);
    }
    let (above, below) = (first_line, lines - first_line - shown_lines);
    if above + below > 0 && area.height > 0 {
        let more = format!(
            "↑{} ↓{}",
            above * across,
            count.saturating_sub((first_line + shown_lines) * across)
        );
        let corner = Rect { y: area.bottom() - 1, height: 1, ..area };
        line::right(&more, corner, 0, theme.selected(), buffer);
    }
}

fn draw_panel(view: &View, index: usize, panel: Rect, theme: Theme, buffer: &mut Buffer) {
    let service = &view.services[index];
    let selected = index == view.selected && view.services.len() > 1;
    let first = Rect { height: 1, ..panel };
    let end = title::draw(service, view.now, first, selected, theme, buffer);
    if end + 20 <= panel.right() {
        line::heading(first, theme, buffer);
    }
    let mut y = panel.y + 1;
    if let Some(error) = title::error(service) {
        let shown = text::head(error, panel.width.into());
        buffer.set_stringn(panel.x, y, shown, panel.width.into(), theme.down());
        y += 1;
    }
    // One empty line between two services above each other.
    let rows = view.rows(index);
    let names = line::names(&rows[..rows.len().min(panel.height.into())], panel.width);
    for (row, name) in rows.iter().zip(&names) {
        if y + 1 >= panel.bottom() && panel.height > 2 || y >= panel.bottom() {
            break;
        }
        let one = Rect { y, height: 1, ..panel };
        line::draw(row, name, service, view.rates, one, Default::default(), theme, buffer);
        y += 1;
    }
}
