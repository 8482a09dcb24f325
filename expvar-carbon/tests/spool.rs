//! The queue on disk: a killed process, a full disk, a clean end.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use expvar_carbon::{Event, Lines, Sender, Unsent};
use expvar_peers::free_port;

const NOW: u64 = 1_700_000_000;
const SOON: Duration = Duration::from_secs(60);

/// The address of no server.
fn dead() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// Runs the named test again in a process of its own, which a shell prepares and which finds
/// [`child_dir`].
fn child(test_name: &str, dir: &Path, shell: &str) -> Child {
    let test = std::env::current_exe().unwrap();
    Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$@\""), "sh"])
        .arg(test)
        .args(["--exact", "--nocapture", test_name])
        .env("SPOOL_DIR", dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads the child's output up to the line that starts with `word`, and returns that line.
fn await_line(child: &mut Child, word: &str) -> String {
    let output = BufReader::new(child.stdout.as_mut().unwrap());
    let line = output.lines().map(Result::unwrap).find(|line| line.starts_with(word));
    line.expect("the child ended early")
}

/// The directory that the parent gave, in a child.
fn child_dir() -> Option<PathBuf> {
    std::env::var_os("SPOOL_DIR").map(PathBuf::from)
}

/// Everything that one connection brings to a server at which the spool is emptied.
fn drain(dir: &Path) -> (Vec<String>, Unsent) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (texts, received) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        texts.send(text).unwrap();
    });
    let sender = Sender::builder().to(address).timeout(SOON).spool_dir(dir).spawn().unwrap();
    assert!(sender.stats().points_recovered > 0);
    let left = sender.close(SOON);
    let text = received.recv_timeout(SOON).unwrap();
    (text.lines().map(str::to_owned).collect(), left)
}

fn send_until_killed(dir: &Path) {
    let sender = Sender::builder().to(dead()).spool_dir(dir).spawn().unwrap();
    let mut lines = Lines::new();
    let mut sent = 0;
    loop {
        for _ in 0..100 {
            lines.point("a.b", sent, NOW + sent);
            sent += 1;
        }
        sender.send(&mut lines);
        println!("\nsafe {sent}");
    }
}

/// Kills a process at a random moment, and returns how many points it had confirmed.
fn kill_at_random(name: &str, dir: &Path, at_least: u64) -> u64 {
    let mut process = child(name, dir, "");
    let output = BufReader::new(process.stdout.take().unwrap());
    let (mut safe, mut killed) = (0, false);
    // What it had said before it died counts too.
    for line in output.lines().map_while(Result::ok) {
        safe = line.strip_prefix("safe ").and_then(|n| n.parse().ok()).unwrap_or(safe);
        if safe >= at_least && !killed {
            process.kill().unwrap();
            killed = true;
        }
    }
    process.wait().unwrap();
    safe
}

#[test]
fn a_killed_process_loses_nothing_that_send_took_over() {
    if let Some(dir) = child_dir() {
        return send_until_killed(&dir);
    }
    let name = "a_killed_process_loses_nothing_that_send_took_over";
    for round in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let safe = kill_at_random(name, dir.path(), 1 + round * 1_700);
        let (lines, left) = drain(dir.path());
        assert_eq!(left, Unsent::default());
        let expected: Vec<_> =
            (0..lines.len() as u64).map(|n| format!("a.b {n} {}", NOW + n)).collect();
        assert!(lines.len() as u64 >= safe, "{} of {safe}", lines.len());
        assert_eq!(lines, expected, "each once, in order");
        // What a server has read is not sent by the next process.
        let sender = Sender::builder().to(dead()).spool_dir(dir.path()).spawn().unwrap();
        assert_eq!(sender.stats().points_recovered, 0);
    }
}

#[test]
fn a_removed_directory_is_made_again_with_all_that_waits() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("spool");
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = told.clone();
    let builder = Sender::builder().to(dead()).spool_dir(&dir);
    let builder = builder.shutdown_timeout(Duration::ZERO);
    let sender = builder.on_event(move |e| seen.lock().unwrap().push(e.clone())).spawn().unwrap();
    let mut lines = Lines::new();
    for n in 0..3 {
        lines.point("a.b", n, NOW + n);
        sender.send(&mut lines);
        if n < 2 {
            std::fs::remove_dir_all(&dir).unwrap();
        }
    }
    drop(sender);
    let (lines, _) = drain(&dir);
    assert_eq!(lines, ["a.b 0 1700000000", "a.b 1 1700000001", "a.b 2 1700000002"]);
    let told = told.lock().unwrap();
    let removed = |e: &&Event| matches!(e, Event::SpoolDamaged { .. });
    assert_eq!(told.iter().filter(removed).count(), 2, "{told:?}");
}

#[test]
fn a_spool_that_fails_is_told_once() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("spool");
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = told.clone();
    let sender = Sender::builder().to(dead()).spool_dir(&dir).shutdown_timeout(Duration::ZERO);
    let sender = sender.on_event(move |e| seen.lock().unwrap().push(e.to_string()));
    let sender = sender.spawn().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    std::fs::write(&dir, "in the way").unwrap();
    let mut lines = Lines::new();
    for n in 0..10 {
        lines.point("a.b", n, NOW + n);
        sender.send(&mut lines);
    }
    assert_eq!(sender.stats().queue_points, 10, "in memory");
    drop(sender);
    let told = told.lock().unwrap();
    let failed: Vec<_> =
        told.iter().filter(|e| e.contains("cannot be written, points are kept")).collect();
    assert_eq!(failed.len(), 1, "{told:?}");
    assert!(failed[0].contains(dir.to_str().unwrap()));
}

#[test]
fn points_for_a_server_that_is_no_longer_configured_are_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dead(), dead());
    let copies = |servers: &[&str]| {
        let builder = servers.iter().fold(Sender::builder(), |builder, server| builder.to(*server));
        let builder = builder.copy(true).spool_dir(dir.path());
        let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = told.clone();
        let sender = builder.on_event(move |e| {
            if matches!(e, Event::SpoolUnread { .. }) {
                seen.lock().unwrap().push(e.clone());
            }
        });
        let sender = sender.shutdown_timeout(Duration::ZERO).spawn().unwrap();
        (sender, told)
    };
    let (sender, told) = copies(&[&first, &second]);
    let mut lines = Lines::new();
    lines.point("a.b", 1, NOW);
    sender.send(&mut lines);
    drop(sender);
    assert_eq!(*told.lock().unwrap(), []);
    // As they were.
    let (sender, told) = copies(&[&second, &first]);
    drop(sender);
    assert_eq!(*told.lock().unwrap(), []);
    let (sender, told) = copies(&[&first, &dead()]);
    drop(sender);
    let unread = dir.path().join(format!("tcp:__{second}").replace(':', "_"));
    let unread = Event::SpoolUnread { directory: unread.display().to_string(), points: 1 };
    assert_eq!(*told.lock().unwrap(), [unread]);
}

#[test]
fn files_that_cannot_be_read_are_named_and_left() {
    let dir = tempfile::tempdir().unwrap();
    let queue = dir.path().join("queue");
    std::fs::create_dir(&queue).unwrap();
    let later = queue.join("00000000000000000003.spool");
    std::fs::write(&later, "expvar-carbon spool 2\nsomething").unwrap();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = told.clone();
    let sender =
        Sender::builder().to(dead()).spool_dir(dir.path()).shutdown_timeout(Duration::ZERO);
    let sender = sender.on_event(move |e| seen.lock().unwrap().push(e.to_string()));
    drop(sender.spawn().unwrap());
    let told = told.lock().unwrap();
    assert!(told[0].contains("00000000000000000003.spool: it has the format 2"), "{told:?}");
    assert_eq!(std::fs::read(&later).unwrap(), b"expvar-carbon spool 2\nsomething");
}

fn fill_the_disk(dir: &Path) {
    let address = dead();
    let sender = Sender::builder().to(&address).timeout(SOON).spool_dir(dir).spawn().unwrap();
    let mut lines = Lines::new();
    for n in 0..20_000 {
        lines.point("a.b", n, NOW + n);
        if n % 100 == 99 {
            sender.send(&mut lines);
        }
    }
    while sender.stats().spool_failures == 0 {
        std::thread::yield_now();
    }
    let error = sender.stats().last_error;
    // The server is back: all of it still goes, from memory.
    let listener = TcpListener::bind(address).unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text.lines().collect::<BTreeSet<_>>().len()
    });
    let left = sender.close(SOON);
    println!("\nread {} left {} {error}", reader.join().unwrap(), left.points);
}

#[test]
fn a_full_disk_falls_back_to_memory_and_is_shown() {
    if let Some(dir) = child_dir() {
        return fill_the_disk(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let name = "a_full_disk_falls_back_to_memory_and_is_shown";
    // Files of this process cannot grow past 64 KiB or 128, as the shell counts.
    let mut process = child(name, dir.path(), "trap '' XFSZ; ulimit -f 128;");
    let line = await_line(&mut process, "read ");
    process.wait().unwrap();
    assert!(line.starts_with("read 20000 left 0 "), "{line}");
}

#[tokio::test]
async fn a_driver_that_is_dropped_leaves_its_directory_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let build = || Sender::builder().to(dead()).spool_dir(dir.path()).build();
    let (sender, driver) = build().unwrap();
    let mut lines = Lines::new();
    lines.point("a.b", 1u64, NOW);
    sender.send(&mut lines);
    let ended = tokio::time::timeout(Duration::from_millis(50), driver.run(std::future::pending()));
    assert!(ended.await.is_err(), "the server is away");
    assert_eq!(build().unwrap().0.stats().points_recovered, 1);
}
