//! The terminal while drawing, and its restoration.

use std::io::{self, IsTerminal, Stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crossterm::cursor::Show;
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::backend::CrosstermBackend;
use rustix::process::Signal;

use super::draw::draw;
use super::view::View;

/// Whether the terminal is in use.
static DRAWING: AtomicBool = AtomicBool::new(false);

/// A terminal in raw mode. Restored on drop, and by a panic in any thread before its message is
/// written.
pub struct Terminal {
    inner: Inner,
}

type Inner = ratatui::Terminal<CrosstermBackend<Stdout>>;

impl Terminal {
    /// Takes over the terminal of standard output.
    ///
    /// # Errors
    /// Standard input or output is not a terminal, or it cannot be configured.
    pub fn enter() -> io::Result<Terminal> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(io::Error::other("this is no terminal; use -dummy to print lines"));
        }
        restore_on_panic();
        Ok(Terminal { inner: take()? })
    }

    /// Restores the terminal, stops the process like Ctrl-Z, and takes over the terminal again when
    /// the shell resumes it.
    ///
    /// # Errors
    /// The terminal cannot be taken over again.
    pub fn suspend(&mut self) -> io::Result<()> {
        restore();
        rustix::process::kill_current_process_group(Signal::TSTP)?;
        self.inner = take()?;
        Ok(())
    }

    /// Draws the view at the terminal's current size.
    ///
    /// # Errors
    /// The terminal cannot be written to, or a panic has restored it.
    pub fn draw(&mut self, view: &View) -> io::Result<()> {
        if !DRAWING.load(SeqCst) {
            return Err(io::Error::other("a panic took the terminal"));
        }
        // Terminals that support it show the frame at once; others ignore it.
        queue!(io::stdout(), BeginSynchronizedUpdate)?;
        self.inner.draw(|frame| draw(view, frame.area(), frame.buffer_mut()))?;
        execute!(io::stdout(), EndSynchronizedUpdate)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Takes over the terminal, until [`restore`].
fn take() -> io::Result<Inner> {
    DRAWING.store(true, SeqCst);
    enable_raw_mode()
        .and_then(|()| execute!(io::stdout(), EnterAlternateScreen))
        .and_then(|()| ratatui::Terminal::new(CrosstermBackend::new(io::stdout())))
        .inspect_err(|_| restore())
}

/// Restores the terminal, once.
fn restore() {
    if DRAWING.swap(false, SeqCst) {
        // An error here cannot be handled.
        let _ = disable_raw_mode();
        let _ = execute!(io::stdout(), EndSynchronizedUpdate, LeaveAlternateScreen, Show);
    }
}

fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
    });
}
