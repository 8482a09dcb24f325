//! The configuration file: what it means, and what is said of its mistakes.

use std::time::Duration;

use samlare::config::{Config, LogFormat, Problem};
use samlare::shard::Shard;

fn errors(text: &str) -> Vec<String> {
    let problems = Config::parse(text).expect_err("it should not be taken");
    problems.iter().map(Problem::to_string).collect()
}

fn warnings(text: &str) -> Vec<String> {
    let (_, problems) = Config::parse(text).unwrap();
    problems.iter().map(Problem::to_string).collect()
}

#[test]
fn the_originals_file_is_taken_as_it_is() {
    let text = r#"
CarbonHost = "graphite.example.com"
CarbonPort = 2003
CheckInterval = 10000
Timeout = 2000
IgnoreMetrics = ["BySize", "cmdline"]
[[renames]]
From = "Sys"
To = "sys"

[[endpoint]]
URL = "http://localhost:14001/debug/vars"
Prefix = "apps.app1"
FailureMetric = "apps.app1.failure"

[[Endpoint]]
url = "http://localhost:14002/debug/vars"
PREFIX = "apps.app2"
CheckInterval = 500
Timeout = 0
IgnoreMetrics = ["own"]
[[endpoint.rename]]
from = "a"
to = "b"
"#;
    let (config, warnings) = Config::parse(text).unwrap();
    assert_eq!(config.carbon.unwrap().routing.urls, ["tcp://graphite.example.com:2003"]);
    let [first, second] = config.endpoints.as_slice() else { panic!("two endpoints") };
    assert_eq!(first.target.to_string(), "http://localhost:14001/debug/vars");
    assert_eq!(first.prefix, "apps.app1");
    assert_eq!(first.failure_metric.as_deref(), Some("apps.app1.failure"));
    assert_eq!(first.polling.interval, Duration::from_secs(10));
    assert_eq!(second.polling.interval, Duration::from_millis(500));
    assert_eq!(second.polling.timeout, Duration::from_secs(2));
    assert_eq!(second.failure_metric, None);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].to_string().starts_with("line 19: Endpoint.CheckInterval: "));
}

#[test]
fn all_mistakes_are_named_at_once_with_line_key_and_remedy() {
    let text = r#"CarbonHost = 5
CarbonPort = 70000
Timeout = "3s"
LogFormat = "xml"
Listen = "localhost"
[[endpoint]]
URL = "localhost:14001/debug/vars"
Prefix = "a"
[[endpoint]]
Prefix = "b"
Booleans = 1
[[endpoint]]
URL = "ftp://h/"
Prefix = "c"
Headers = { "bad name" = "x" }
[[discover]]
Dns = "vars.example"
Files = ["x.json"]
Prefix = "p"
"#;
    assert_eq!(
        errors(text),
        [
            "line 1: CarbonHost: it is a whole number: write text in quotes",
            "line 2: CarbonPort: it is out of range: write a whole number of the port from 1 to 65535",
            "line 3: Timeout: it is text: write a whole number of milliseconds from 1 to 86400000",
            "line 4: LogFormat: it is neither of the two: write \"json\" or \"text\"",
            "line 5: Listen: it is no address with a port: write \"127.0.0.1:14000\"",
            "line 7: endpoint.URL: it has no scheme: write http:// before it",
            "line 9: endpoint.URL: it is missing: write URL = \"http://host:port/debug/vars\"",
            "line 11: endpoint.Booleans: it is a whole number: write true or false",
            "line 13: endpoint.URL: its scheme is none of http, https and unix",
            "line 15: endpoint.Headers: \"bad name\" is no name of a header",
            "line 18: discover.Files: stands beside another source; a [[discover]] has one of Files, \
         Dns and Consul: write one table each",
        ]
    );
}

#[test]
fn broken_toml_names_its_lines_and_shows_no_value() {
    let text = "CarbonHost = \"a\nTimeout = 5\n[[endpoint]\nURL = \"http://u:secret@h/\" x\n";
    let errors = errors(text);
    assert!(errors[0].starts_with("line 1: this is not TOML: "), "{errors:?}");
    assert!(errors.iter().any(|error| error.starts_with("line 3: this is not TOML")), "{errors:?}");
    assert!(errors.iter().all(|error| !error.contains("secret")), "{errors:?}");
}

#[test]
fn a_timeout_in_seconds_is_a_warning() {
    assert_eq!(
        warnings("Timeout = 3\n[[endpoint]]\nURL = \"http://h/\"\nPrefix = \"p\"\n"),
        ["line 1: Timeout: it is 3 milliseconds: write 3000 for 3 s"]
    );
}

#[test]
fn an_unknown_key_is_a_warning_with_the_nearest_known_one() {
    let text = r#"CarbonHst = "h"
[[endpoint]]
URL = "http://h/"
Prefix = "p"
FailMetric = "x"
Zzzzzzzzzzzz = 1
"#;
    assert_eq!(
        warnings(text),
        [
            "line 1: CarbonHst: unknown key: did you mean CarbonHost?",
            "line 5: endpoint.FailMetric: unknown key: did you mean FailureMetric?",
            "line 6: endpoint.Zzzzzzzzzzzz: unknown key: remove it",
        ]
    );
}

#[test]
fn the_same_key_in_two_capitals_is_a_mistake() {
    assert_eq!(
        errors("Timeout = 1\ntimeout = 2\n"),
        ["line 1: Timeout: it is given twice, in different capitals: keep one"]
    );
}

#[test]
fn sources_of_endpoints() {
    let text = r#"
CheckInterval = 5000
[[discover]]
Files = ["/etc/targets/*.json"]
Prefix = "apps.{job}"
[[discover]]
Dns = "_vars._tcp.example"
Prefix = "apps.{host}"
Refresh = 1000
[[discover]]
Consul = "http://127.0.0.1:8500"
Services = "web"
Prefix = "apps.{service}.{host}_{port}"
CheckInterval = 1000
"#;
    let (config, warnings) = Config::parse(text).unwrap();
    assert_eq!(warnings, []);
    let [files, dns, consul] = config.discover.as_slice() else { panic!("three sources") };
    assert_eq!(files.source.source.name(), "files /etc/targets/*.json");
    assert_eq!(files.polling.interval, Duration::from_secs(5));
    assert_eq!(dns.source.refresh, Duration::from_secs(1));
    assert_eq!(consul.polling.interval, Duration::from_secs(1));

    let wrong = "[[discover]]\nDns = \"vars.example\"\nRecord = \"A\"\n";
    let errors = errors(wrong);
    assert!(errors.iter().any(|error| error.starts_with("line 1: discover.Port: ")), "{errors:?}");
    assert!(
        errors.iter().any(|error| error.starts_with("line 1: discover.Prefix: ")),
        "{errors:?}"
    );
}

#[test]
fn destinations_and_the_rest() {
    let text = r#"
CarbonHost = "::1"
Carbon = ["pickle://b:2004", "tls://c:2003"]
CarbonMode = "copy"
SpoolDir = "/var/spool/samlare"
ResendWindow = 0
LogFormat = "text"
Listen = "127.0.0.1:14000"
Shard = "2/5"
"#;
    let (config, warnings) = Config::parse(text).unwrap();
    assert_eq!(warnings.len(), 1, "no endpoint: {warnings:?}");
    let carbon = config.carbon.unwrap();
    assert_eq!(carbon.routing.urls, ["tcp://[::1]:2003", "pickle://b:2004", "tls://c:2003"]);
    assert_eq!(carbon.routing.route, expvar_carbon::Route::Copy);
    assert_eq!(carbon.resend, Some(Duration::ZERO));
    assert_eq!(config.log_format, LogFormat::Text);
    assert_eq!(config.shard, Some(Shard::new(2, 5).unwrap()));
    assert_eq!(
        errors("CarbonCertFile = \"c\"\n"),
        ["line 1: CarbonCertFile: CarbonCertFile and CarbonKeyFile go together: give both"]
    );
}

proptest::proptest! {
    /// Lines of real keys with values of every kind, in any order: taken, or refused with lines
    /// that exist.
    #[test]
    fn any_text_is_taken_or_refused_with_lines(
        lines in proptest::collection::vec(proptest::sample::select(LINES.to_vec()), 0..12),
        noise in "\\PC{0,12}",
    ) {
        let text = format!("{}\n{noise}", lines.join("\n"));
        let count = text.split('\n').count();
        let problems = match Config::parse(&text) {
            Ok((_, warnings)) => warnings,
            Err(errors) => errors,
        };
        for problem in problems {
            proptest::prop_assert!((1..=count).contains(&problem.line), "{text:?}: {problem}");
        }
    }
}

const LINES: &[&str] = &[
    "CarbonHost = \"h\"",
    "CarbonHost = 1",
    "carbonport = 2003",
    "Carbon = [\"udp://h:1\", 2]",
    "CheckInterval = -1",
    "CheckInterval = 0x10",
    "IgnoreMetrics = \"a\"",
    "IgnoreMetrics = [[1]]",
    "Renames = 5",
    "[[renames]]",
    "From = \"a\"",
    "[[endpoint]]",
    "[endpoint]",
    "URL = \"http://h/\"",
    "URL = \"http://[\"",
    "Prefix = \"\"",
    "Headers = { a = 1 }",
    "Headers = { \"x y\" = \"z\" }",
    "[[discover]]",
    "Dns = [\"a\"]",
    "Files = [\"x.json\"]",
    "Prefix = \"{\"",
    "Listen = \"x\"",
    "Shard = \"0/0\"",
    "\u{feff}",
    "= =",
];

/// What people get wrong, and what is said of it.
#[test]
fn each_mistake_says_what_to_write() {
    const ONE: &str = "[[endpoint]]\nURL = \"http://h/\"\nPrefix = \"p\"\n";
    for (text, said) in [
        (
            "CarbonHost = \"graphite.example.com:2003\"\n",
            "line 1: CarbonHost: it holds a port: write CarbonHost = \"graphite.example.com\" and \
             CarbonPort = 2003",
        ),
        (
            "carbonhost = \"$GRAPHITE_HOST\"\n",
            "line 1: carbonhost: variables are not filled in: write Expand = true and \
             CarbonHost = \"${GRAPHITE_HOST}\"",
        ),
        (
            "Expand = true\nCarbonHost = \"${NO_SUCH_NAME}\"\n",
            "line 2: CarbonHost: the environment has no NO_SUCH_NAME: set it, or write the value",
        ),
        (
            "[[endpoint]]\nURL = \"http://h/\"\nPrefix = \"p\"\nCarbonHost = \"h\"\n",
            "line 4: endpoint.CarbonHost: it stands below the [[endpoint]] of line 1: move it above \
             the first [[…]]",
        ),
        (
            "Prefix = \"p\"\n",
            "line 1: Prefix: it belongs to an endpoint: move it below [[endpoint]]",
        ),
        (
            "[[endpoint]]\nURL = \"app.example.com/debug/vars\"\nPrefix = \"p\"\n",
            "line 2: endpoint.URL: it has no scheme: write http:// before it",
        ),
        (
            "[[endpoint]]\nURL = \"http://user:se#cret@h/\"\nPrefix = \"p\"\n",
            "line 2: endpoint.URL: its password holds #, / or ?: percent-encode them, as %23, %2F \
             and %3F",
        ),
        (
            "[[endpoint]]\nURL = \"http://user:se/cret@h/\"\nPrefix = \"p\"\n",
            "line 2: endpoint.URL: its password holds #, / or ?: percent-encode them, as %23, %2F \
             and %3F",
        ),
        (
            "CarbonHost = \"${GRAPHITE_HOST}:2003\"\n",
            "line 1: CarbonHost: variables are not filled in: write Expand = true and CarbonHost = \
             \"${GRAPHITE_HOST}\", and CarbonPort = 2003",
        ),
        (
            "CarbonHost = \"$SITE.example.com\"\n",
            "line 1: CarbonHost: variables are not filled in: write Expand = true and CarbonHost = \
             \"${SITE}.example.com\"",
        ),
        (
            "CarbonHost = \"host:port\"\n",
            "line 1: CarbonHost: it holds a port: write CarbonHost = \"host\" and CarbonPort = 2003",
        ),
        (
            "Carbon = [\"h:2003\", \"tls://$HOST:2003\"]\n",
            "line 1: Carbon: variables are not filled in: write Expand = true and Carbon = \
             [\"tls://${HOST}:2003\"]",
        ),
        (
            "Carbon = \"tcp://user:p#w@h:2003\"\n",
            "line 1: Carbon: it contains a user, which Carbon does not support: remove what is \
             before the @",
        ),
        (
            "CarbonHost = \"h\"\n[[rule]]\nMatch = \"a.[\"\nCarbon = \"g:2003\"\n\
             [[endpoint]]\nURL = \"http://h/\"\nPrefix = \"p\"\n",
            "line 3: rule.Match: \"a.[\" has an unclosed [: close it with ]",
        ),
        (
            "[[endpoint]]\nURL = \"http://h/\"\nPrefix = \"p\"\n[[endpoint.renames]]\n\
             From = \"a\"\nTo = \"b\"\nCarbonHost = \"h\"\n",
            "line 7: endpoint.renames.CarbonHost: it stands below the [[endpoint.renames]] of line \
             4: move it above the first [[…]]",
        ),
        (
            "[[endpoint]]\nURL = \"http://h/\"\nPrefix = \"p\"\n[[endpoint.renames]]\n\
             From = \"a\"\nTo = \"b\"\nFailureMetric = \"f\"\n",
            "line 7: endpoint.renames.FailureMetric: it stands below the [[endpoint.renames]] of \
             line 4: move it above that line",
        ),
    ] {
        let text = if text.contains("[[") { text.to_owned() } else { text.to_owned() + ONE };
        assert_eq!(errors(&text), [said], "{text}");
    }
    for (text, said) in [
        (
            "IgnoreMetrics = [\"memstats.BySize\"]\n",
            "line 1: IgnoreMetrics: \"memstats.BySize\" is compared with single keys, not with \
             paths: write \"BySize\", unless a key has the dot itself",
        ),
        (
            "CarbonHost = \"h\"\nFlushTimeout = 60000\n",
            "line 2: FlushTimeout: systemd's limit for a stop must be longer: raise TimeoutStopSec \
             in the unit, which is 30 s as shipped, or write at most 25000",
        ),
        (
            "[[endpoint]]\nURL = \"http://h/\"\nPrefix = \"apps.{host}\"\n",
            "line 3: endpoint.Prefix: {label} is filled in below [[discover]] only: here it goes \
             out as apps._host__2970e002",
        ),
        (
            "[[endpoint]]\nURL = \"http://h/\"\nPrefix = \"a\"\nFailureMetric = \"a.is down\"\n",
            "line 4: endpoint.FailureMetric: it goes out as a.is_down_f28ec904: write that",
        ),
        (
            "[[endpoint]]\nURL = \"http://h/\"\nPrefix = \"p\"\n\
             [[endpoint]]\nURL = \"http://h/\"\nPrefix = \"p\"\n",
            "line 4: endpoint.URL: this endpoint is the one of line 1: it is polled once",
        ),
        (
            "[[endpoint]]\nURL = \"http://h/\"\nPrefix = \"p\"\n\
             [[endpoint]]\nURL = \"http://g/\"\nPrefix = \"p.\"\n",
            "line 4: endpoint.Prefix: the endpoint of line 1 has the same: where both have a name, \
             only one point stays",
        ),
        (
            "[[discover]]\nDns = \"_v._tcp.x\"\nPrefix = \"apps/x.{host}\"\n",
            "line 3: discover.Prefix: apps/x.x, for example, goes out as apps_x_faf22a65.x: write \
             names that stay",
        ),
        (
            "[[endpoint]]\nURL = \"http://h/\"\nPrefix = \"p\"\nHeaders = { X = \"Bearer $TOKEN\" }\n",
            "line 4: endpoint.Headers: variables are not filled in: write Expand = true, and ${NAME}",
        ),
        (
            "[[discover]]\nConsul = \"http://$CONSUL:8500\"\nPrefix = \"{host}\"\n",
            "line 2: discover.Consul: variables are not filled in: write Expand = true, and ${NAME}",
        ),
        (
            "IgnoreMetrics = \"mem*\"\n",
            "line 1: IgnoreMetrics: \"mem*\" is compared with whole keys, where * stands for \
             itself: write each key",
        ),
        (
            "[[renames]]\nFrom = \"memstats.Sys\"\nTo = \"sys\"\n\
             [[endpoint]]\nURL = \"http://h/\"\nPrefix = \"p\"\n",
            "line 2: renames.From: \"memstats.Sys\" is compared with single keys, not with paths: \
             write \"Sys\", unless a key has the dot itself",
        ),
        (
            "[[endpoint]]\nURL = \"http://h/\"\nPrefix = \"p\"\n\
             [[endpoint.renames]]\nFrom = \"a\"\nTo = \"b c\"\n",
            "line 6: endpoint.renames.To: it goes out as \"b_c_f52dd21c\": write that",
        ),
        (
            "spooldir = \"/var/lib/samlare/spool\"\n",
            "line 1: spooldir: there is no CarbonHost and no Carbon: it has no effect",
        ),
        (
            "CarbonHost = \"h\"\nCarbonCaFile = \"/none\"\n",
            "line 2: CarbonCaFile: no destination is tls://: it has no effect",
        ),
        (
            "[[endpoint]]\nURL = \"http://h/${X}\"\nPrefix = \"p\"\n",
            "line 2: endpoint.URL: ${…} is taken as it stands: write Expand = true at the top to \
             fill it in",
        ),
    ] {
        let text = if text.contains("[[") { text.to_owned() } else { text.to_owned() + ONE };
        assert!(warnings(&text).contains(&said.to_owned()), "{:?}", warnings(&text));
    }
}

/// URLs that cannot be used, and what is said of them; none is repeated.
#[test]
fn each_url_that_cannot_be_polled_says_what_to_write() {
    const LOGIN: &str = "its password holds #, / or ?: percent-encode them, as %23, %2F and %3F";
    for (url, said) in [
        ("", "it is empty: write http://host:port/debug/vars"),
        ("/debug/vars", "it has no scheme: write http:// before it"),
        ("http:/h/v", "its scheme lacks a colon or slashes: write http://host:port/debug/vars"),
        ("https//h/v", "its scheme lacks a colon or slashes: write http://host:port/debug/vars"),
        ("http://user:12#34@h/", LOGIN),
        ("http://user#1:34@h/", LOGIN),
        ("http://user:se?cret@h/", LOGIN),
        (
            "http://{host}:80/",
            "{label} is filled in below [[discover]] only: write the host and its port",
        ),
        (
            "http://h:{port}/",
            "{label} is filled in below [[discover]] only: write the host and its port",
        ),
        (
            "http://$HOST:80/",
            "variables are not filled in: write Expand = true, and ${HOST}:80 as the host",
        ),
    ] {
        let text = format!("[[endpoint]]\nURL = {url:?}\nPrefix = \"p\"\n");
        assert_eq!(errors(&text), [format!("line 2: endpoint.URL: {said}")], "{url}");
        if !url.contains('{') && !url.is_empty() {
            let text = format!(
                "[[discover]]\nDns = \"_v._tcp.example\"\nURL = {url:?}\nPrefix = \"{{host}}\"\n"
            );
            assert_eq!(errors(&text), [format!("line 3: discover.URL: {said}")], "{url}");
        }
    }
    for url in ["http://h/{id}", "http://user:12/34@h/", "http://us/er:34@h/"] {
        let text = format!("[[endpoint]]\nURL = {url:?}\nPrefix = \"p\"\n");
        assert_eq!(warnings(&text).len(), 1, "{url}");
    }
    for url in
        ["http://u:p@h:80/a@b", "http://h/?a=b@c", "http://u:$p{a}@h/", "unix:///run/$x{y}.sock"]
    {
        let text = format!("[[endpoint]]\nURL = {url:?}\nPrefix = \"p\"\n");
        assert_eq!(warnings(&text), [""; 0], "{url}");
    }
    for url in ["{host}:{port}/v", "http://u:p#w@{host}:{port}/v", "http//{host}/v"] {
        let text = format!(
            "[[discover]]\nDns = \"_v._tcp.example\"\nURL = {url:?}\nPrefix = \"{{host}}\"\n"
        );
        assert_eq!(errors(&text).len(), 1, "{url}");
    }
    let text = "[[discover]]\nFiles = \"t.json\"\nURL = \"{__url__}\"\nPrefix = \"{host}\"\n";
    assert_eq!(warnings(text), [""; 0]);
}

#[test]
fn what_the_environment_and_files_hold_is_filled_in() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("port"), "2103\n").unwrap();
    let text = "Expand = true\nCarbonHost = \"${CARGO_PKG_NAME}.example\"\n\
                CarbonPort = \"${file:port}\"\n[[endpoint]]\n\
                URL = \"http://h/$${x}\"\nPrefix = \"p\"\nHeaders = { \"X\" = \"${CARGO_PKG_NAME}\" }\n";
    let (config, problems) = Config::parse_file(text, dir.path()).unwrap();
    assert_eq!(problems, []);
    assert_eq!(config.carbon.unwrap().routing.urls, ["tcp://samlare.example:2103"]);
    assert_eq!(config.endpoints[0].polling.headers["x"], "samlare");
    assert_eq!(config.endpoints[0].target.url(), "http://h/$%7Bx%7D");
}

#[test]
fn relative_paths_are_the_files_own_and_what_they_name_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("empty"), "\n").unwrap();
    std::fs::write(dir.path().join("token"), "t\n").unwrap();
    let endpoint = |name: &str| {
        format!(
            "[[endpoint]]\nURL = \"http://{name}/\"\nPrefix = {name:?}\nBearerTokenFile = {name:?}\n"
        )
    };
    let text = "CarbonHost = \"h\"\nSpoolDir = \"token/spool\"\n".to_owned()
        + &["token", "empty", "none"].map(endpoint).concat();
    let (config, problems) = Config::parse_file(&text, dir.path()).unwrap();
    assert_eq!(config.carbon.unwrap().spool_dir.unwrap(), dir.path().join("token/spool"));
    let token = config.endpoints[0].polling.bearer_token_file.clone().unwrap();
    assert_eq!(token, dir.path().join("token"));
    let problems: Vec<_> = problems.iter().map(Problem::to_string).collect();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(
        problems[0].starts_with("line 2: SpoolDir: ") && problems[0].contains("is no directory")
    );
    assert!(problems[1].starts_with("line 10: endpoint.BearerTokenFile: "), "{problems:?}");
    assert!(problems[1].contains("is empty") && problems[2].contains("No such file"));
}

#[test]
fn a_file_that_cannot_be_read_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let latin = dir.path().join("latin1.toml");
    std::fs::write(&latin, b"# a\nCarbonHost = \"Z\xfcrich\"\n").unwrap();
    let said = |path: &std::path::Path| Config::load(path).unwrap_err().concat();
    let wide = dir.path().join("utf16.toml");
    std::fs::write(&wide, b"\xff\xfeC\0").unwrap();
    assert!(said(&wide).contains("line 1: this is UTF-16: save the file as UTF-8"));
    assert!(
        said(&latin).contains("line 2: this is not UTF-8: save the file as UTF-8"),
        "{}",
        said(&latin)
    );
    assert!(
        said(dir.path()).contains("it is a directory: name the file in it"),
        "{}",
        said(dir.path())
    );
    assert!(said(&dir.path().join("none")).contains("-config=PATH"));
}
