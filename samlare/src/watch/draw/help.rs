//! The help for keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Block, Clear, Widget};

use super::theme::Theme;

/// Keys and what they do.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("q  Ctrl-C", "quit"),
    ("?  h", "this help; any key closes it"),
    ("p  Space", "pause the screen, or resume"),
    ("r", "counters as rate or as total"),
    ("Tab  n  →", "next service (Shift-Tab, N, ←: previous)"),
    ("Enter", "the selected service alone; Esc goes back"),
    ("/", "show only names with these words; Esc clears"),
    ("a", "all variables, or only the important ones"),
    ("↑ ↓  j k", "choose a variable (PgUp, PgDn, Home, End)"),
];

const NOTES: &[&str] =
    &["● up  ✖ down  ↻ restarted", "K, M, G of bytes are powers of 1024, others of 1000."];

pub(super) fn draw(area: Rect, theme: Theme, buffer: &mut Buffer) {
    let lines = (KEYS.len() + NOTES.len() + 3) as u16;
    let place = Rect::new(area.x, area.y, area.width.min(66), area.height.min(lines));
    let place = Rect {
        x: area.x + (area.width - place.width) / 2,
        y: area.y + (area.height - place.height) / 2,
        ..place
    };
    Clear.render(place, buffer);
    let block = Block::bordered().title(" Keys ");
    let inner = block.inner(place);
    block.render(place, buffer);
    let room = usize::from(inner.width.saturating_sub(1));
    for (y, (keys, what)) in (inner.y..inner.bottom()).zip(KEYS) {
        buffer.set_stringn(inner.x + 1, y, keys, room, theme.strong());
        buffer.set_stringn(inner.x + 13, y, what, room.saturating_sub(12), theme.faint());
    }
    let below = inner.y + KEYS.len() as u16 + 1;
    for (y, note) in (below..inner.bottom()).zip(NOTES) {
        buffer.set_stringn(inner.x + 1, y, note, room, theme.faint());
    }
}
