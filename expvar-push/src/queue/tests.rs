use tokio::time::Instant;

use super::*;

fn queue(batches: &[&'static str]) -> Queue {
    let mut queue = Queue::new(1 << 20);
    for batch in batches {
        queue.push(Batch { bytes: Bytes::from_static(batch.as_bytes()), points: 1 });
    }
    queue
}

#[test]
fn what_was_written_goes_again_after_a_queue_that_waited_before_it() {
    let mut written = queue(&["b", "c"]);
    written.take(1, &mut Vec::new());
    written.wrote(Instant::now(), 7, [1].into_iter());
    let mut both = queue(&["a"]);
    assert_eq!(both.append(&written), Dropped::default());
    let waiting = |queue: &Queue| queue.waiting().map(|b| b.bytes).collect::<Vec<_>>();
    assert_eq!(waiting(&both), ["a", "c"]);
    both.lost(Some(7), None, Some(0));
    assert_eq!(waiting(&both), ["a", "b", "c"]);
    assert_eq!(both.bytes(), 3 * (1 + OVERHEAD_BYTES));
}
