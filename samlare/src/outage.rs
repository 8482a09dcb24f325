//! Logs the senders' events: destinations that accept no points, and lost points.

use std::fmt::Display;

use expvar_carbon::{Event, Unsent};

use crate::log::{Level, Log};

/// Logs an event.
pub fn tell(log: &Log, event: &Event) {
    let level = if event.is_trouble() { Level::Warn } else { Level::Info };
    let say = |message, fields: &[(&str, &dyn Display)]| log.event(level, message, fields);
    match event {
        Event::Away { destination, error } => {
            say(
                "destination accepts no points, they are queued",
                &[("destination", destination), ("error", error)],
            );
        }
        Event::Back { destination, after, dropped } => say(
            "destination is back",
            &[("destination", destination), ("after_secs", &after.as_secs()), ("dropped", dropped)],
        ),
        Event::FailedOver { server, error } => say(
            "a preferred server accepts no points, another one gets them",
            &[("server", server), ("error", error)],
        ),
        Event::FailedBack { server, after } => say(
            "points go to the preferred server again",
            &[("server", server), ("after_secs", &after.as_secs())],
        ),
        Event::Dropping { destination } => say(
            "queue is full, the oldest points are dropped: raise QueueBytes",
            &[("destination", destination)],
        ),
        Event::Dropped { destination, points } => {
            say("queue is empty again", &[("destination", destination), ("dropped", points)]);
        }
        Event::Refusing { reason, remedy } => {
            say("points are rejected", &[("reason", reason), ("remedy", remedy)]);
        }
        Event::Refused { reason, points } => {
            say("no more points are rejected", &[("reason", reason), ("rejected", points)]);
        }
        Event::Rejecting { destination, problem, remedy } => say(
            "destination rejects points",
            &[("destination", destination), ("problem", problem), ("remedy", remedy)],
        ),
        Event::Rejected { destination, points } => say(
            "destination accepts all points again",
            &[("destination", destination), ("rejected", points)],
        ),
        Event::SpoolFailed { directory, error } => say(
            "spool cannot be written, points are kept in memory only",
            &[("directory", directory), ("error", error)],
        ),
        Event::SpoolRecovered { directory } => {
            say("spool can be written again", &[("directory", directory)]);
        }
        Event::SpoolUnread { directory, points } => say(
            "spool has points for a server that is no longer configured: configure it again, or \
             remove the directory",
            &[("directory", directory), ("points", points)],
        ),
        Event::SpoolDamaged { file, problem } => {
            say("spool is damaged", &[("file", file), ("problem", problem)]);
        }
        other => say("sender", &[("event", other)]),
    }
}

/// Logs what a sender that ends has not sent; `is_kept` if a spool keeps it for the next start.
pub fn unsent(log: &Log, unsent: &Unsent, is_kept: bool) {
    let Unsent { points, bytes, unconfirmed, .. } = unsent;
    if *points > 0 {
        let (message, remedy) = if is_kept {
            ("points unsent at the deadline are kept in SpoolDir", "start samlare to send them")
        } else {
            ("points unsent at the deadline are lost", "raise FlushTimeout, or set SpoolDir")
        };
        let fields: [(&str, &dyn Display); 3] =
            [("points", points), ("bytes", bytes), ("remedy", &remedy)];
        log.event(Level::Warn, message, &fields);
    }
    if *unconfirmed > 0 {
        log.event(
            Level::Warn,
            "points were sent, but the server had not read them at the deadline",
            &[("points", unconfirmed)],
        );
    }
}
