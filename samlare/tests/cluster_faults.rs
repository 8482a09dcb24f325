//! The whole program, three real etcd nodes and a real carbon-cache, through a schedule of faults:
//! whisper has every slot of every endpoint.

#[path = "support/fleet.rs"]
mod fleet;

use std::time::Duration;

use fleet::{Fleet, Slots};

/// Between two polls: longer than the TTL, 0.5 s, 3 s for etcd's own election and the timeout.
const INTERVAL: Duration = Duration::from_secs(8);
const TTL_MS: u64 = 2_000;
const TIMEOUT_MS: u64 = 1_000;

/// Faults of one round, each at a moment of it.
fn round(fleet: &mut Fleet) {
    let began = fleet.now();
    let at = |fleet: &mut Fleet, secs: f64, what: &str, act: &mut dyn FnMut(&mut Fleet)| {
        fleet.wait_until(began + Duration::from_secs_f64(secs));
        fleet.note(what);
        act(fleet);
    };
    at(fleet, 0.8, "b is killed", &mut |fleet| fleet.kill("b"));
    at(fleet, 5.0, "b starts again", &mut |fleet| fleet.start("b"));
    at(fleet, 7.0, "d joins", &mut |fleet| fleet.start("d"));
    let mut leader = 0;
    at(fleet, 12.0, "a and etcd's leader are killed together", &mut |fleet| {
        leader = fleet.etcd.leader();
        fleet.kill("a");
        fleet.etcd.kill(leader);
    });
    at(fleet, 18.0, "etcd's node starts again", &mut |fleet| fleet.etcd.launch(leader));
    at(fleet, 19.0, "a starts again", &mut |fleet| fleet.start("a"));
    at(fleet, 20.0, "c is stopped", &mut |fleet| fleet.signal("c", "STOP"));
    at(fleet, 29.5, "c goes on", &mut |fleet| fleet.signal("c", "CONT"));
    let mut down = Vec::new();
    at(fleet, 31.0, "two of three etcd nodes are killed", &mut |fleet| {
        leader = fleet.etcd.leader();
        down = (0..3).filter(|&node| node != leader).collect();
        down.iter().for_each(|&node| fleet.etcd.kill(node));
    });
    at(fleet, 34.5, "they start again", &mut |fleet| {
        down.iter().for_each(|&node| fleet.etcd.launch(node));
    });
    at(fleet, 36.0, "d stops", &mut |fleet| fleet.signal("d", "TERM"));
    at(fleet, 37.0, "the round is over", &mut |_| {});
}

/// Runs this many rounds: whisper has every point, and no false failure was sent.
fn faults(rounds: usize) {
    let mut fleet = Fleet::new(INTERVAL, TTL_MS, TIMEOUT_MS, "");
    ["a", "b", "c"].iter().for_each(|name| fleet.start(name));
    fleet.wait_for_members(3);
    let from = fleet.mark();
    for _ in 0..rounds {
        round(&mut fleet);
    }
    let Slots { missing, all, polled, most } = fleet.end(from);
    println!("{all} slots, {polled} polls, at most {most} of one slot\n{}", fleet.notes());
    assert_eq!(missing, [] as [String; 0], "of {all} slots\n{}", fleet.notes());
    assert_eq!(fleet.failures(), [] as [String; 0], "{}", fleet.notes());
}

#[test]
#[ignore = "needs etcd: .ci/peers.sh installs it"]
fn two_rounds_of_faults_leave_no_slot_missing() {
    faults(2);
}

#[test]
#[ignore = "needs etcd, and fifteen minutes"]
fn twenty_rounds_of_faults_leave_no_slot_missing_at_length() {
    faults(20);
}

#[test]
#[ignore = "needs etcd: .ci/peers.sh installs it"]
fn a_rolling_restart_leaves_no_slot_missing_and_polls_none_more_than_twice() {
    let mut fleet = Fleet::new(Duration::from_secs(4), TTL_MS, 500, "");
    let names = ["a", "b", "c"];
    names.iter().for_each(|name| fleet.start(name));
    fleet.wait_for_members(3);
    let from = fleet.begin();
    for name in names {
        fleet.note(&format!("{name} stops"));
        fleet.stop(name);
        fleet.note(&format!("{name} starts"));
        fleet.start(name);
        fleet.wait_for_members(3);
        // As long as a joiner's overlap: changes do not fall into one slot.
        fleet.pass(Duration::from_secs(4));
    }
    fleet.pass(Duration::from_secs(4));
    let rest = fleet.begin();
    fleet.pass(Duration::from_secs(8));
    let Slots { polled, all, .. } = fleet.slots(rest);
    assert_eq!(polled, all, "at rest none is doubled\n{}", fleet.notes());
    let Slots { missing, all, most, .. } = fleet.end(from);
    assert_eq!(missing, [] as [String; 0], "of {all} slots\n{}", fleet.notes());
    assert!(most <= 2, "at most one extra poll: {most}\n{}", fleet.notes());
}

/// Losing the engine has no effect.
fn without_etcd(time: Duration) {
    let interval = Duration::from_secs(2);
    let mut fleet = Fleet::new(interval, TTL_MS, 500, "");
    ["a", "b"].iter().for_each(|name| fleet.start(name));
    fleet.wait_for_members(2);
    let from = fleet.begin();
    fleet.pass(interval * 2);
    let before = fleet.polled_by();
    (0..3).for_each(|node| fleet.etcd.kill(node));
    let away = fleet.begin();
    fleet.pass(time);
    assert_eq!(fleet.shown("a", "engine_up"), 0);
    assert_eq!(fleet.polled_by_since(away), before, "each its own, as before");
    let Slots { polled, all, .. } = fleet.slots(away);
    assert_eq!(polled, all, "none is doubled");
    (0..3).for_each(|node| fleet.etcd.launch(node));
    fleet.wait_for("the engine", |fleet| fleet.shown("a", "engine_up") == 1);
    let Slots { missing, all, .. } = fleet.end(from);
    assert_eq!(missing, [] as [String; 0], "of {all} slots");
    for name in ["a", "b"] {
        let log = fleet.log(name);
        let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count();
        assert_eq!(lines("the engine is unreachable, the last members stay in force"), 1, "{log}");
        assert_eq!(lines("the engine is back"), 1, "{log}");
    }
}

#[test]
#[ignore = "needs etcd: .ci/peers.sh installs it"]
fn etcd_away_changes_nothing() {
    without_etcd(Duration::from_secs(12));
}

#[test]
#[ignore = "needs etcd, and ten minutes"]
fn etcd_away_for_ten_minutes_changes_nothing_at_length() {
    without_etcd(Duration::from_secs(600));
}

#[test]
#[ignore = "needs etcd: .ci/peers.sh installs it"]
fn with_two_replicas_a_member_that_dies_with_its_disk_loses_nothing() {
    let interval = Duration::from_secs(4);
    let mut fleet = Fleet::new(interval, TTL_MS, 500, "Replicas = 2");
    ["a", "b", "c"].iter().for_each(|name| fleet.start(name));
    fleet.wait_for_members(3);
    let from = fleet.begin();
    fleet.pass(interval);
    fleet.carbon.kill();
    fleet.note("Carbon is away");
    fleet.pass(interval * 3);
    fleet.kill("b");
    fleet.delete_disk("b");
    fleet.note("b is dead, and its disk is gone");
    fleet.pass(interval * 2);
    fleet.carbon.restart();
    fleet.note("Carbon is back");
    let Slots { missing, all, .. } = fleet.end(from);
    assert_eq!(missing, [] as [String; 0], "of {all} slots\n{}", fleet.notes());
}
