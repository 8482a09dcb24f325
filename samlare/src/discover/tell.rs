//! Logs a source's failures, recoveries and invalid targets.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use super::status::{Report, Status};
use crate::log::{Level, Limiter, Log};

/// The interval of checks for suppressed lines.
const PAUSE: Duration = Duration::from_secs(60);

/// Logs a source's changes, forever. One task for each source.
pub async fn tell(status: Arc<Status>, log: Log) {
    let mut limiter = Limiter::default();
    let mut before = Report::default();
    loop {
        let now = status.report();
        changes(&before, &now, &mut limiter, &log);
        before = now;
        // On a timeout only suppressed lines may be due.
        let _ = tokio::time::timeout(PAUSE, status.changed()).await;
    }
}

fn changes(before: &Report, now: &Report, limiter: &mut Limiter, log: &Log) {
    let say = |level, message, suppressed: u64, fields: &[(&str, &dyn Display)]| {
        let mut all: Vec<(&str, &dyn Display)> = vec![("source", &now.source)];
        all.extend_from_slice(fields);
        if suppressed > 0 {
            all.push(("suppressed", &suppressed));
        }
        log.event(level, message, &all);
    };
    let is_news = !before.failing || now.last_error != before.last_error;
    if now.failing {
        let held = if is_news { limiter.failed() } else { limiter.still_failing() };
        if let Some(held) = held {
            let fields: [(&str, &dyn Display); 2] =
                [("error", &now.last_error), ("targets", &now.targets)];
            say(Level::Warn, "source failed, its last targets stay", held, &fields);
        }
    } else if before.failing && !now.failing {
        if let Some(held) = limiter.recovered() {
            say(Level::Info, "source answers again", held, &[("targets", &now.targets)]);
        }
    } else if let Some(held) = limiter.held_back() {
        say(Level::Warn, "source failed more often", held, &[]);
    }
    let first = before.answers == 0 && now.answers > 0;
    if first || now.changes > before.changes {
        say(Level::Info, "targets found", 0, &[("targets", &now.targets)]);
    }
    if now.left_out > 0
        && (now.left_out, &now.left_out_why) != (before.left_out, &before.left_out_why)
    {
        let fields: [(&str, &dyn Display); 2] =
            [("targets", &now.left_out), ("error", &now.left_out_why)];
        say(Level::Warn, "targets left out", 0, &fields);
    } else if now.left_out == 0 && before.left_out > 0 {
        say(Level::Info, "no target is left out any more", 0, &[]);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::config::LogFormat;
    use crate::log::tests::Kept;

    /// The last line about a source that fails or answers in turn, and then stays as it is.
    async fn last_line(ends_failing: bool) -> String {
        let kept = Kept::default();
        let log = Log::to(LogFormat::Text, kept.clone());
        let mut limiter = Limiter::default();
        let mut before = Report::default();
        let mut turn = |failing| {
            let failing = Report {
                source: "s".to_owned(),
                failing,
                last_error: "refused".to_owned(),
                ..Report::default()
            };
            changes(&before, &failing, &mut limiter, &log);
            before = failing;
        };
        for _ in 0..5 {
            turn(true);
            turn(false);
        }
        turn(ends_failing);
        advance(PAUSE).await;
        // Nothing new, but the window is over.
        turn(ends_failing);
        let text = String::from_utf8(kept.0.lock().clone()).unwrap();
        let (_, last) = text.lines().last().unwrap().split_once(' ').unwrap();
        last.to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_line_about_a_source_is_true() {
        let failed = "warn source failed, its last targets stay source=s error=refused targets=0";
        assert_eq!(last_line(true).await, format!("{failed} suppressed=2"));
        assert_eq!(last_line(false).await, "warn source failed more often source=s suppressed=2");
    }
}
