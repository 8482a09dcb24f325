use std::future::poll_fn;

use super::*;

/// Everything that is ready to be read.
fn ready(events: &mut Events) -> (Vec<String>, bool) {
    let mut messages = Vec::new();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    loop {
        match Pin::new(&mut *events).poll_next(&mut cx) {
            Poll::Ready(Some(bytes)) => messages.push(String::from_utf8_lossy(&bytes).into()),
            Poll::Ready(None) => return (messages, true),
            Poll::Pending => return (messages, false),
        }
    }
}

fn take(sampler: &Sampler, tick: u32) {
    let shared = &sampler.handle.0;
    let mut sample = Sample::default();
    shared.registry.visit(&mut sample);
    shared.lock().take(&shared.sender, &sample, tick, 1.0, u64::from(tick) * 1000);
}

/// A sampler whose thread never starts, so that a test takes the samples.
fn by_hand(registry: &Registry) -> Sampler {
    let sampler = Sampler::new(registry.clone(), false, 100);
    sampler.handle.0.lock().running = true;
    sampler
}

#[test]
fn all_pages_are_told_the_same_bytes_and_a_late_one_everything_first() {
    let registry = Registry::new();
    let counter = registry.publish("requests", Counter::new()).unwrap();
    let sampler = by_hand(&registry);
    let [mut first, mut second] = [(); 2].map(|()| sampler.watch().unwrap());
    take(&sampler, 100);
    counter.inc();
    take(&sampler, 101);
    let mut late = sampler.watch().unwrap();
    counter.inc();
    take(&sampler, 102);

    let (messages, _) = ready(&mut first);
    assert_eq!(messages, ready(&mut second).0);
    assert!(messages[0].contains("\"rows\":[[0,\"requests\",0,\"c\",\"\",0]]"), "{messages:?}");
    assert_eq!(messages[1], "data: {\"tick\":101,\"now\":101000,\"set\":[0,1]}\n\n");
    assert_eq!(messages[2], "data: {\"tick\":102,\"now\":102000,\"set\":[0,2]}\n\n");
    let (late, _) = ready(&mut late);
    assert!(late[0].contains("\"rows\":[[0,\"requests\",0,\"c\",\"\",1]]"), "{late:?}");
    assert_eq!(late[1..], messages[2..]);
}

#[test]
fn a_page_that_does_not_read_is_cut_off_and_counted() {
    let sampler = by_hand(&Registry::new());
    let mut idle = sampler.watch().unwrap();
    let mut reader = sampler.watch().unwrap();
    let cut = CUT.get();
    for tick in 0..MAX_WAITING as u32 {
        take(&sampler, 100 + tick);
        ready(&mut reader);
    }
    assert_eq!(CUT.get(), cut);
    take(&sampler, 200);
    assert_eq!(CUT.get(), cut + 1);
    let (messages, ended) = ready(&mut idle);
    assert_eq!((messages.len(), ended), (MAX_WAITING, true));
    let (messages, ended) = ready(&mut reader);
    assert_eq!((messages.len(), ended), (1, false));
}

#[test]
fn there_are_only_so_many_pages_and_a_closed_one_makes_room() {
    let sampler = by_hand(&Registry::new());
    let mut open: Vec<_> = (0..MAX_WATCHERS).map(|_| sampler.watch().unwrap()).collect();
    assert!(sampler.watch().is_none());
    open.pop();
    assert!(sampler.watch().is_some());
}

#[tokio::test]
async fn stopping_ends_the_streams_and_the_thread() {
    let sampler = Sampler::new(Registry::new(), false, 100);
    let mut events = sampler.watch().unwrap();
    let mut next = async || poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await;
    assert!(next().await.unwrap().starts_with(b"data: {"));
    let shared = Arc::downgrade(&sampler.handle.0);
    drop(sampler);
    // Each second may have brought another message meanwhile.
    while next().await.is_some() {}
    // The thread holds the last reference and drops it when it wakes.
    while shared.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}
