//! The examples run and show what they promise.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A running example, killed on drop.
struct Program {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(name: &str, args: &[&str]) -> Self {
        // Cargo builds the examples of a package before it runs the package's tests.
        let deps = std::env::current_exe().unwrap();
        let path = deps.ancestors().nth(2).unwrap().join("examples").join(name);
        let spawned = Command::new(&path).args(args).stdout(Stdio::piped()).spawn();
        let mut process = spawned.unwrap_or_else(|err| {
            panic!("{}: {err}; build it: cargo build --example {name}", path.display())
        });
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// The URL in the next line that the program prints.
    fn url(&mut self) -> String {
        let line = self.lines.next().expect("a line").unwrap();
        line[line.find("http://").expect(&line)..].to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The head and the body of what `url` answers.
fn get(url: &str) -> (String, String) {
    let (addr, path) = url["http://".len()..].split_once('/').unwrap();
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// The number of the variable `name` in a document, one variable a line.
fn number(document: &str, name: &str) -> Option<u64> {
    let line = document.lines().find_map(|line| line.strip_prefix(&format!("\"{name}\": ")));
    line?.trim_end_matches(',').parse().ok()
}

/// Retries until `shown` accepts.
fn until(url: &str, shown: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (head, document) = get(url);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        if shown(&document) {
            return document;
        }
        assert!(Instant::now() < deadline, "not shown: {document}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn axum_shows_the_greetings() {
    let mut program = Program::start("axum", &["127.0.0.1:0"]);
    let (greet, vars, metrics) = (program.url(), program.url(), program.url());
    // A static is shown before its first use.
    assert!(get(&vars).1.contains("\n\"greetings\": {},\n"));
    assert_eq!(get(&greet).1, "Hello, world!\n");
    assert_eq!(get(&greet).1, "Hello, world!\n");
    let (head, document) = get(&vars);
    assert!(head.contains("content-type: application/json; charset=utf-8"), "{head}");
    assert!(document.contains("\n\"greetings\": {\"world\": 2},\n"), "{document}");
    assert_eq!(number(&document, "tokio.workers"), Some(1), "{document}");
    let requests =
        "http_server_requests_total{route=\"/greet/{name}\",method=\"GET\",status=\"200\"} 2\n";
    let (_, metrics) = get(&metrics);
    assert!(metrics.contains(requests), "{metrics}");
}

#[test]
fn prometheus_shows_what_was_declared_and_what_was_mapped() {
    let mut program = Program::start("prometheus", &["127.0.0.1:0"]);
    let metrics = program.url();
    let text = until(&metrics, |text| text.contains("outcome=\"failed\"} 2\n"));
    for line in [
        "build_info{version=\"0.1.0\"} 1\n",
        "# TYPE cache_latency_seconds gauge\n",
        "cache_latency_seconds{operation=\"read\"} 0.25\n",
        "job_time_seconds_bucket{le=\"0.005\"} ",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn metrics_shows_what_a_library_records_through_metrics() {
    let mut program = Program::start("metrics", &["127.0.0.1:0"]);
    let (vars, metrics) = (program.url(), program.url());
    let document = until(&vars, |document| {
        document.contains("\n\"mail_sent\": {\"example.com\": ")
            && document.contains("\"example.org\": ")
    });
    assert!(document.contains("\n\"mail_connections\": "), "{document}");
    assert!(number(&document, "turns") > Some(0), "{document}");
    let text = get(&metrics).1;
    assert!(text.contains("# HELP mail_sent_total Mails that were sent.\n"), "{text}");
    assert!(text.contains("# TYPE mail_time_seconds histogram\n"), "{text}");
}

#[test]
fn blocking_shows_primes_without_a_runtime() {
    let mut program = Program::start("blocking", &["127.0.0.1:0"]);
    let vars = program.url();
    let document = until(&vars, |document| number(document, "primes") > Some(1000));
    assert!(number(&document, "tested") > number(&document, "primes"), "{document}");
    assert!(number(&document, "last_prime") > Some(1), "{document}");
    let later = until(&vars, |later| number(later, "primes") > number(&document, "primes"));
    assert!(later.contains("\n\"thousand\": {\"count\":"), "{later}");
}

#[test]
fn service_shows_the_traffic_that_it_sends_to_itself() {
    let args = ["--traffic", "--listen", "127.0.0.1:0", "--vars", "127.0.0.1:0"];
    let mut program = Program::start("service", &args);
    let (service, vars, page, metrics) =
        (program.url(), program.url(), program.url(), program.url());
    let document = until(&vars, |document| {
        ["/notes/{name} 200", "/notes/{name} 404", "/notes/{name} 201", "/report 200", "(none) 404"]
            .iter()
            .all(|key| document.contains(&format!("\"{key}\": ")))
    });
    for name in ["build.version", "cmdline", "http.in_flight", "http.latency", "notes"] {
        assert!(document.contains(&format!("\n\"{name}\": ")), "{name}: {document}");
    }
    assert!(document.contains("\"notes\": {\"count\":"), "{document}");
    assert!(get(&service).1.contains("note-"));
    for url in [page, metrics] {
        assert!(get(&url).0.starts_with("HTTP/1.1 200 OK\r\n"), "{url}");
    }
}

#[test]
fn otlp_prints_what_it_would_send() {
    let mut program = Program::start("otlp", &["--interval", "1"]);
    let line = program.lines.next().expect("a line").unwrap();
    let requests = r#"{"name":"requests","description":"Requests answered.","unit":"{requests}","sum":{"aggregationTemporality":2,"isMonotonic":true,"#;
    for part in [
        r#"{"key":"service.name","value":{"stringValue":"otlp-example"}}"#,
        requests,
        r#"{"key":"http.route","value":{"stringValue":"index"}}"#,
        r#""name":"process.cpu.time""#,
        r#""name":"latency","description":"How long a request took.","unit":"ns","exponentialHistogram""#,
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
#[ignore = "needs promtool (package prometheus)"]
fn promtool_has_no_complaint_about_the_service() {
    let args = ["--traffic", "--listen", "127.0.0.1:0", "--vars", "127.0.0.1:0"];
    let mut program = Program::start("service", &args);
    let [_, vars, _, metrics] = [(); 4].map(|()| program.url());
    until(&vars, |shown| shown.contains("\"/report 200\": "));
    let (head, metrics) = get(&metrics);
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool: apt-get install prometheus");
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*said), (Some(0), ""), "{metrics}");
}

#[test]
fn service_explains_its_arguments() {
    let path = std::env::current_exe().unwrap();
    let path = path.ancestors().nth(2).unwrap().join("examples/service");
    let output = Command::new(path).arg("--trafic").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let says = String::from_utf8(output.stderr).unwrap();
    assert!(says.starts_with("--trafic is not understood\nusage: service"), "{says}");
}
