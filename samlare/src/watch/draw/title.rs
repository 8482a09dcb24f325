//! A service's name and state.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::theme::Theme;
use crate::watch::service::{Service, State};
use crate::watch::text;
use crate::watch::units;

/// How long a restart is shown with its age.
const RECENT_SECS: f64 = 600.0;

/// Draws the title into the single line of `area`; returns its end.
pub(super) fn draw(
    service: &Service,
    now: f64,
    area: Rect,
    selected: bool,
    theme: Theme,
    buffer: &mut Buffer,
) -> u16 {
    let (mark, mark_style) = match service.state {
        State::Waiting => ("○", theme.faint()),
        State::Up => ("●", theme.up()),
        State::Down { .. } => ("✖", theme.down()),
    };
    let narrow = area.width < 60;
    let state = condition(service, now, narrow);
    let state_style = match service.state {
        State::Down { .. } => theme.down(),
        _ => theme.warn(),
    };
    let room = usize::from(area.width);
    let name_room = room.saturating_sub(text::columns(&state) + 3);
    let name = fitted(service, name_room);
    let name_style = if selected { theme.selected() } else { Style::new() };
    let (x, y) = (area.x, area.y);
    buffer.set_stringn(x, y, mark, room, mark_style);
    let name_style = name_style.patch(theme.strong());
    let room_after_mark = room.saturating_sub(2);
    let (x, _) = buffer.set_stringn(x + 2.min(area.width), y, name, room_after_mark, name_style);
    let left = usize::from(area.right().saturating_sub(x + 1));
    if state.is_empty() || left == 0 {
        return x;
    }
    buffer.set_stringn(x + 1, y, state, left, state_style).0
}

/// The service's title; the program's name and the port are shortened last.
fn fitted(service: &Service, room: usize) -> String {
    let title = service.title();
    if text::columns(&title) <= room || service.program.is_empty() {
        return text::tail(&title, room);
    }
    let address = text::columns(&service.address).min(room / 2);
    let program = text::head(&service.program, room.saturating_sub(address + 1));
    let left = room.saturating_sub(text::columns(&program) + 1);
    format!("{program} {}", text::tail(&service.address, left))
}

/// An unusual state: `DOWN 12s`, `restarted 5s ago`, `2 restarts`.
fn condition(service: &Service, now: f64, narrow: bool) -> String {
    let ago = |then: f64| units::duration((now - then).max(0.0).round());
    let restarted = match service.restarted_at {
        Some(then) if now - then < RECENT_SECS && narrow => {
            let count =
                if service.restarts == 1 { String::new() } else { service.restarts.to_string() };
            format!("↻{count} {} ago", ago(then))
        }
        Some(then) if now - then < RECENT_SECS && service.restarts == 1 => {
            format!("↻ restarted {} ago", ago(then))
        }
        Some(then) if now - then < RECENT_SECS => {
            format!("↻{} restarted {} ago", service.restarts, ago(then))
        }
        Some(_) => format!("↻{}", service.restarts),
        None => String::new(),
    };
    match &service.state {
        State::Down { since, .. } => format!("DOWN {}", ago(*since)),
        State::Waiting => "…".to_owned(),
        State::Up => restarted,
    }
}

/// Why the service is down, if it is.
pub(super) fn error(service: &Service) -> Option<&str> {
    match &service.state {
        State::Down { error, .. } => Some(error),
        _ => None,
    }
}
