//! The members that share all endpoints.

use std::time::Duration;

use super::section::Section;
use crate::cluster::{Address, Login, Settings};

/// A lease of etcd lasts two seconds at least.
const LEAST_TTL_MS: u64 = 2_000;

/// Reads `[cluster]`.
pub(super) fn read(section: Section<'_>) -> Option<Settings> {
    let engine = match section.string("Engine") {
        Some(text) => {
            Address::parse_all(&text).map_err(|error| section.error("Engine", error)).ok()
        }
        None => {
            if !section.has("Engine") {
                let message = "it is missing: write Engine = \"etcd://host:2379\"";
                section.error("Engine", message);
            }
            None
        }
    };
    let name = section
        .string("Name")
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| gethostname::gethostname().to_string_lossy().into_owned());
    let mut settings = Settings::new(engine.unwrap_or_default(), &name);
    if let Some(group) = section.string("Group").filter(|group| !group.is_empty()) {
        settings.group = group;
    }
    if let Some(ttl) = section.milliseconds("Ttl", LEAST_TTL_MS..600_000) {
        settings.ttl = ttl;
    }
    if let Some(replicas) = section.integer("Replicas", 1..100, "members") {
        settings.replicas = replicas as usize;
    }
    settings.overlap = section.boolean("Overlap").unwrap_or(settings.overlap);
    settings.required = section.boolean("Required").unwrap_or(settings.required);
    settings.ca_file = section.file_path("CaFile");
    settings.client_certificate =
        match (section.file_path("CertFile"), section.file_path("KeyFile")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                section.error("CertFile", "CertFile and KeyFile go together: give both");
                None
            }
        };
    settings.server_name = section.string("ServerName");
    let implied = settings.ca_file.is_some()
        || settings.client_certificate.is_some()
        || settings.server_name.is_some();
    settings.tls = section.boolean("Tls").unwrap_or(implied);
    if implied && !settings.tls {
        section.error("Tls", "it is false, and there are certificates: remove one or the other");
    }
    settings.login = login(&section);
    if settings.tls
        && section.looks_at_files()
        && let Err(error) = crate::cluster::Etcd::new(&settings)
    {
        section.error("Tls", format!("{}: {}", error.problem(), error.remedy()));
    }
    let is_whole = !settings.engine.is_empty();
    section.finish();
    is_whole.then_some(settings)
}

fn login(section: &Section<'_>) -> Option<Login> {
    let user = section.string("User").filter(|user| !user.is_empty());
    let password = section.string("Password");
    let password_file = section.file_path("PasswordFile");
    let Some(user) = user else {
        if password.is_some() || password_file.is_some() {
            section.error("User", "it is missing: a password needs a User");
        }
        return None;
    };
    match (&password, &password_file) {
        (None, None) => {
            section.error("User", "it has no password: write PasswordFile = \"…\"");
        }
        (Some(_), Some(_)) => {
            section.error("Password", "there is a PasswordFile too: keep one of them");
        }
        (None, Some(path)) => super::review::token_file(section, "PasswordFile", path),
        (Some(_), None) => {}
    }
    Some(Login { user, password: password.unwrap_or_default(), password_file })
}

/// What the settings of all endpoints mean for a cluster: no slot is missed when a member dies only
/// where the rest of a slot is long enough to notice and to poll.
pub(super) fn review(
    root: &Section<'_>,
    settings: &Settings,
    shortest: Option<(Duration, Duration)>,
) {
    let Some((interval, timeout)) = shortest else { return };
    let needed = settings.ttl + Duration::from_millis(500) + timeout;
    if settings.overlap && needed >= interval {
        root.warn(
            "CheckInterval",
            format!(
                "a member that dies leaves gaps where the interval is not longer than Ttl + 500 + \
                 Timeout, {} milliseconds here: lengthen it, or shorten Timeout",
                needed.as_millis()
            ),
        );
    }
}
