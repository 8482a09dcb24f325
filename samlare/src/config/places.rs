//! Where the file has the keys that are validated when they are used.

use std::collections::BTreeMap;

use expvar_carbon::ConfigError;

use super::problem::Problem;
use super::section::Section;

/// Keys whose values are validated when they are used.
const KEYS: [&str; 17] = [
    "Carbon",
    "CarbonHost",
    "CarbonMode",
    "CarbonCaFile",
    "CarbonCertFile",
    "CarbonKeyFile",
    "CarbonServerName",
    "QueueBytes",
    "ResendWindow",
    "SpoolDir",
    "Route",
    "Replication",
    "Dialect",
    "Diverse",
    "rule",
    "Otlp",
    "Listen",
];

/// Lines and spelling of keys; all are equal, because positions do not matter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(BTreeMap<&'static str, (usize, String)>);

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Places {
    pub(super) fn of(root: &Section<'_>) -> Places {
        Places(root.places(&KEYS))
    }

    /// The error of a Carbon setting, with the key and line it comes from.
    pub(crate) fn problem(&self, error: &ConfigError) -> Problem {
        self.problem_of(sender_key(error.field(), |key| self.0.contains_key(key)), error)
    }

    /// An error of a key's setting, with its line.
    pub(crate) fn at(&self, key: &str, error: &dyn std::fmt::Display) -> Problem {
        let (line, key) = self.0.get(key).cloned().unwrap_or((1, key.to_owned()));
        Problem::new(line, key, error.to_string())
    }

    /// The error of a key's setting.
    pub(crate) fn problem_of(&self, key: &str, error: &ConfigError) -> Problem {
        self.at(key, &format!("{}: {}", error.problem(), error.remedy()))
    }
}

/// The key of a Carbon setting.
pub(super) fn sender_key(field: &str, has: impl Fn(&str) -> bool) -> &'static str {
    match field {
        "spool_dir" => "SpoolDir",
        "queue_bytes" => "QueueBytes",
        "resend_window" => "ResendWindow",
        "tls.server_name" => "CarbonServerName",
        "tls.client_certificate" => "CarbonCertFile",
        "route" => "Route",
        "replication" => "Replication",
        "dialect" => "Dialect",
        "diverse" => "Diverse",
        "matching" => "rule",
        field if field.starts_with("tls") => "CarbonCaFile",
        _ if has("Carbon") => "Carbon",
        _ => "CarbonHost",
    }
}
