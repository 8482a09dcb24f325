//! The log: one line for each event, on standard error.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::LogFormat;

/// The window of the limit below.
const WINDOW: Duration = Duration::from_secs(60);
/// How many failures of one endpoint are logged in a window.
const BURST: u32 = 3;

/// Writes events; clones share the output and its format.
#[derive(Clone)]
pub struct Log {
    is_text: Arc<AtomicBool>,
    /// Lines begin with a journald priority: `<4>`.
    priorities: bool,
    out: Arc<Mutex<dyn Write + Send>>,
}

/// The severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Normal operation.
    Info,
    /// A problem that samlare works around.
    Warn,
    /// A request that cannot be fulfilled.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }

    /// The priority of journald and syslog.
    fn priority(self) -> u8 {
        match self {
            Level::Info => 6,
            Level::Warn => 4,
            Level::Error => 3,
        }
    }
}

impl Log {
    /// A log on standard error, with priorities if that is systemd's journal.
    pub fn stderr(format: LogFormat) -> Log {
        Log { priorities: stderr_is_journal(), ..Log::to(format, std::io::stderr()) }
    }

    /// A log to another writer.
    pub fn to(format: LogFormat, out: impl Write + Send + 'static) -> Log {
        let is_text = Arc::new(AtomicBool::new(format == LogFormat::Text));
        Log { is_text, priorities: false, out: Arc::new(Mutex::new(out)) }
    }

    /// Changes the format, for all clones.
    pub fn set_format(&self, format: LogFormat) {
        self.is_text.store(format == LogFormat::Text, Relaxed);
    }

    fn format(&self) -> LogFormat {
        if self.is_text.load(Relaxed) { LogFormat::Text } else { LogFormat::Json }
    }

    /// Writes an event: the message, then `fields` in order.
    pub fn event(&self, level: Level, message: &str, fields: &[(&str, &dyn std::fmt::Display)]) {
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let text = match self.format() {
            LogFormat::Json => {
                let mut line = String::from("{\"ts\":");
                line.push_str(&quoted(&time));
                line.push_str(&format!(
                    ",\"level\":\"{}\",\"msg\":{}",
                    level.name(),
                    quoted(message)
                ));
                for (name, value) in fields {
                    let value = value.to_string();
                    let number = value.len() < 16 && value.parse::<u64>().is_ok();
                    let value = if number { value } else { quoted(&value) };
                    line.push_str(&format!(",{}:{value}", quoted(name)));
                }
                line.push('}');
                line
            }
            LogFormat::Text => {
                let mut line = format!("{time} {} {}", level.name(), printable(message));
                for (name, value) in fields {
                    let value = value.to_string();
                    let plain = value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
                    let value = if plain && !value.is_empty() { value } else { quoted(&value) };
                    line.push_str(&format!(" {name}={}", printable(&value)));
                }
                line
            }
        };
        let priority =
            if self.priorities { format!("<{}>", level.priority()) } else { String::new() };
        let line = format!("{priority}{text}\n");
        // A closed standard error cannot be reported.
        let _ = self.out.lock().write_all(line.as_bytes());
    }
}

/// Whether standard error is the journal: compares with device and inode in `JOURNAL_STREAM`.
#[cfg(unix)]
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stat) = rustix::fs::fstat(std::io::stderr()) else { return false };
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

#[cfg(not(unix))]
fn stderr_is_journal() -> bool {
    false
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Removes terminal control characters.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Limits an endpoint's failures, and counts suppressed ones.
///
/// A recovery is never suppressed, so the last line about an endpoint is true.
#[derive(Debug, Default)]
pub struct Limiter {
    since: Option<Instant>,
    written: u32,
    suppressed: u64,
    /// The last line was a failure.
    told_failure: bool,
}

impl Limiter {
    /// Whether to log a failure now, and then how many were suppressed before it.
    pub fn failed(&mut self) -> Option<u64> {
        if self.is_over() {
            self.since = Some(Instant::now());
            self.written = 0;
        }
        if self.written == BURST {
            self.suppressed += 1;
            return None;
        }
        self.written += 1;
        self.told_failure = true;
        Some(std::mem::take(&mut self.suppressed))
    }

    /// Whether to log a failure that lasts and was suppressed, once its window is over, and how many
    /// others were suppressed.
    pub fn still_failing(&mut self) -> Option<u64> {
        let others = self.held_back()?.saturating_sub(1);
        self.failed();
        Some(others)
    }

    /// Whether to log a recovery, and how many failures were suppressed before it: always, unless
    /// the last line was one.
    pub fn recovered(&mut self) -> Option<u64> {
        std::mem::take(&mut self.told_failure).then(|| std::mem::take(&mut self.suppressed))
    }

    /// The number of failures suppressed in a window that is over; returned once.
    pub fn held_back(&mut self) -> Option<u64> {
        (self.suppressed > 0 && self.is_over()).then(|| std::mem::take(&mut self.suppressed))
    }

    fn is_over(&self) -> bool {
        self.since.is_none_or(|since| since.elapsed() >= WINDOW)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A log's output, kept.
    #[derive(Clone, Default)]
    pub(crate) struct Kept(pub(crate) Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn hostile_text_stays_inside_its_line() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let kept = Kept::default();
            Log::to(format, kept.clone()).event(
                Level::Warn,
                "fetch failed",
                &[("endpoint", &"http://a/\u{1b}[2J"), ("error", &"a\n{\"msg\":\"b\"}")],
            );
            let text = String::from_utf8(kept.0.lock().clone()).unwrap();
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            assert!(!text.contains('\u{1b}'), "{text}");
            if format == LogFormat::Json {
                let line: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(line["error"], "a\n{\"msg\":\"b\"}");
                assert_eq!(line["level"], "warn");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_noisy_endpoint_is_held_back_and_counted() {
        let mut limiter = Limiter::default();
        let admitted: Vec<_> = (0..10).map(|_| limiter.failed()).collect();
        assert_eq!(&admitted[..4], [Some(0), Some(0), Some(0), None]);
        assert_eq!(limiter.held_back(), None);
        tokio::time::advance(WINDOW).await;
        assert_eq!(limiter.failed(), Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_line_is_true_and_what_was_held_back_is_told() {
        let mut limiter = Limiter::default();
        for _ in 0..5 {
            limiter.failed();
        }
        assert_eq!(limiter.recovered(), Some(2), "never held back");
        // An unstable endpoint: the log said that it is up, and it is.
        for _ in 0..4 {
            assert_eq!(limiter.failed(), None);
            assert_eq!(limiter.recovered(), None);
        }
        assert_eq!(limiter.held_back(), None);
        tokio::time::advance(WINDOW).await;
        assert_eq!(limiter.held_back(), Some(4));
        assert_eq!(limiter.held_back(), None);
    }
}
