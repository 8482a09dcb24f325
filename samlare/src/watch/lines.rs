//! `-dummy`: prints lines instead of drawing.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;

use super::poll::Answer;
use super::series::Latest;
use super::service::State;
use super::text;
use super::units::Unit;
use super::view::View;

/// How many variables are printed by default.
const PICKED: usize = 8;

/// Prints the time and a line for each service at each interval, until the reader has gone.
///
/// # Errors
/// Standard output cannot be written, for another reason than a closed pipe.
pub(super) async fn run(
    mut view: View,
    mut answers: mpsc::Receiver<Answer>,
    interval: Duration,
) -> io::Result<()> {
    let mut out = io::stdout();
    let mut missing = view.services.len();
    let mut due = tokio::time::interval(interval);
    due.tick().await;
    loop {
        let complete = tokio::select! {
            Some(answer) = answers.recv() => {
                let document = answer.document.as_ref().map(|body| body.bytes());
                view.take(answer.service, answer.at, document.map_err(Clone::clone));
                if let Some(metrics) = &answer.metrics {
                    view.learn(answer.service, &String::from_utf8_lossy(metrics.bytes()));
                }
                missing = missing.saturating_sub(1);
                missing == 0
            }
            // A slow service does not delay the others.
            _ = due.tick() => missing < view.services.len(),
        };
        if complete {
            missing = view.services.len();
            let time = humantime::format_rfc3339_seconds(SystemTime::now());
            match writeln!(out, "{time}\n{}", lines(&view)).and_then(|()| out.flush()) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                written => written?,
            }
        }
    }
}

/// A line for each service: `api localhost:80: Alloc: 1.5MB, hits: 42`.
fn lines(view: &View) -> String {
    let mut lines = Vec::new();
    for (index, service) in view.services.iter().enumerate() {
        let mut line = format!("{}: ", service.title());
        match &service.state {
            State::Down { error, .. } => line.push_str(&format!("ERROR: {error}")),
            State::Waiting => line.push('…'),
            State::Up => {
                let values = view.rows(index).into_iter().take(match view.named() {
                    true => usize::MAX,
                    false => PICKED,
                });
                let values = values.map(|row| {
                    let name = text::harmless(row.name.rsplit('.').next().unwrap_or_default());
                    let value = match row.series.map(|series| &series.latest) {
                        Some(Latest::Text(value)) => text::harmless(value),
                        Some(Latest::Flag(value)) => value.to_string(),
                        Some(Latest::Number(value)) if row.unit == Unit::Text => value.to_string(),
                        Some(Latest::Number(value)) => row.unit.show(*value),
                        Some(Latest::Null) | None => "N/A".to_owned(),
                    };
                    format!("{name}: {value}")
                });
                line.push_str(&values.collect::<Vec<_>>().join(", "));
            }
        }
        lines.push(line);
    }
    lines.join("\n")
}
