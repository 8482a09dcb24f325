//! `samlare once` and `samlare check`: everything that is wrong is named, and they end with 1.

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use program::{Service, document, free_port, samlare};

/// Runs a command on a configuration; gives its exit code, output and errors.
fn run(command: &str, dir: &Path, config: &str) -> (i32, String, String) {
    let path = dir.join("config.toml");
    fs::write(&path, config).unwrap();
    let output = samlare(&[command, path.to_str().unwrap()]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn once_names_points_that_are_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let long = "k".repeat(300);
    let body = format!(r#"{{"a": {{"b": 1}}, "a.b": 2, "big": 1e400, "{long}": 3, "ok": 4}}"#);
    let service = Service::start(move |_, stream| {
        let _ = stream.write_all(&document(&body));
    });
    let url = service.url("/v");
    let config = format!("[[endpoint]]\nURL = \"{url}\"\nPrefix = \"p\"\n");
    let (code, lines, said) = run("once", dir.path(), &config);
    assert_eq!(code, 1);
    assert!(lines.contains("p.ok 4 "), "{lines}");
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(
        said,
        [
            format!(
                "samlare: {url}: several points have one name, of which Graphite keeps the last: \
                 1 point, the first is p.a.b: rename or ignore one of the keys"
            ),
            format!(
                "samlare: {url}: numbers are out of range: 1 point, the first is p.big: ignore the \
                 key, or mend the service"
            ),
            format!(
                "samlare: {url}: names are too long for Graphite's files: 1 point, the first is \
                 p.{}: ignore or rename the key",
                "k".repeat(198)
            ),
        ]
    );
}

#[test]
fn sources_that_fail_are_named_at_once_beside_what_the_others_found() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::counting();
    let targets = format!(
        "[{{\"targets\": [\"{0}\", \"no port:\"]}}, {{\"targets\": [\"{0}\"]}}]",
        service.address
    );
    fs::write(dir.path().join("targets.json"), targets).unwrap();
    fs::write(dir.path().join("cut.json"), "[{\"targets\": [\"a:1\"").unwrap();
    let dead = free_port();
    let config = format!(
        "[[discover]]\nFiles = [\"targets.json\"]\nPrefix = \"t\"\n\
         [[discover]]\nFiles = [\"cut.json\"]\nPrefix = \"cut\"\n\
         [[discover]]\nConsul = \"http://127.0.0.1:{dead}\"\nPrefix = \"c.{{host}}\"\n\
         [[endpoint]]\nURL = \"http://{}/debug/vars\"\nPrefix = \"t\"\n",
        service.address
    );
    let (code, lines, said) = run("once", dir.path(), &config);
    assert_eq!(code, 1, "{said}");
    assert_eq!(lines.lines().count(), 1, "polled once: {lines}");
    for what in [
        "targets left out: 1, the first: URL: there is no label {host} at \"no port:\"",
        "cut.json: EOF while parsing",
        &format!("consul http://127.0.0.1:{dead}: http://127.0.0.1:{dead} catalog: cannot connect"),
        "it is found or listed twice: it is polled once",
    ] {
        assert!(said.contains(what), "{what:?} in {said}");
    }
    let (code, _, said) = run("check", dir.path(), &config);
    assert_eq!(code, 1);
    assert!(said.contains("cut.json: EOF while parsing"), "{said}");
    assert!(said.contains("targets left out: 1"), "{said}");
    assert!(!said.contains("consul"), "check asks nobody: {said}");
}

#[test]
fn targets_that_share_a_prefix_are_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("t.yml"), "- targets: [one:1, two:2]\n").unwrap();
    let config = "[[discover]]\nFiles = [\"t.yml\"]\nPrefix = \"apps\"\n";
    let (code, _, said) = run("check", dir.path(), config);
    assert_eq!(code, 1);
    assert_eq!(
        said,
        "samlare: http://two:2/debug/vars: http://one:1/debug/vars has the same prefix \"apps\": \
         where both have a name, only one point stays\n"
    );
}

#[test]
fn targets_that_share_a_failure_metric_are_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("t.yml"), "- targets: [one:1, two:2]\n").unwrap();
    let config = "[[discover]]\nFiles = [\"t.yml\"]\nPrefix = \"apps.{host}\"\n\
                  FailureMetric = \"apps.failure\"\n";
    let (code, _, said) = run("check", dir.path(), config);
    assert_eq!(code, 1);
    assert_eq!(
        said,
        "samlare: http://two:2/debug/vars: http://one:1/debug/vars has the same failure metric \
         \"apps.failure\": only one point stays\n"
    );
}

/// 64 KB that become 21 MB: fifteen long keys above six thousand numbers.
#[test]
fn a_document_makes_no_more_bytes_of_points_than_it_may_have() {
    let dir = tempfile::tempdir().unwrap();
    let key = "K".repeat(240);
    let leaf: Vec<_> = (0..6_000).map(|n| format!("\"{n:x}\":1")).collect();
    let body =
        format!("{}{{{}}}{}", format!("{{\"{key}\":").repeat(15), leaf.join(","), "}".repeat(15));
    assert!(body.len() < 64 << 10, "{}", body.len());
    let service = Service::start(move |_, stream| drop(stream.write_all(&document(&body))));
    let url = service.url("/v");
    let config =
        format!("[[endpoint]]\nURL = \"{url}\"\nPrefix = \"p\"\nFailureMetric = \"p.f\"\n");
    let (code, lines, said) = run("once", dir.path(), &config);
    assert_eq!(code, 1);
    assert_eq!(lines.lines().count(), 1);
    assert!(lines.starts_with("p.f 1 "), "{lines}");
    assert_eq!(
        said,
        format!(
            "samlare: {url}: its points have more than 16777216 bytes: ignore keys, or raise \
             MaxBodyBytes\n"
        )
    );
    let (code, _, said) = run("once", dir.path(), &format!("MaxBodyBytes = 1024\n{config}"));
    assert_eq!(code, 1);
    assert_eq!(
        said,
        format!("samlare: {url}: the document has more than 1024 bytes: raise MaxBodyBytes\n")
    );
    let larger = format!("MaxBodyBytes = 33554432\n{config}");
    let (code, lines, said) = run("once", dir.path(), &larger);
    assert_eq!((code, lines.lines().count()), (0, 6_001), "{said}");
}

#[test]
fn redirects_leave_the_host_unless_the_file_forbids_it() {
    let dir = tempfile::tempdir().unwrap();
    let port = Arc::new(OnceLock::new());
    let known = port.clone();
    let service = Service::start(move |path, stream| {
        let port: &u16 = known.get().unwrap();
        let _ = stream.write_all(&match path {
            "/away" => format!(
                "HTTP/1.1 302 Found\r\nLocation: http://localhost:{port}/v\r\nContent-Length: 0\r\n\r\n"
            )
            .into_bytes(),
            _ => document("{\"n\": 1}"),
        });
    });
    port.set(service.address.port()).unwrap();
    let endpoint = format!("[[endpoint]]\nURL = \"{}\"\nPrefix = \"p\"\n", service.url("/away"));
    for (config, is_followed) in [
        (endpoint.clone(), true),
        (format!("RedirectsToOtherHosts = false\n{endpoint}"), false),
        (format!("RedirectsToOtherHosts = false\n{endpoint}RedirectsToOtherHosts = true\n"), true),
        (format!("{endpoint}RedirectsToOtherHosts = false\n"), false),
    ] {
        let (code, lines, said) = run("once", dir.path(), &config);
        assert_eq!(
            (code == 0, lines.starts_with("p.n 1 ")),
            (is_followed, is_followed),
            "{config}"
        );
        assert_eq!(said.contains("RedirectsToOtherHosts is false"), !is_followed, "{said}");
    }
}

#[test]
fn headers_and_tokens_of_the_file_are_sent() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("token"), "t0ken\n").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        while !request.ends_with("\r\n\r\n") {
            lines.read_line(&mut request).unwrap();
        }
        stream.write_all(&document("{\"n\": 1}")).unwrap();
        request
    });
    let config = format!(
        "[[endpoint]]\nURL = \"{url}\"\nPrefix = \"p\"\nHeaders = {{ \"X-Scope\" = \"metrics\" }}\n\
         BearerTokenFile = \"token\"\n"
    );
    let (code, lines, said) = run("once", dir.path(), &config);
    assert!(code == 0 && lines.starts_with("p.n 1 "), "{said}");
    let request = asked.join().unwrap();
    assert!(request.contains("\r\nX-Scope: metrics\r\n"), "{request}");
    assert!(request.contains("\r\nAuthorization: Bearer t0ken\r\n"), "{request}");
}

#[test]
fn help_and_version_are_commands_and_a_mistake_costs_two_lines() {
    for (argument, said) in [("help", "samlare once FILE"), ("version", "samlare 0.")] {
        let output = samlare(&[argument]).output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains(said));
    }
    let output = samlare(&["-bogus"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "samlare: flag provided but not defined: -bogus\nsamlare help lists commands and flags\n"
    );
}

#[test]
fn a_key_with_a_dot_is_a_mistake_only_where_no_document_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let body = r#"{"http.errors": 1, "memstats": {"BySize": 2}, "routes": {"GET /*": 3}, "n": 4}"#;
    let service = Service::start(move |_, stream| {
        let _ = stream.write_all(&document(body));
    });
    let url = service.url("/v");
    let endpoint = format!("[[endpoint]]\nURL = \"{url}\"\nPrefix = \"p\"\n");
    // Services such as those of go-metrics have keys with dots: each of these is ignored.
    let good = format!(
        "IgnoreMetrics = [\"http.errors\", \"GET /*\"]\n{endpoint}\
         [[endpoint.renames]]\nFrom = \"http.errors\"\nTo = \"errors\"\n"
    );
    let (code, _, said) = run("check", dir.path(), &good);
    assert_eq!((code, said.as_str()), (0, ""));
    let (code, lines, said) = run("once", dir.path(), &good);
    assert_eq!((code, said.as_str(), lines.lines().count()), (0, "", 2), "{lines}");

    let bad = format!("IgnoreMetrics = [\"http.errors\", \"memstats.BySize\"]\n{endpoint}");
    let begin = format!("samlare: {}: line 1: ", dir.path().join("config.toml").display());
    let wrong = begin.clone()
        + "IgnoreMetrics: \"memstats.BySize\" is compared with single keys, not with paths: write \
           \"BySize\", unless a key has the dot itself (polled 1 endpoint: none has this key)\n";
    for command in ["check", "once"] {
        let (code, _, said) = run(command, dir.path(), &bad);
        assert_eq!((code, said), (1, wrong.clone()), "{command}");
    }

    let dead = free_port();
    let away = format!(
        "IgnoreMetrics = [\"a.b\"]\n[[endpoint]]\nURL = \"http://127.0.0.1:{dead}/\"\nPrefix = \"p\"\n"
    );
    let (code, _, said) = run("check", dir.path(), &away);
    assert_eq!(code, 1);
    assert!(
        said.ends_with("unless a key has the dot itself (not known: no answer from 1 endpoint)\n"),
        "{said}"
    );
    let (code, _, said) = run("check", dir.path(), &endpoint);
    assert_eq!((code, said.as_str()), (0, ""));
}

#[test]
fn a_web_page_in_place_of_a_document_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(|_, stream| {
        let _ = stream.write_all(&document("\n<!DOCTYPE html><title>Sign in</title>"));
    });
    let url = service.url("/v");
    let config = format!("[[endpoint]]\nURL = \"{url}\"\nPrefix = \"p\"\n");
    let (code, _, said) = run("once", dir.path(), &config);
    assert_eq!(code, 1);
    assert_eq!(
        said,
        format!(
            "samlare: {url}: not JSON: expected a value at byte 1, not \"<\": it is a web page, \
             perhaps a login: check URL, Headers and BearerTokenFile\n"
        )
    );
}
