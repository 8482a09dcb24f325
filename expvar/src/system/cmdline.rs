//! The program's arguments, with secrets redacted.
//!
//! The [`global`](crate::global()) registry shows them under `cmdline`, as Go does. A value is
//! shown as `[redacted]` if it is one of these:
//!
//! - the value of an option, assignment, header, JSON field or query parameter whose name suggests
//!   a secret: `--password=…`, `--api-key …`, `DB_PASSWORD=…`, `?token=…`, `Authorization: Bearer
//!   …`, `{"secret":"…"}`. Names that only refer to one (`--token-file`) or describe it
//!   (`--token-ttl`) are not redacted;
//! - the password in a URL, `scheme://user:…@host`, or after `-u user:…`;
//! - a word in a well-known format of secrets: keys and tokens of AWS, GitHub, GitLab, Google,
//!   OpenAI, Slack and Stripe, and JSON web tokens.
//!
//! This is best effort: a secret that looks like an ordinary word is shown. Avoid secrets in
//! arguments, where every user of the machine can see them.
//!
//! [`show_secrets`] disables redaction; `expvar::global().remove("cmdline")` removes the variable.

mod redact;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::Func;
use redact::Redactor;

/// The most bytes of arguments shown; the rest becomes one `[truncated]`.
const LIMIT: usize = 64 << 10;

crate::vars! {
    /// The program's arguments, secrets redacted.
    static CMDLINE: Func = "cmdline", init: Func::of(&read);
}

static SHOW_SECRETS: AtomicBool = AtomicBool::new(false);

/// Disables redaction: from now on `cmdline` shows every argument unchanged.
pub fn show_secrets() {
    SHOW_SECRETS.store(true, Relaxed);
}

/// Returns the program's name and arguments, redacted unless [`show_secrets`] was called. At most
/// 64 KiB.
pub fn read() -> Vec<String> {
    let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    bounded(if SHOW_SECRETS.load(Relaxed) {
        Box::new(arguments) as Box<dyn Iterator<Item = String>>
    } else {
        Box::new(redacted(arguments))
    })
}

/// The variable that the [`global`](crate::global()) registry shows as `cmdline`.
pub fn variable() -> Func {
    Func::new(read)
}

/// Redacts any other list of arguments, for example for a log.
///
/// ```
/// let arguments = ["serve", "--listen=:80", "--password", "hunter2"].map(String::from);
/// let shown: Vec<String> = expvar::cmdline::redacted(arguments).collect();
/// assert_eq!(shown, ["serve", "--listen=:80", "--password", "[redacted]"]);
/// ```
pub fn redacted(arguments: impl IntoIterator<Item = String>) -> impl Iterator<Item = String> {
    let mut redactor = Redactor::default();
    arguments.into_iter().map(move |argument| redactor.argument(&argument))
}

fn bounded(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut shown = Vec::new();
    let mut room = LIMIT;
    for argument in arguments {
        let Some(rest) = room.checked_sub(argument.len() + 1) else {
            shown.push("[truncated]".to_owned());
            break;
        };
        room = rest;
        shown.push(argument);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_bounded() {
        let long = bounded(std::iter::repeat_n("x".repeat(1023), 100));
        assert_eq!(long.len(), 65);
        assert_eq!(long[64], "[truncated]");
        assert_eq!(bounded(std::iter::once("y".repeat(LIMIT))), ["[truncated]"]);
        assert_eq!(bounded(["a".to_owned(), String::new()].into_iter()), ["a", ""]);
    }
}
