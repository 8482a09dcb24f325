//! A hash of the configuration that members of a group must share.

use std::fmt::Write;

use xxhash_rust::xxh64::xxh64;

use crate::config::{Config, Polling};

/// Hashes a configuration's endpoints, sources and polling settings, and `Replicas` and `Overlap`,
/// to 16 hexadecimal digits. Independent of the file's order and comments, and of settings that may
/// differ between machines (paths, `Listen`, the spool, destinations).
pub fn fingerprint(config: &Config) -> String {
    let mut lines: Vec<String> = Vec::new();
    for endpoint in &config.endpoints {
        lines.push(format!(
            "endpoint {:?} {:?} {:?} {}",
            endpoint.target.url(),
            endpoint.prefix,
            endpoint.failure_metric,
            polling(&endpoint.polling)
        ));
    }
    for discover in &config.discover {
        lines.push(format!("discover {} {}", discover.written(), polling(&discover.polling)));
    }
    lines.sort_unstable();
    if let Some(cluster) = &config.cluster {
        lines.push(format!("cluster {} {}", cluster.replicas, cluster.overlap));
    }
    format!("{:016x}", xxh64(lines.join("\n").as_bytes(), 0))
}

fn polling(polling: &Polling) -> String {
    let mut text = format!(
        "{} {} {} {} {}",
        polling.interval.as_millis(),
        polling.timeout.as_millis(),
        polling.leaves_host,
        polling.ascii_names,
        polling.rules.written(),
    );
    for (name, value) in &polling.headers {
        // Values may be secrets: only a hash leaves this function.
        let _ = write!(text, " {name:?} {:?}", value.as_bytes());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        fingerprint(&Config::parse(text).unwrap().0)
    }

    #[test]
    fn only_what_must_be_the_same_changes_it() {
        let a = "[[endpoint]]\nURL = \"http://a/\"\nPrefix = \"a\"\n";
        let b =
            "[[endpoint]]\nURL = \"http://b/\"\nPrefix = \"b\"\nHeaders = { \"X-A\" = \"1\" }\n";
        let found = "[[discover]]\nFiles = [\"t.json\"]\nPrefix = \"{host}\"\n";
        let same = of(&format!("{a}{b}{found}"));
        let ignoring = |keys| format!("IgnoreMetrics = [{keys}]\n{a}{b}{found}");
        for text in [
            format!("# Another order.\n{found}{b}{a}"),
            format!(
                "Listen = \"127.0.0.1:1\"\nSpoolDir = \"/x\"\nCarbonHost = \"h\"\n{a}{b}{found}"
            ),
        ] {
            assert_eq!(of(&text), same, "{text}");
        }
        assert_eq!(of(&ignoring("\"x\", \"y\"")), of(&ignoring("\"y\", \"x\"")));
        for text in [
            format!("{a}{found}"),
            format!("{a}{b}"),
            format!("CheckInterval = 7000\n{a}{b}{found}"),
            ignoring("\"x\""),
            format!("{a}{}{found}", b.replace("\"1\"", "\"2\"")),
            format!("{a}{b}{}", found.replace("{host}", "{port}")),
        ] {
            assert_ne!(of(&text), same, "{text}");
        }
    }
}
