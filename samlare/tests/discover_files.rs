//! Targets from files, as Prometheus reads them.

#[path = "support/discovery.rs"]
mod discovery;

use std::fs;
use std::path::Path;
use std::time::Duration;

use discovery::{changed, seen, until};
use samlare::discover::{Discovery, Report, Settings};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(60);

fn settings(file: &Path) -> Settings {
    Settings {
        files: vec![file.display().to_string()],
        prefix: Some("apps.{service}.{host}_{port}".into()),
        failure_metric: Some("apps.{service}.{host}_{port}.failed".into()),
        refresh_ms: Some(20),
        ..Settings::default()
    }
}

#[tokio::test]
async fn json_targets_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("targets.json");
    fs::write(
        &file,
        r#"[{"targets": ["10.0.0.1:8080", "[::1]:8080"], "labels": {"job": "pay.api"}},
            {"targets": ["web"], "labels": {"service": "web", "job": "x",
             "__scheme__": "https", "__metrics_path__": "/vars"}}]"#,
    )
    .unwrap();
    let mut discovery = settings(&file).check().unwrap().spawn();
    assert_eq!(
        changed(&mut discovery).await,
        [
            "http://10.0.0.1:8080/debug/vars apps.pay_api.10_0_0_1_8080",
            "http://[::1]:8080/debug/vars apps.pay_api.__1_8080",
            "https://web:443/vars apps.web.web_443",
        ]
    );
    let failure = discovery.targets.borrow()[0].failure_metric.clone();
    assert_eq!(failure.unwrap(), "apps.pay_api.10_0_0_1_8080.failed");

    // Written over by a rename, as consul-template and editors do.
    let new = dir.path().join("new");
    fs::write(&new, r#"[{"targets": ["10.0.0.2:1"], "labels": {"service": "a"}}]"#).unwrap();
    fs::rename(&new, &file).unwrap();
    assert_eq!(changed(&mut discovery).await, ["http://10.0.0.2:1/debug/vars apps.a.10_0_0_2_1"]);

    // Broken, gone, and back as it was: the set stays all the while.
    fs::write(&file, "[{\"targets\": [").unwrap();
    until(&discovery, |r| {
        r.failing && r.last_error.contains("targets.json") && r.last_error.contains("line 1")
    })
    .await;
    fs::remove_file(&file).unwrap();
    until(&discovery, |r| r.failing && r.last_error.contains("No such")).await;
    assert_eq!(seen(&mut discovery).len(), 1);
    assert!(!discovery.targets.has_changed().unwrap());
    fs::write(&file, "[]").unwrap();
    assert_eq!(changed(&mut discovery).await, [""; 0]);
    until(&discovery, |r| !r.failing).await;
}

#[tokio::test]
async fn yaml_in_several_files_by_a_pattern() {
    let dir = tempfile::tempdir().unwrap();
    let a = dir.path().join("a.yml");
    fs::write(&a, "- targets:\n  - one:1\n  - 'two:2'\n  labels:\n    service: s\n    shard: 7\n")
        .unwrap();
    fs::write(dir.path().join("other.txt"), "no yaml: [").unwrap();
    let mut settings = settings(&dir.path().join("*.yml"));
    settings.prefix = Some("x.{service}{shard}.{host}".into());
    let mut discovery = settings.check().unwrap().spawn();
    assert_eq!(
        changed(&mut discovery).await,
        ["http://one:1/debug/vars x.s7.one", "http://two:2/debug/vars x.s7.two"]
    );
    let b = dir.path().join("b.yml");
    fs::write(&b, "- targets: [three:3]\n  labels: {service: s, shard: true}\n").unwrap();
    assert_eq!(changed(&mut discovery).await.len(), 3);
    // A bad file beside a good one: its own targets stay, the other's follow.
    fs::write(&b, "- targets: three").unwrap();
    until(&discovery, |r| r.failing).await;
    fs::write(&a, "- targets: [one:1]\n  labels: {service: s, shard: 7}\n").unwrap();
    assert_eq!(
        changed(&mut discovery).await,
        ["http://one:1/debug/vars x.s7.one", "http://three:3/debug/vars x.strue.three"]
    );
    fs::remove_file(&b).unwrap();
    assert_eq!(changed(&mut discovery).await.len(), 1);
}

#[tokio::test]
async fn targets_that_cannot_be_used_are_left_out_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.json");
    fs::write(
        &file,
        r#"[{"targets": ["ok:1", "ok:1", "a/b:2", "http://x:1/", "ok:99999", ":8080", ""],
             "labels": {"service": "s"}},
            {"targets": ["unnamed:1"]}]"#,
    )
    .unwrap();
    let mut discovery = settings(&file).check().unwrap().spawn();
    assert_eq!(changed(&mut discovery).await, ["http://ok:1/debug/vars apps.s.ok_1"]);
    until(&discovery, |r| r.left_out == 6).await;
    let why = discovery.status.report().left_out_why;
    assert!(why.contains("a/b:2"), "{why}");
}

#[tokio::test]
async fn dropping_the_discovery_ends_the_watch() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.json");
    fs::write(&file, "[]").unwrap();
    let discovery = settings(&file).check().unwrap().spawn();
    until(&discovery, |r| r.answers > 0).await;
    let status = discovery.status.clone();
    drop(discovery);
    timeout(LONG, async {
        while std::sync::Arc::strong_count(&status) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the task lets go of everything");
}

#[test]
fn bad_settings_are_named_at_the_start_all_at_once() {
    let bad = Settings {
        files: vec!["targets.txt".into(), "/x/*/t.json".into(), "a*b*.yml".into()],
        prefix: Some("apps.{service".into()),
        url: Some("http://{ho st}/".into()),
        refresh_ms: Some(1),
        ..Settings::default()
    };
    let problems: Vec<_> = bad.check().unwrap_err();
    let keys: Vec<_> = problems.iter().map(|p| p.key).collect();
    assert_eq!(keys, ["Files", "Files", "Files", "Refresh", "URL", "Prefix"], "{problems:?}");
    assert_eq!(
        problems[5].to_string(),
        "Prefix \"apps.{service\": the { at byte 5 has no }: write {host}, or {{ for a brace"
    );
    let none = Settings::default().check().unwrap_err();
    assert_eq!(none[0].key, "Files");
    assert_eq!(none[1].key, "Prefix");
    let two = Settings {
        files: vec!["a.json".into()],
        consul: Some("http://x:1".into()),
        prefix: Some("p".into()),
        ..Settings::default()
    };
    assert!(two.check().unwrap_err()[0].message.contains("one table each"));
}

/// Writes a text that is no list of targets: the last ones stay, and the source fails.
async fn keeps(discovery: &Discovery, file: &Path, text: &str) {
    let before = discovery.status.report();
    fs::write(file, text).unwrap();
    let is_read = |r: &Report| r.failures > before.failures + 1 || r.changes > before.changes;
    let is_taken = |r: &Report| r.answers > before.answers + 100;
    until(discovery, |r| is_read(r) || is_taken(r)).await;
    let report = discovery.status.report();
    let targets = (report.targets, report.changes);
    assert_eq!(targets, (before.targets, before.changes), "after {text:?}: {report:?}");
    assert!(report.failing && report.last_error.contains("targets stay"), "{text:?}: {report:?}");
}

#[tokio::test]
#[ignore = "slow: watches files over several rounds"]
async fn a_file_that_is_cut_or_empty_keeps_its_targets() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("targets.yml");
    let whole = "- targets: [\"10.0.0.1:8080\"]\n  labels: {job: a}\n- targets:\n  - 10.0.0.2:8081\n  \
                 - 10.0.0.3:8082\n  labels: {job: b}\n";
    fs::write(&file, whole).unwrap();
    let mut discovery = settings(&file).check().unwrap().spawn();
    assert_eq!(changed(&mut discovery).await.len(), 3);
    for end in 0..whole.len() {
        // Cut at the end of a line it may be what somebody wants.
        if end > 0 && whole[..end].ends_with('\n') {
            continue;
        }
        keeps(&discovery, &file, &whole[..end]).await;
    }
    // Nothing but a comment or white space is nothing, and an empty list is what it says.
    for nothing in ["# soon\n", "\n", " \n\n"] {
        keeps(&discovery, &file, nothing).await;
    }
    fs::write(&file, "[]\n").unwrap();
    assert_eq!(changed(&mut discovery).await, [] as [&str; 0]);
    until(&discovery, |r| !r.failing).await;
}

#[tokio::test]
async fn a_json_file_that_is_cut_or_empty_keeps_its_targets() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("targets.json");
    let whole = r#"[{"targets": ["10.0.0.1:8080", "10.0.0.2:8080"], "labels": {"job": "a"}}]"#;
    fs::write(&file, whole).unwrap();
    let mut discovery = settings(&file).check().unwrap().spawn();
    assert_eq!(changed(&mut discovery).await.len(), 2);
    for text in ["", "\n", &whole[..1], &whole[..20], &whole[..whole.len() - 1]] {
        keeps(&discovery, &file, text).await;
    }
    fs::write(&file, "[]").unwrap();
    assert_eq!(changed(&mut discovery).await, [] as [&str; 0]);
}
