//! The event loop: draws, handles keys and responses, until quit.

use std::io;
use std::time::Duration;

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::poll::Answer;
use super::terminal::Terminal;
use super::view::{Asked, View};

/// Responses within this time are drawn together.
const TOGETHER: Duration = Duration::from_millis(100);

/// How often ages on the screen are updated.
const CLOCK: Duration = Duration::from_secs(1);

/// Runs until a key, a signal or the end of the terminal.
///
/// # Errors
/// There is no terminal, or it fails.
pub(super) async fn run(mut view: View, mut answers: mpsc::Receiver<Answer>) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminal = Terminal::enter()?;
    let mut events = EventStream::new();
    let start = Instant::now();
    let mut clock = tokio::time::interval(CLOCK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut draw_at = Some(start);
    loop {
        let due = draw_at.unwrap_or(start);
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(Event::Key(key))) => {
                    match view.key(key) {
                        Asked::Quit => return Ok(()),
                        Asked::Suspend => terminal.suspend()?,
                        Asked::Draw => {}
                    }
                    draw_at = Some(Instant::now());
                }
                Some(Ok(Event::Resize(..))) => draw_at = Some(Instant::now()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            Some(answer) = answers.recv() => {
                let document = answer.document.as_ref().map(|body| body.bytes());
                view.take(answer.service, answer.at, document.map_err(Clone::clone));
                if let Some(metrics) = &answer.metrics {
                    view.learn(answer.service, &String::from_utf8_lossy(metrics.bytes()));
                }
                if !view.paused() {
                    draw_at.get_or_insert(Instant::now() + TOGETHER);
                }
            }
            // Only ages change by themselves; they are drawn with the next response if one is due.
            _ = clock.tick(), if view.ages() => {
                draw_at.get_or_insert(Instant::now() + 2 * TOGETHER);
            }
            () = tokio::time::sleep_until(due), if draw_at.is_some() => {
                draw_at = None;
                if !view.paused() {
                    view.now = start.elapsed().as_secs_f64();
                }
                terminal.draw(&view)?;
            }
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
        }
    }
}
