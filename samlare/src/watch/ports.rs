//! Lists of services: `80,23000-23010,https://user:pass@host:443`.

/// The most services in a list.
pub(super) const MAX_SERVICES: usize = 1_000;

/// The valid entries, for messages and help.
pub(super) const VALID: &str = "valid are 80 (a port of this machine), 23000-23010 (a range), \
     host:80, host:80-85, [::1]:80, http://host:80/path, https://user:password@host:443, \
     unix:///run/app.sock; commas between them";

/// The URLs of a comma-separated list. `endpoint` is the path of entries without one.
///
/// # Errors
/// Names every invalid entry, and what is valid.
pub(super) fn parse(list: &str, endpoint: &str) -> Result<Vec<String>, String> {
    let mut urls = Vec::new();
    let mut bad = Vec::new();
    for entry in list.split(',').map(str::trim).filter(|e| !e.is_empty()) {
        match expand(entry, endpoint) {
            Ok(found) => urls.extend(found),
            Err(why) => bad.push(format!("{}: {why}", without_credentials(entry))),
        }
    }
    if urls.len() > MAX_SERVICES {
        bad.push(format!(
            "{} services are more than the {MAX_SERVICES} that can be watched at once",
            urls.len()
        ));
    }
    if bad.is_empty() {
        return Ok(urls);
    }
    Err(format!("{}\n{VALID}", bad.join("\n")))
}

fn expand(entry: &str, endpoint: &str) -> Result<Vec<String>, String> {
    if entry.starts_with("unix:") {
        return Ok(vec![entry.to_owned()]);
    }
    if entry.chars().all(|c| c.is_ascii_digit() || c == '-') {
        let local = |port| format!("http://localhost:{port}{endpoint}");
        return Ok(range(entry)?.map(local).collect());
    }
    let (scheme, rest) = match entry.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        Some((scheme, _)) => return Err(format!("{scheme}:// is neither http nor https")),
        None => ("http", entry),
    };
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let path = match path {
        "" | "/" => endpoint.to_owned(),
        path => path.to_owned(),
    };
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (format!("{user}@"), place),
        None => (String::new(), authority),
    };
    let (host, ports) = match place.rsplit_once(':') {
        Some((host, ports)) if !ports.contains(']') => (host, Some(ports)),
        _ => (place, None),
    };
    let host = match host {
        "" if ports.is_some() => "localhost",
        host => host,
    };
    let is_v6 = host.starts_with('[') && host.ends_with(']');
    let fits = |c: char| c.is_alphanumeric() || "-._".contains(c);
    if host.is_empty() || !(is_v6 || host.chars().all(fits)) {
        return Err("no host".to_owned());
    }
    match ports {
        None => Ok(vec![format!("{scheme}://{user}{host}{path}")]),
        Some(ports) => {
            Ok(range(ports)?.map(|port| format!("{scheme}://{user}{host}:{port}{path}")).collect())
        }
    }
}

/// `80`, or `80-85`.
fn range(text: &str) -> Result<std::ops::RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("{text:?} is no port from 1 to 65535")),
    };
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(format!("the range {first}-{last} runs backwards"));
    }
    Ok(first..=last)
}

/// The entry without credentials, for messages.
fn without_credentials(entry: &str) -> String {
    let Some((before, place)) = entry.rsplit_once('@') else {
        return entry.to_owned();
    };
    match before.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://…@{place}"),
        None => format!("…@{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood() {
        let urls = |list| parse(list, "/debug/vars").unwrap();
        assert_eq!(
            urls("80,23000-23002,https://user:pa@ss@host:443"),
            [
                "http://localhost:80/debug/vars",
                "http://localhost:23000/debug/vars",
                "http://localhost:23001/debug/vars",
                "http://localhost:23002/debug/vars",
                "https://user:pa@ss@host:443/debug/vars",
            ]
        );
        assert_eq!(
            urls("remoteapp:80, http://example.com:80-81,:9,[::1]:7-8,host"),
            [
                "http://remoteapp:80/debug/vars",
                "http://example.com:80/debug/vars",
                "http://example.com:81/debug/vars",
                "http://localhost:9/debug/vars",
                "http://[::1]:7/debug/vars",
                "http://[::1]:8/debug/vars",
                "http://host/debug/vars",
            ]
        );
        assert_eq!(
            urls("http://h:1/a-b/c?d=e:5,http://[::1]/,unix:///run/a.sock:/v"),
            ["http://h:1/a-b/c?d=e:5", "http://[::1]/debug/vars", "unix:///run/a.sock:/v"]
        );
        assert_eq!(parse("80", "/vars").unwrap(), ["http://localhost:80/vars"]);
        assert_eq!(urls(""), [""; 0]);
    }

    #[test]
    fn everything_bad_is_named_without_secrets_and_with_what_is_understood() {
        let error = parse(
            "80,90-80,0,99999,ftp://h,http://user:secret@ho st:80,https://u:secret@h:x,a b",
            "/x",
        )
        .unwrap_err();
        for said in [
            "90-80: the range 90-80 runs backwards",
            "0: \"0\" is no port from 1 to 65535",
            "99999: \"99999\" is no port",
            "ftp://h: ftp:// is neither http nor https",
            "http://…@ho st:80: no host",
            "https://…@h:x: \"x\" is no port from 1 to 65535",
            "a b: no host",
            "23000-23010 (a range)",
        ] {
            assert!(error.contains(said), "{said} in {error}");
        }
        assert!(!error.contains("secret"));
        let many = parse("1-2000", "/x").unwrap_err();
        assert!(many.contains("2000 services are more than the 1000"), "{many}");
    }
}
