//! A task's wake-ups of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Polls futures that wake their own task, as both ends of one channel do.
///
/// tokio puts a task that wakes itself at the end of a queue, and wakes another worker to take it
/// from there: two system calls and a switch of threads for each request. Such a task is polled
/// again at once instead.
pub(super) struct Wakes {
    task: Arc<Own>,
    waker: Waker,
}

struct Own {
    /// Who is told of all other wake-ups.
    outer: AtomicWaker,
    polling: AtomicBool,
    woken: AtomicBool,
}

/// How often a task is polled again before others get their turn.
const TURNS: usize = 16;

impl Wakes {
    pub(super) fn new() -> Wakes {
        let (polling, woken) = (AtomicBool::new(false), AtomicBool::new(false));
        let task = Arc::new(Own { outer: AtomicWaker::new(), polling, woken });
        Wakes { waker: task.clone().into(), task }
    }

    /// Polls until there is a result, or nobody has woken the task meanwhile.
    pub(super) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Own { outer, polling, woken } = &*self.task;
        outer.register(cx.waker());
        let mut own = Context::from_waker(&self.waker);
        polling.store(true, SeqCst);
        let mut polled = Poll::Pending;
        for _ in 0..TURNS {
            woken.store(false, SeqCst);
            polled = poll(&mut own);
            if polled.is_ready() || !woken.load(SeqCst) {
                break;
            }
        }
        // The other half is in `wake_by_ref`: whoever comes second sees what the first one did.
        polling.store(false, SeqCst);
        if polled.is_pending() && woken.load(SeqCst) {
            cx.waker().wake_by_ref();
        }
        polled
    }
}

impl Wake for Own {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, SeqCst);
        if !self.polling.load(SeqCst) {
            self.outer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn a_task_that_wakes_itself_is_polled_again_and_nobody_is_told() {
        let (wakes, count) = (Wakes::new(), Arc::new(Count::default()));
        let waker = count.clone().into();
        let mut cx = Context::from_waker(&waker);
        let mut times = 0;
        let polled = wakes.poll(&mut cx, |cx| {
            times += 1;
            if times < 3 {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        assert_eq!((polled, times), (Poll::Pending, 3));
        assert_eq!(count.0.load(SeqCst), 0);
    }

    #[test]
    fn one_that_never_rests_gives_others_their_turn() {
        let (wakes, count) = (Wakes::new(), Arc::new(Count::default()));
        let waker = count.clone().into();
        let polled = wakes.poll(&mut Context::from_waker(&waker), |cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!((polled, count.0.load(SeqCst)), (Poll::Pending, 1));
    }

    #[test]
    fn whoever_wakes_it_later_or_from_another_thread_is_heard() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for _ in 0..1_000 {
                let wakes = Wakes::new();
                let done = Arc::new(AtomicBool::new(false));
                let mut other = None;
                poll_fn(|cx| {
                    wakes.poll(cx, |cx| {
                        if done.load(SeqCst) {
                            return Poll::Ready(());
                        }
                        other.get_or_insert_with(|| {
                            let (done, waker) = (done.clone(), cx.waker().clone());
                            std::thread::spawn(move || {
                                done.store(true, SeqCst);
                                waker.wake();
                            })
                        });
                        Poll::Pending
                    })
                })
                .await;
                other.unwrap().join().unwrap();
            }
        });
    }
}
