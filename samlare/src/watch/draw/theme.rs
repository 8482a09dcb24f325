//! Styles, with colour and without.

use ratatui::style::{Color, Modifier, Style};

/// Styles; without colour, only weights.
#[derive(Clone, Copy)]
pub(super) struct Theme {
    color: bool,
}

impl Theme {
    pub(super) fn new(color: bool) -> Theme {
        Theme { color }
    }

    fn colored(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    /// Bars and lines of charts.
    pub(super) fn chart(self) -> Style {
        self.colored(Color::Cyan)
    }

    /// Normal state.
    pub(super) fn up(self) -> Style {
        self.colored(Color::Green)
    }

    /// A service that is down.
    pub(super) fn down(self) -> Style {
        self.colored(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// Restarted or paused.
    pub(super) fn warn(self) -> Style {
        self.colored(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// Secondary information.
    pub(super) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Headings.
    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The selection.
    pub(super) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}
