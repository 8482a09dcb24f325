//! Members that share endpoints, on a clock that the test moves and with an engine in memory.

#[path = "support/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use expvar_http::{Format, Prometheus};
use world::{ENDPOINTS, INTERVAL, Member, START_MS, World, pass};

/// Members a and b at rest, and since when.
async fn two_at_rest() -> (World, Member, Member, u64) {
    let world = World::new().await;
    let (a, b) = (world.member("a").await, world.member("b").await);
    pass(INTERVAL * 3).await;
    let from = world.now();
    (world, a, b, from)
}

#[tokio::test(start_paused = true)]
async fn at_rest_each_slot_has_one_poll_by_its_owner() {
    let (world, _a, _b, from) = two_at_rest().await;
    world.assert_rest(2).await;
    for name in ["a", "b"] {
        assert_eq!(world.polled_by(name, from), world.owned(name, ["a", "b"]), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_dies_leaves_no_slot_unpolled() {
    let (world, _a, b, from) = two_at_rest().await;
    pass(Duration::from_secs(1)).await;
    b.die();
    pass(Duration::from_millis(3500)).await;
    world.played.expire("b");
    let expired = world.now();
    pass(Duration::from_secs(3)).await;
    // What was b's at once, and not when the next slot is due.
    world.assert_made_up("a", &world.owned("b", ["a", "b"]), expired);
    pass(INTERVAL * 2).await;
    world.assert_covered(from, 2);
    world.assert_rest(1).await;
}

#[tokio::test(start_paused = true)]
async fn who_joins_is_overlapped_for_two_slots_with_one_extra_poll_each() {
    let world = World::new().await;
    let a = world.member("a").await;
    pass(INTERVAL * 2).await;
    let from = world.now();
    pass(Duration::from_secs(2)).await;
    let _b = world.member("b").await;
    let joined = world.now();
    pass(INTERVAL * 3).await;
    world.assert_covered(from, 2);
    let (gained, rest) = (world.owned("b", ["a", "b"]), world.now());
    // In the first slot that b polls a does, too.
    for (endpoint, slot) in world.counts(joined, joined + 7_999).keys() {
        let by: BTreeSet<String> = world
            .polls
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, e, t)| e == endpoint && world.schedule(*e).latest(t + 5) == *slot)
            .map(|(by, ..)| by.clone())
            .collect();
        let both = gained.contains(endpoint);
        assert_eq!(by.len(), if both { 2 } else { 1 }, "{endpoint} {by:?}");
    }
    pass(INTERVAL).await;
    assert_eq!(world.missed_and_most(rest, world.now() - 100), (0, 1));
    assert_eq!(a.endpoints(), world.owned("a", ["a", "b"]).len(), "what is over is not shown");
}

#[tokio::test(start_paused = true)]
async fn a_rolling_restart_misses_nothing_and_polls_at_most_twice() {
    let world = World::new().await;
    let mut members = Vec::new();
    for name in ["a", "b", "c"] {
        members.push((name, world.member(name).await));
    }
    pass(INTERVAL * 3).await;
    let from = world.now();
    for (name, member) in std::mem::take(&mut members) {
        let stopped = tokio::spawn(member.take().stop(Duration::from_secs(5)));
        pass(Duration::from_millis(100)).await;
        assert!(!world.played.names().contains(&name.to_owned()), "the lease goes first");
        while !stopped.is_finished() {
            pass(Duration::from_millis(100)).await;
        }
        members.push((name, world.member(name).await));
        pass(INTERVAL / 3).await;
    }
    pass(INTERVAL * 3).await;
    world.assert_covered(from, 2);
    world.assert_rest(2).await;
}

#[tokio::test(start_paused = true)]
#[ignore = "slow: several slots"]
async fn who_joins_as_another_dies_still_misses_nothing() {
    let (world, _a, b, from) = two_at_rest().await;
    pass(Duration::from_secs(1)).await;
    b.die();
    // What c gains of b's was not polled by b, and b looks alive.
    pass(Duration::from_secs(1)).await;
    let _c = world.member("c").await;
    pass(Duration::from_millis(2500)).await;
    world.played.expire("b");
    pass(INTERVAL * 2).await;
    let (missed, most) = world.missed_and_most(from, world.now() - 100);
    assert_eq!(missed, 0);
    assert!(most <= 3, "{most}: two changes in one slot");
}

#[tokio::test(start_paused = true)]
#[ignore = "slow: several slots"]
async fn who_starts_again_before_its_old_lease_ends_polls_at_once() {
    let (world, _a, b, from) = two_at_rest().await;
    pass(Duration::from_secs(1)).await;
    b.die();
    pass(Duration::from_secs(2)).await;
    let again = world.now();
    let b = world.member("b").await;
    pass(Duration::from_secs(3)).await;
    world.assert_made_up("b", &world.owned("b", ["a", "b"]), again);
    pass(INTERVAL * 2).await;
    world.assert_covered(from, 2);
    assert_eq!(world.polled_by("a", from), world.owned("a", ["a", "b"]), "nothing has moved");
    drop(b);
}

#[tokio::test(start_paused = true)]
#[ignore = "slow: several slots"]
async fn without_overlap_nothing_is_polled_twice() {
    let world = World::new().await;
    let _a = world.member_with("a", "Overlap = false").await;
    pass(INTERVAL * 2).await;
    let from = world.now();
    let b = world.member_with("b", "Overlap = false").await;
    pass(INTERVAL * 2).await;
    assert_eq!(world.missed_and_most(from, world.now() - 100).1, 1);
    let began = world.now();
    b.take().stop(Duration::from_secs(1)).await;
    assert!(world.now() - began < 4_000, "nobody waits for another slot");
    pass(INTERVAL * 2).await;
    assert_eq!(world.missed_and_most(from, world.now() - 100).1, 1);
}

#[tokio::test(start_paused = true)]
#[ignore = "slow: several slots"]
async fn without_the_engine_the_last_members_stay_in_force() {
    let (world, a, _b, from) = two_at_rest().await;
    assert_eq!((a.report().engine_up, a.report().lease), (1, "held"));
    world.played.set_down(true);
    world.down.lock().unwrap().insert(*world.owned("a", ["a", "b"]).first().unwrap());
    pass(INTERVAL * 4).await;
    assert_eq!(world.missed_and_most(from, world.now() - 100), (0, 1));
    let report = a.report();
    assert_eq!((report.engine_up, report.lease), (0, "unknown"));
    assert_eq!(report.engine_error, "nobody answers");
    assert_eq!(report.members.len(), 2);
    // Other endpoints answer: this one has really failed, and is reported.
    assert!(world.failures().len() >= 2, "{:?}", world.failures());
    world.played.set_down(false);
    pass(Duration::from_secs(2)).await;
    assert_eq!((a.report().engine_up, a.report().lease), (1, "held"));
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_lease_is_gone_polls_on_and_accuses_nobody() {
    let (world, a, _b, from) = two_at_rest().await;
    // Neither endpoints nor the engine are reachable.
    world.played.set_down(true);
    world.down.lock().unwrap().extend(0..ENDPOINTS);
    pass(INTERVAL * 2).await;
    assert_eq!(world.missed_and_most(from, world.now() - 100), (0, 1));
    world.played.expire("a");
    world.down.lock().unwrap().clear();
    world.played.set_down(false);
    pass(INTERVAL * 2).await;
    // Those of the other member, whose lease has lasted, are true for all it knows.
    let own = world.owned("a", ["a", "b"]);
    let accused =
        |line: &String| own.contains(&line[2..].split(' ').next().unwrap().parse().unwrap());
    assert!(!world.failures().iter().any(accused), "{:?}", world.failures());
    let report = a.report();
    assert_eq!((report.lease, report.leases_lost), ("held", 1));
    assert!(report.failures_withheld >= ENDPOINTS as u64 / 4, "{report:?}");
    assert_eq!(world.missed_and_most(from, world.now() - 100).0, 0);
    assert_eq!(world.played.names(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_once_the_lease_was_renewed() {
    let world = World::new().await;
    let _a = world.member("a").await;
    pass(INTERVAL * 2).await;
    world.down.lock().unwrap().insert(7);
    pass(INTERVAL * 2).await;
    let failures = world.failures();
    assert!(!failures.is_empty() && failures.iter().all(|line| line.starts_with("f.7 1 ")));
    let slot: u64 = failures[0].rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!(world.schedule(7).latest(slot * 1000 + 999) / 1000, slot, "of the slot that failed");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_away_at_the_start_is_joined_when_it_can_be() {
    let world = World::new().await;
    world.played.set_down(true);
    let a = world.member("a").await;
    let b = world.member("b").await;
    pass(INTERVAL).await;
    let alone = world.now();
    pass(INTERVAL).await;
    for name in ["a", "b"] {
        assert_eq!(world.polled_by(name, alone).len(), ENDPOINTS, "{name} as if alone");
    }
    assert_eq!(a.report().engine_up, 0);
    world.played.set_down(false);
    pass(INTERVAL * 3).await;
    world.assert_rest(2).await;
    assert_eq!(b.report().members.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_did_not_run_reads_all_members_anew() {
    let world = World::new().await;
    let (_a, b) = (world.member("a").await, world.member("b").await);
    pass(INTERVAL * 2).await;
    let before = world.played.readings();
    // Time goes on at once, as for a process that was stopped.
    tokio::time::advance(Duration::from_secs(17)).await;
    pass(Duration::from_secs(1)).await;
    assert!(world.played.readings() > before);
    assert_eq!(b.report().members.len(), 2);
}

#[tokio::test(start_paused = true)]
#[ignore = "slow: several slots"]
async fn with_two_replicas_each_slot_has_two_polls() {
    let world = World::new().await;
    let mut members = Vec::new();
    for name in ["a", "b", "c"] {
        members.push(world.member_with(name, "Replicas = 2").await);
    }
    pass(INTERVAL * 3).await;
    let from = world.now();
    pass(INTERVAL * 2).await;
    let counts = world.counts(from, world.now() - 100);
    assert!(counts.values().all(|count| *count == 2), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_in_a_cluster_is_named() {
    let world = World::new().await;
    let a = world.member("a").await;
    let twin = world.member("a").await;
    let b = world.member_with("b", "Replicas = 2").await;
    world.played.put("c/1", "{\"name\": \"c\", \"instance\": \"1\", \"group\": \"tests\"}");
    world.played.put("d/1", "hello");
    let late = |n: u64| {
        let now = world.now() - 60_000 + n;
        let config = a.report().members["a"].config.clone();
        world.played.put(
            "e/1",
            &format!(
                "{{\"name\": \"e\", \"instance\": \"1\", \"group\": \"default\", \"config\": \
             \"{config}\", \"since_ms\": {START_MS}, \"now_ms\": {now}}}"
            ),
        );
    };
    pass(Duration::from_secs(12)).await;
    late(0);
    pass(Duration::from_millis(200)).await;
    late(1);
    pass(Duration::from_secs(1)).await;
    let troubles = a.report().troubles;
    for wrong in [
        "2 members are called a, and all poll the same endpoints: give each a Name of its own",
        "b has another configuration",
        "the clock of e is -60.",
        "the key c/1 of this group is no member of it (it is of the group \"tests\")",
        "the key d/1 of this group is no member of it",
    ] {
        assert!(troubles.iter().any(|text| text.contains(wrong)), "{wrong}: {troubles:#?}");
    }
    assert_eq!(troubles.len(), 5, "{troubles:#?}");
    let report = a.report();
    assert_eq!(report.members.keys().collect::<Vec<_>>(), ["a", "a #2", "b", "e"]);
    assert_eq!(report.members["b"].other_config, 1);
    twin.die();
    drop(b);
}

#[tokio::test(start_paused = true)]
async fn the_variables_of_the_cluster_have_help_unit_and_type() {
    let (_world, a, _b, _) = two_at_rest().await;
    let text = Prometheus::new().to_text(&a.registry, Format::OpenMetrics);
    let shown = text.lines().filter(|line| line.contains("samlare_cluster_"));
    // Of samples the names: how many endpoints a member has depends on their port.
    let shown = shown.map(|line| match line.starts_with('#') {
        true => line,
        false => line.rsplit_once(' ').unwrap().0,
    });
    assert_eq!(shown.collect::<Vec<_>>(), CLUSTER.lines().collect::<Vec<_>>());
}

/// What Prometheus sees of the cluster, without values.
const CLUSTER: &str = r#"# HELP samlare_cluster_engine_up 1 while the engine answers, else 0.
# TYPE samlare_cluster_engine_up gauge
samlare_cluster_engine_up
# HELP samlare_cluster_replicas How many members poll each endpoint.
# TYPE samlare_cluster_replicas gauge
samlare_cluster_replicas
# HELP samlare_cluster_members_since_seconds When the member joined, in Unix time.
# TYPE samlare_cluster_members_since_seconds gauge
# UNIT samlare_cluster_members_since_seconds seconds
samlare_cluster_members_since_seconds{member="a"}
samlare_cluster_members_since_seconds{member="b"}
# HELP samlare_cluster_members_endpoints Endpoints that the member polls.
# TYPE samlare_cluster_members_endpoints gauge
samlare_cluster_members_endpoints{member="a"}
samlare_cluster_members_endpoints{member="b"}
# HELP samlare_cluster_members_points Points of the member's last polls.
# TYPE samlare_cluster_members_points gauge
samlare_cluster_members_points{member="a"}
samlare_cluster_members_points{member="b"}
# HELP samlare_cluster_members_other_config 1 if the member's configuration differs, else 0.
# TYPE samlare_cluster_members_other_config gauge
samlare_cluster_members_other_config{member="a"}
samlare_cluster_members_other_config{member="b"}
# HELP samlare_cluster_members_leaving 1 once the member has begun to leave, else 0.
# TYPE samlare_cluster_members_leaving gauge
samlare_cluster_members_leaving{member="a"}
samlare_cluster_members_leaving{member="b"}
# HELP samlare_cluster_requests Requests to the engine.
# TYPE samlare_cluster_requests counter
samlare_cluster_requests_total
# HELP samlare_cluster_leases_lost How many times the lease was found gone.
# TYPE samlare_cluster_leases_lost counter
samlare_cluster_leases_lost_total
# HELP samlare_cluster_changes How many times members joined or left.
# TYPE samlare_cluster_changes counter
samlare_cluster_changes_total
# HELP samlare_cluster_failures_withheld Failures not sent because this member may have been cut off.
# TYPE samlare_cluster_failures_withheld counter
samlare_cluster_failures_withheld_total
"#;
