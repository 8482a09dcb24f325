//! samlare as it runs: reloads, signals, its log, its page, and what it leaves behind.

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use program::{
    Manager, Program, Service, Sink, document, free_port, once, samlare, shown, wait_for,
};

fn endpoint(service: &Service, path: &str, prefix: &str) -> String {
    format!("[[endpoint]]\nURL = \"{}\"\nPrefix = \"{prefix}\"\n", service.url(path))
}

fn carbon(port: u16) -> String {
    format!(
        "CarbonHost = \"127.0.0.1\"\nCarbonPort = {port}\nCheckInterval = 1000\nTimeout = 20000\n"
    )
}

#[test]
fn a_reload_leaves_what_did_not_change_alone() {
    let (sink, service) = (Sink::start(), Service::counting());
    let first = carbon(sink.port) + &endpoint(&service, "/a", "a");
    let program = Program::start(&first);
    sink.wait_for("a.n", 2);

    program.reload(&(first.clone() + &endpoint(&service, "/b", "b")));
    sink.wait_for("b.n", 2);
    let before = sink.named("a.n").len();
    sink.wait_for("a.n", before + 1);
    assert_eq!(service.connections.load(Ordering::Relaxed), 2, "one for each endpoint");

    program.reload(&(first.clone() + "[[endpoint]]\nURL = \"nowhere\"\nPrefix = \"c\"\n"));
    program.wait_for_log("the old configuration stays");
    let before = sink.named("b.n").len();
    sink.wait_for("b.n", before + 2);

    program.reload(&first);
    program.wait_for_log("\"msg\":\"reloaded\",\"endpoints\":1}");
    let more = |count: usize| sink.wait_for("a.n", sink.named("a.n").len() + count);
    // What was polled before has come then, but for a poll under way.
    more(2);
    let gone = sink.named("b.n").len();
    more(3);
    assert!(sink.named("b.n").len() <= gone + 1);

    let points = sink.named("a.n");
    for pair in points.windows(2) {
        assert_eq!(pair[1].0, pair[0].0 + 1.0, "each poll once: {points:?}");
        // On a busy machine a slot may pass unused.
        assert!(pair[1].1 > pair[0].1, "each second once: {points:?}");
    }
    let log = program.terminate();
    assert!(log.contains("line 9: endpoint.URL: it has no scheme"), "{log}");
    assert!(log.contains("\"msg\":\"exiting\",\"signal\":\"SIGTERM\""), "{log}");
}

#[test]
fn a_changed_discover_goes_on_with_what_its_source_had_found() {
    let (sink, service) = (Sink::start(), Service::counting());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("targets.json");
    fs::write(&file, format!("[{{\"targets\": [\"{}\"]}}]", service.address)).unwrap();
    let discover = |prefix| {
        let table = format!("[[discover]]\nFiles = [{file:?}]\nPrefix = \"{prefix}.{{port}}\"\n");
        carbon(sink.port) + &table
    };
    let name = |prefix| format!("{prefix}.{}.n", service.address.port());
    let program = Program::start(&discover("old"));
    sink.wait_for(&name("old"), 2);
    fs::remove_file(&file).unwrap();
    program.reload(&discover("new"));
    sink.wait_for(&name("new"), 3);
    program.terminate();
}

#[test]
fn a_source_of_nothing_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("targets.json");
    fs::write(&file, "[]").unwrap();
    let output = once(&format!("[[discover]]\nFiles = [{file:?}]\nPrefix = \"{{port}}\"\n"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn another_carbon_after_a_reload_gets_all_that_follows() {
    let (old, new, service) = (Sink::start(), Sink::start(), Service::counting());
    let endpoint = endpoint(&service, "/a", "a");
    let program = Program::start(&(carbon(old.port) + &endpoint));
    old.wait_for("a.n", 2);
    program.reload(&(carbon(new.port) + &endpoint));
    new.wait_for("a.n", 2);
    program.terminate();
    let mut values: Vec<u64> =
        old.named("a.n").iter().chain(&new.named("a.n")).map(|point| point.0 as u64).collect();
    values.dedup();
    assert_eq!(values, (1..=values.len() as u64).collect::<Vec<_>>(), "none lost between them");
}

#[test]
#[ignore = "slow: an outage of seconds"]
fn a_stop_sends_what_a_dead_carbon_left_waiting() {
    let service = Service::counting();
    let port = free_port();
    let config = carbon(port) + "FlushTimeout = 20000\n" + &endpoint(&service, "/a", "a");
    let program = Program::start(&config);
    service.wait_for_answers(3);
    program.signal("TERM");
    let sink = Sink::at(port);
    let points = sink.wait_for("a.n", 2);
    assert_eq!(points[0].0, 1.0, "from the first on: {points:?}");
    program.wait_for_log("exiting");
}

#[test]
#[ignore = "slow: kills a samlare and waits for its spool"]
fn after_kill_9_the_spool_gives_everything_once() {
    let service = Service::counting();
    let port = free_port();
    let spool = tempfile::tempdir().unwrap();
    let config =
        format!("SpoolDir = {:?}\n", spool.path()) + &carbon(port) + &endpoint(&service, "/a", "a");
    let program = Program::start(&config);
    service.wait_for_answers(5);
    program.crash();

    let sink = Sink::at(port);
    let program = Program::start(&config);
    let last = wait_for("new points", || {
        let points = sink.named("a.n");
        points.iter().map(|point| point.0 as u64).max().filter(|max| *max >= 7)
    });
    program.terminate();
    let mut points = sink.named("a.n");
    points.sort_by_key(|point| point.1);
    let mut values: Vec<u64> = points.iter().map(|point| point.0 as u64).collect();
    let sent = values.len();
    values.dedup();
    assert_eq!(sent, values.len(), "nothing was sent twice, as no connection was lost");
    let missing: Vec<u64> = (1..=last).filter(|value| !values.contains(value)).collect();
    // The poll that was under way at the moment of the crash had not given its points yet.
    assert!(missing.len() <= 1, "{missing:?} of {values:?}");
}

#[test]
fn secrets_are_nowhere_to_be_seen() {
    let port = free_port();
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "hunter2\n").unwrap();
    let config = format!(
        "CheckInterval = 200\nListen = \"127.0.0.1:{port}\"\nhunter = 1\n\
         [[endpoint]]\nURL = \"http://user:hunter2@127.0.0.1:{dead}/v?key=hunter2\"\nPrefix = \"a\"\n\
         Headers = {{ \"X-Key\" = \"hunter2\" }}\n\
         [[endpoint]]\nURL = \"http://127.0.0.1:{dead}/\"\nPrefix = \"b\"\nBearerTokenFile = {token:?}\n",
        dead = free_port(),
    );
    let program = Program::start(&config);
    wait_for("failures", || {
        shown(port, "samlare.failures").as_u64().filter(|failures| *failures > 4)
    });
    let page = shown(port, "samlare.endpoints").to_string();
    assert!(page.contains("\"state\":\"down\"") && page.contains("Connection refused"), "{page}");
    let log = program.terminate();
    assert!(log.contains("fetch failed") && log.contains("unknown key"), "{log}");
    for text in [log, page] {
        assert!(!text.contains("hunter2") && !text.contains("user"), "{text}");
    }
    let wrong = dir.path().join("wrong.toml");
    fs::write(&wrong, "[[endpoint]]\nURL = \"http://u:hunter2@h:999999/\"\nx = \"hunter2\" y\n")
        .unwrap();
    let output = samlare(&["check", wrong.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("line 3: this is not TOML"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn names_that_become_the_same_are_counted_and_shown() {
    let service = Service::start(|_, stream| {
        let _ = stream.write_all(&document(r#"{"x": {"a": {"b": 1}, "a.b": 2, "c": 3}}"#));
    });
    let (sink, port) = (Sink::start(), free_port());
    let config = carbon(sink.port) + &format!("Listen = \"127.0.0.1:{port}\"\n");
    let program = Program::start(&(config + &endpoint(&service, "/a", "p")));
    sink.wait_for("p.x.c", 2);
    assert!(shown(port, "samlare.conflicts").as_u64() >= Some(2));
    let report = &shown(port, "samlare.endpoints")[service.url("/a")];
    assert_eq!((&report["last_points"], &report["last_conflicts"]), (&3.into(), &1.into()));
    assert_eq!(report["last_conflict"], "p.x.a.b");
    program.terminate();
}

#[test]
fn a_noisy_endpoint_fills_no_log() {
    let service = Service::start(|_, stream| drop(stream.shutdown(std::net::Shutdown::Both)));
    let port = free_port();
    let config = format!("CheckInterval = 20\nListen = \"127.0.0.1:{port}\"\n");
    let program = Program::start(&(config + &endpoint(&service, "/a", "a")));
    wait_for("failures", || {
        shown(port, "samlare.failures").as_u64().filter(|failures| *failures > 50)
    });
    let log = program.terminate();
    assert_eq!(log.matches("fetch failed").count(), 3, "{log}");
    for line in log.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(event["ts"].is_string() && event["level"].is_string() && event["msg"].is_string());
    }
}

#[test]
fn systemd_is_told() {
    let (manager, service) = (Manager::start(), Service::counting());
    let config = endpoint(&service, "/a", "a");
    let program = manager.program(&config);
    let mut told = Vec::new();
    let next_but_watchdog = |told: &mut Vec<String>| {
        told.extend(std::iter::repeat_with(|| manager.next()).find(|text| text != "WATCHDOG=1"));
    };
    next_but_watchdog(&mut told);
    assert_eq!(manager.next(), "WATCHDOG=1");
    program.reload(&config);
    next_but_watchdog(&mut told);
    next_but_watchdog(&mut told);
    program.terminate();
    next_but_watchdog(&mut told);
    assert_eq!(
        told,
        [
            "READY=1\nSTATUS=polling 1 endpoints",
            "RELOADING=1",
            "READY=1\nSTATUS=polling 1 endpoints",
            "STOPPING=1",
        ]
    );
}

#[test]
fn it_starts_only_with_a_good_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let name = path.to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let output = samlare(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&["-config", &name]);
    assert_eq!(code, 1);
    assert!(said.contains(&name) && said.contains("-config=PATH"), "{said}");

    fs::write(&path, "CarbonHost = 1\nTimout = 5\n[[endpoint]]\nURL = 2\n").unwrap();
    let expected = format!(
        "samlare: {name}: line 1: CarbonHost: it is a whole number: write text in quotes\n\
         samlare: {name}: line 4: endpoint.URL: it is a whole number: write text in quotes\n"
    );
    for arguments in [[&format!("-config={name}")].as_slice(), &[&format!("--config={name}")]] {
        let arguments: Vec<&str> = arguments.iter().map(|text| text.as_str()).collect();
        assert_eq!(run(&arguments), (1, expected.clone()));
    }
    assert_eq!(run(&["check", &name]), (1, expected));

    fs::write(&path, "Timout = 5\n[[endpoint]]\nURL = \"http://h/\"\nPrefix = \"p\"\n").unwrap();
    let expected = format!("samlare: {name}: line 1: Timout: unknown key: did you mean Timeout?\n");
    assert_eq!(run(&["check", &name]), (1, expected));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("Timeout = 5\nlisten = \"{}\"\n", taken.local_addr().unwrap());
    fs::write(&path, listen + "[[endpoint]]\nURL = \"http://h/\"\nPrefix = \"p\"\n").unwrap();
    let (code, said) = run(&["-config", &name]);
    let expected = format!("samlare: {name}: line 2: listen: cannot listen on ");
    assert!(code == 1 && said.contains(&expected), "{said}");

    assert_eq!(run(&["-bogus"]).0, 2);
    assert_eq!(run(&["-config"]).0, 2);
    assert_eq!(run(&["once"]).0, 2);
    for help in ["-h", "--help", "-help"] {
        let output = samlare(&[help]).output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains("samlare once FILE"));
    }
}

#[test]
fn the_logs_last_word_about_an_endpoint_is_true() {
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = polls.clone();
    // Good, broken for longer than the log's burst, good.
    let service = Service::start(move |_, stream| {
        let broken = (3..12).contains(&counted.fetch_add(1, Ordering::Relaxed));
        let _ = stream.write_all(&document(if broken { "{\"a\": " } else { "{\"a\": 1}" }));
    });
    // A poll that is slow does not ask twice.
    let config = "CheckInterval = 50\nTimeout = 20000\nLogFormat = \"text\"\n".to_owned();
    let program = Program::start(&(config + &endpoint(&service, "/a", "a")));
    program.wait_for_log("good fetch again");
    let log = program.terminate();
    let again = log.lines().find(|line| line.contains("good fetch again")).unwrap();
    assert!(again.ends_with("failures=9 suppressed=6"), "{log}");
}

#[test]
fn a_sighup_before_the_start_is_done_reloads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let service = Service::counting();
    let config = endpoint(&service, "/a", "a");
    let errors = fs::File::create(dir.path().join("stderr")).unwrap();
    let mut child = samlare(&["-config", path.to_str().unwrap()])
        .stdout(std::process::Stdio::null())
        .stderr(errors)
        .spawn()
        .unwrap();
    // Opens when samlare reads: it has begun, and cannot go on without the file.
    let mut fifo = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let hup = std::process::Command::new("kill").args(["-HUP", &child.id().to_string()]).status();
    assert!(hup.unwrap().success());
    fs::write(dir.path().join("next"), &config).unwrap();
    fs::rename(dir.path().join("next"), &path).unwrap();
    fifo.write_all(config.as_bytes()).unwrap();
    drop(fifo);
    let log = wait_for("the reload", || {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        let log = fs::read_to_string(dir.path().join("stderr")).unwrap();
        log.contains("\"msg\":\"reloaded\"").then_some(log)
    });
    assert!(log.contains("\"msg\":\"starting\""), "{log}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_empty_file_at_a_reload_keeps_the_old_one() {
    let (sink, service) = (Sink::start(), Service::counting());
    let program = Program::start(&(carbon(sink.port) + &endpoint(&service, "/a", "a")));
    sink.wait_for("a.n", 1);
    for empty in ["", "\n# nothing yet\n"] {
        program.reload(empty);
    }
    program.wait_for_log("config.toml: it is empty");
    let before = sink.named("a.n").len();
    sink.wait_for("a.n", before + 2);
    program.terminate();
}

#[test]
fn what_happens_to_a_source_is_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("targets.yml");
    fs::write(&file, "- targets: [a:1, b:2, 'c d']\n").unwrap();
    let config = format!(
        "LogFormat = \"text\"\n[[discover]]\nFiles = [{file:?}]\nPrefix = \"{{host}}\"\nRefresh = 20\n"
    );
    let program = Program::start(&config);
    program
        .wait_for_log(&format!("info targets found source=\"files {}\" targets=2", file.display()));
    program.wait_for_log("warn targets left out");
    fs::write(&file, "").unwrap();
    program.wait_for_log(
        "it is empty: write [] where there are no targets; its last 3 targets stay\" targets=2",
    );
    fs::write(&file, "- targets: [a:1]\n").unwrap();
    program.wait_for_log("info source answers again");
    program.wait_for_log("targets=1");
    program.terminate();
}

#[test]
fn another_format_of_the_log_applies_to_endpoints_that_did_not_change() {
    let breaks = Arc::new(AtomicBool::new(false));
    let broken = breaks.clone();
    let service = Service::start(move |_, stream| {
        let body = if broken.load(Ordering::Relaxed) { "{" } else { "{}" };
        let _ = stream.write_all(&document(body));
    });
    let endpoint = "CheckInterval = 50\n".to_owned() + &endpoint(&service, "/a", "a");
    let program = Program::start(&endpoint);
    program.wait_for_log("\"msg\":\"good fetch\"");
    program.reload(&("LogFormat = \"text\"\n".to_owned() + &endpoint));
    program.wait_for_log("Z info reloaded endpoints=1\n");
    breaks.store(true, Ordering::Relaxed);
    program.wait_for_log("Z warn fetch failed endpoint=");
    let log = program.terminate();
    assert!(log.contains("Z info exiting signal=SIGTERM"), "{log}");
}

/// 41 endpoints and 64 other files are more than 80: one endpoint in the file, the others found.
#[cfg(unix)]
#[test]
fn the_warning_of_the_file_limit_counts_endpoints_that_were_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("targets.yml");
    fs::write(&file, "[]\n").unwrap();
    let config = format!(
        "LogFormat = \"text\"\nCheckInterval = 86400000\n\
         [[endpoint]]\nURL = \"http://127.0.0.1:1/\"\nPrefix = \"a\"\n\
         [[discover]]\nFiles = [{file:?}]\nPrefix = \"{{host}}\"\nRefresh = 20\n"
    );
    let program = Program::start_by(&config, &["sh", "-c", "ulimit -n 80 && exec \"$@\"", "sh"]);
    program.wait_for_log("info targets found");
    let found: String = (0..40).map(|n| format!("- targets: [h{n}:1]\n")).collect();
    fs::write(&file, found).unwrap();
    program.wait_for_log("targets=40");
    let warning =
        "warn the limit of open files is too low for so many endpoints: raise LimitNOFILE";
    program.wait_for_log(&format!("{warning} limit=80 endpoints=41\n"));
    let log = program.terminate();
    assert_eq!(log.matches(warning).count(), 1, "one endpoint is no reason, {log}");
}

#[cfg(target_os = "linux")]
#[test]
fn lines_carry_their_priority_where_standard_error_is_the_journal() {
    use std::os::unix::fs::MetadataExt;
    let service = Service::start(|_, stream| drop(stream.shutdown(std::net::Shutdown::Both)));
    let config = "CheckInterval = 50\n".to_owned() + &endpoint(&service, "/a", "a");
    let dir = tempfile::tempdir().unwrap();
    let journal = fs::File::create(dir.path().join("journal")).unwrap();
    let (device, inode) = (journal.metadata().unwrap().dev(), journal.metadata().unwrap().ino());
    let program = Program::start_with(&config, |command| {
        command.stderr(journal).env("JOURNAL_STREAM", format!("{device}:{inode}"));
    });
    wait_for("a failure", || {
        let text = fs::read_to_string(dir.path().join("journal")).unwrap();
        let failed = text.contains("\n<4>{\"ts\":");
        (failed && text.contains("<6>{\"ts\":")).then_some(())
    });
    program.terminate();
}

#[test]
#[ignore = "slow: an outage of seconds"]
fn the_log_tells_when_carbon_goes_away_and_is_back() {
    let (service, port) = (Service::counting(), free_port());
    let program = Program::start(&(carbon(port) + &endpoint(&service, "/a", "a")));
    program.wait_for_log("\"msg\":\"destination accepts no points, they are queued\"");
    let _sink = Sink::at(port);
    program.wait_for_log("\"msg\":\"destination is back\"");
    let log = program.terminate();
    let away = log.lines().find(|line| line.contains("accepts no points")).unwrap();
    let away: serde_json::Value = serde_json::from_str(away).unwrap();
    assert_eq!(away["level"], "warn");
    assert!(away["destination"].as_str().unwrap().contains(&port.to_string()), "{away}");
    assert!(away["error"].as_str().unwrap().contains("refused"), "{away}");
    let back = log.lines().find(|line| line.contains("is back")).unwrap();
    let back: serde_json::Value = serde_json::from_str(back).unwrap();
    assert_eq!((&back["level"], &back["dropped"]), (&"info".into(), &0.into()));
}

#[test]
fn looks_at_an_endpoint_that_hangs_end() {
    // Takes requests and answers none.
    let service = Service::start(|_, _| std::thread::park());
    let page = free_port();
    let config =
        format!("CheckInterval = 86400000\nTimeout = 600000\nListen = \"127.0.0.1:{page}\"\n");
    let program = Program::start(&(config + &endpoint(&service, "/a", "a")));
    program.wait_for_log("\"msg\":\"starting\"");
    let look = || {
        let mut stream = wait_for("the page", || TcpStream::connect(("127.0.0.1", page)).ok());
        let url = service.url("/a");
        let request =
            format!("GET /endpoint?url={url}&prefix=a HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let asked = || service.connections.load(Ordering::Relaxed);
    let looks: Vec<_> = (0..4).map(|_| look()).collect();
    wait_for("four looks", || (asked() >= 4).then_some(()));
    let before = asked();
    let mut refused = String::new();
    look().read_to_string(&mut refused).unwrap();
    assert!(refused.contains("too many endpoints are being looked at"), "{refused}");
    drop(looks);
    let kept = std::cell::RefCell::new(Vec::new());
    wait_for("another look", || {
        kept.borrow_mut().push(look());
        (asked() > before + 1).then_some(())
    });
}
