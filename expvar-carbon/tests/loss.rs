//! What a real carbon-cache has stored after it was killed, ended, hung and restarted while
//! points went to it: all of them.

use std::time::{Duration, Instant};

use expvar_carbon::{Lines, Sender, Unsent};
use expvar_peers::CarbonCache;

type Fault = fn(&mut CarbonCache);

const STEP: Duration = Duration::from_millis(50);
const POINTS_A_STEP: u64 = 50;

/// Sends 1,000 points a second for `seconds` while `faults` happen at their seconds, and returns
/// how many of all that were sent are not stored in the end.
///
/// Each point has a timestamp of its own in one series, so that each can be read back.
fn lost(seconds: f64, mut faults: Vec<(f64, Fault)>) -> usize {
    let mut carbon = CarbonCache::start();
    let sender = Sender::builder().to(format!("127.0.0.1:{}", carbon.line_port)).spawn().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let first = now.as_secs() - 70_000;
    let mut lines = Lines::new();
    // If Carbon is killed while it makes a file, the file stays empty, and takes no points later.
    assert!(lines.point("loss.series", 0_u64, first));
    sender.send(&mut lines);
    assert_eq!(carbon.await_points("loss.series", 1).len(), 1);
    let (start, mut sent) = (Instant::now(), 1);
    faults.reverse();
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            for step in 0..(seconds / STEP.as_secs_f64()) as u32 {
                for _ in 0..POINTS_A_STEP {
                    assert!(lines.point("loss.series", sent, first + sent));
                    sent += 1;
                }
                sender.send(&mut lines);
                let next = start + STEP * (step + 1);
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        while let Some((at, fault)) = faults.pop() {
            let at = start + Duration::from_secs_f64(at);
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            fault(&mut carbon);
        }
        sending.join().unwrap();
    });
    assert_eq!(sender.close(Duration::from_secs(60)), Unsent::default());
    let stats = sender.stats();
    let stored = carbon.await_points("loss.series", sent as usize);
    println!(
        "{} of {sent} stored, {} sent again, {} failures",
        stored.len(),
        stats.points_resent,
        stats.failures
    );
    for (timestamp, value) in &stored {
        assert_eq!(*timestamp, first + *value as u64, "the value of its own timestamp");
    }
    sent as usize - stored.len()
}

#[test]
#[ignore = "slow: restarts a Carbon for 10 s"]
fn killed_and_away_for_2_seconds() {
    assert_eq!(lost(8.0, vec![(3.0, CarbonCache::kill), (5.0, CarbonCache::launch)]), 0);
}

#[test]
fn ended_and_started_again() {
    assert_eq!(lost(8.0, vec![(3.0, CarbonCache::terminate), (4.0, CarbonCache::launch)]), 0);
}

#[test]
fn hung_for_3_seconds_then_killed() {
    let hang: Fault = |carbon| carbon.hang();
    let faults = vec![(3.0, hang), (6.0, CarbonCache::kill), (7.0, CarbonCache::launch)];
    assert_eq!(lost(10.0, faults), 0);
}

#[test]
#[ignore = "takes a minute"]
fn a_restart_every_3_seconds_for_a_minute() {
    let faults = (0..20).map(|n| (1.0 + 2.9 * f64::from(n), CarbonCache::launch as Fault));
    assert_eq!(lost(60.0, faults.collect()), 0);
}
