//! The terminal while it is drawn on, and as it was afterwards.

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

/// Whether the terminal is ours at the moment.
static DRAWING: AtomicBool = AtomicBool::new(false);

/// A terminal that is drawn on. Dropping it gives the terminal back as it was;
/// so does a panic in any thread, before its message is written.
pub struct Terminal {
    inner: Inner,
}

type Inner = ratatui::Terminal<CrosstermBackend<Stdout>>;

impl Terminal {
    /// Takes the terminal of standard output.
    ///
    /// # Errors
    /// When standard input or output is no terminal, or it cannot be set up.
    pub fn enter() -> io::Result<Terminal> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(io::Error::other("this is no terminal; use -dummy to print lines"));
        }
        restore_on_panic();
        Ok(Terminal { inner: take()? })
    }

    /// Gives the terminal back, stops as Ctrl-Z stops a program, and takes the terminal again
    /// when the shell lets it go on.
    ///
    /// # Errors
    /// When the terminal cannot be taken again.
    pub fn suspend(&mut self) -> io::Result<()> {
        restore();
        rustix::process::kill_current_process_group(Signal::TSTP)?;
        self.inner = take()?;
        Ok(())
    }

    /// Draws the view, in the terminal's present size.
    ///
    /// # Errors
    /// When the terminal cannot be written to, or a panic has taken it away.
    pub fn draw(&mut self, view: &View) -> io::Result<()> {
        if !DRAWING.load(SeqCst) {
            return Err(io::Error::other("a panic took the terminal"));
        }
        // Terminals that know it show the frame as a whole; others ignore it.
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

/// Makes the terminal ours, until [`restore`].
fn take() -> io::Result<Inner> {
    DRAWING.store(true, SeqCst);
    enable_raw_mode()
        .and_then(|()| execute!(io::stdout(), EnterAlternateScreen))
        .and_then(|()| ratatui::Terminal::new(CrosstermBackend::new(io::stdout())))
        .inspect_err(|_| restore())
}

/// Gives the terminal back; does nothing the second time.
fn restore() {
    if DRAWING.swap(false, SeqCst) {
        // Nothing helps where even this fails.
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
