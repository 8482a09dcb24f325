//! The program's arguments, with what looks like a secret replaced.
//!
//! The [`global`](crate::global()) registry shows them under `cmdline`, as Go does. Who can read a
//! service's variables should not thereby get its passwords, so a value is shown as `[redacted]`
//! when it is one of these:
//!
//! - what an option, an assignment, a header, a field of JSON or of a query gives to a name that
//!   speaks of a secret: `--password=…`, `--api-key …`, `DB_PASSWORD=…`, `?token=…`,
//!   `Authorization: Bearer …`, `{"secret":"…"}`. Names that only point at one (`--token-file`) or
//!   measure it (`--token-ttl`) stay;
//! - the password in a URL, `scheme://user:…@host`, and the one behind `-u user:…`;
//! - a word in a well-known form of secret, whatever its name: keys and tokens of AWS, GitHub,
//!   GitLab, Google, OpenAI, Slack and Stripe, and JSON web tokens.
//!
//! It is a net and no proof: a secret that looks like any other word is shown. Better not to have
//! secrets among the arguments, where every user of the machine can see them.
//!
//! [`show_secrets`] turns it off; `expvar::global().remove("cmdline")` shows nothing at all.

mod redact;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::Func;
use redact::Redactor;

/// How many bytes of arguments are shown; what is past that is one `[truncated]`.
const LIMIT: usize = 64 << 10;

crate::vars! {
    /// The program's arguments, secrets redacted.
    static CMDLINE: Func = "cmdline", init: Func::of(&read);
}

static SHOW_SECRETS: AtomicBool = AtomicBool::new(false);

/// From now on `cmdline` shows every argument as it is.
pub fn show_secrets() {
    SHOW_SECRETS.store(true, Relaxed);
}

/// The program's name and arguments, secrets redacted unless [`show_secrets`] was called; at most
/// 64 KiB of them.
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

/// Any other list of arguments, treated the same way: for logs, say.
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
