//! The ways of a block: to another thread, to another place, at a thread's start and end.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, mpsc};

use expvar::heap;

use super::{ALLOC, alone, live};

#[test]
fn blocks_that_other_threads_free_leave_nothing() {
    #[inline(never)]
    fn sent_away() -> Box<[u8; 512]> {
        Box::new(black_box([7; 512]))
    }
    let _alone = alone(1 << 10);
    let (sender, receiver) = mpsc::sync_channel::<Box<[u8; 512]>>(64);
    let frees = std::thread::spawn(move || receiver.into_iter().map(drop).count());
    let allocate = || {
        let sender = sender.clone();
        std::thread::spawn(move || (0..20_000).for_each(|_| sender.send(sent_away()).unwrap()))
    };
    let threads = [allocate(), allocate()];
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    drop(sender);
    assert_eq!(frees.join().unwrap(), 40_000);
    assert_eq!(live(&heap::profile().unwrap(), "sent_away"), (0, 0));
}

#[test]
fn blocks_that_are_freed_while_a_profile_is_read_leave_nothing() {
    #[inline(never)]
    fn freed_meanwhile() -> Box<[u8; 512]> {
        Box::new(black_box([7; 512]))
    }
    let _alone = alone(1);
    let held: Vec<_> = (0..5000).map(|_| freed_meanwhile()).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // It holds the table most of the time.
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                black_box(heap::profile());
            }
        });
        (0..10_000).for_each(|_| drop(freed_meanwhile()));
        stop.store(true, Relaxed);
    });
    let size = size_of_val(&*held[0]) as i64;
    let expected = (held.len() as i64 * size, held.len() as i64);
    assert_eq!(live(&heap::profile().unwrap(), "freed_meanwhile"), expected);
}

#[test]
fn an_address_that_is_freed_here_and_given_out_there_has_its_new_owner() {
    // Larger than what a thread keeps for itself: freed blocks go back to where they came from.
    const SIZE: usize = 16 << 10;
    #[inline(never)]
    fn passed_on() -> Vec<u8> {
        black_box(vec![1; SIZE])
    }
    #[inline(never)]
    fn kept_here() -> Vec<u8> {
        black_box(vec![1; SIZE])
    }
    let _alone = alone(256);
    let (sender, receiver) = mpsc::sync_channel::<Vec<u8>>(8);
    let frees = std::thread::spawn(move || receiver.into_iter().for_each(drop));
    let mut kept = Vec::new();
    for _ in 0..4000 {
        sender.send(passed_on()).unwrap();
        kept.push(kept_here());
    }
    drop(sender);
    frees.join().unwrap();
    let profile = heap::profile().unwrap();
    assert_eq!(live(&profile, "passed_on"), (0, 0));
    assert_eq!(live(&profile, "kept_here"), ((4000 * SIZE) as i64, 4000));
    drop(kept);
    assert_eq!(live(&heap::profile().unwrap(), "kept_here"), (0, 0));
}

#[test]
fn a_block_that_grows_is_counted_once() {
    #[inline(never)]
    fn grown() -> Vec<u8> {
        let mut vec = Vec::new();
        for at in 0..1_usize << 20 {
            vec.push(at as u8);
        }
        vec
    }
    let _alone = alone(1 << 10);
    let vec = black_box(grown());
    let (bytes, objects) = live(&heap::profile().unwrap(), "grown");
    assert_eq!((bytes, objects), (vec.capacity() as i64, 1), "larger than the rate by far: exact");
    drop(vec);
    assert_eq!(live(&heap::profile().unwrap(), "grown"), (0, 0));
}

#[test]
fn a_reallocation_is_one_block_in_place_and_moved() {
    #[inline(never)]
    fn first(layout: Layout) -> *mut u8 {
        // SAFETY: the layout is not empty.
        unsafe { ALLOC.alloc(layout) }
    }
    #[inline(never)]
    fn again(block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the block came from ALLOC with this layout; the size is not zero.
        black_box(unsafe { ALLOC.realloc(black_box(block), layout, size) })
    }
    let _alone = alone(1 << 10);
    let size = 64 << 10;
    let resized = |size| Layout::from_size_align(size, 8).unwrap();
    let layout = resized(size);
    let block = first(layout);
    assert_eq!(live(&heap::profile().unwrap(), "::first"), (64 << 10, 1));
    let before = expvar::alloc::counts().unwrap();
    let same = again(block, layout, size - 8);
    assert_eq!(same, block, "in place");
    let both = || {
        let profile = heap::profile().unwrap();
        (live(&profile, "::first"), live(&profile, "::again"))
    };
    assert_eq!(both(), ((0, 0), ((64 << 10) - 8, 1)));
    // What lies behind it keeps it from growing where it is.
    let wall = first(layout);
    let moved = again(same, resized(size - 8), 1 << 20);
    assert_ne!(moved, same, "moved");
    assert_eq!(both(), ((64 << 10, 1), (1 << 20, 1)));
    let after = expvar::alloc::counts().unwrap();
    assert!(after.reallocations_in_place > before.reallocations_in_place);
    assert!(after.reallocations_moved > before.reallocations_moved);
    // SAFETY: both came from ALLOC with these layouts.
    unsafe {
        ALLOC.dealloc(moved, resized(1 << 20));
        ALLOC.dealloc(wall, layout);
    }
    assert_eq!(both(), ((0, 0), (0, 0)));
}

#[test]
fn a_reallocation_that_fails_keeps_the_sample() {
    let _alone = alone(1 << 10);
    let layout = Layout::from_size_align(1 << 20, 4096).unwrap();
    #[inline(never)]
    fn aligned(layout: Layout) -> *mut u8 {
        // SAFETY: the layout is not empty.
        unsafe { ALLOC.alloc(layout) }
    }
    let block = black_box(aligned(layout));
    // SAFETY: the block came from ALLOC with this layout; no system has the size asked for.
    let refused = unsafe { ALLOC.realloc(block, layout, isize::MAX as usize - 8192) };
    assert!(refused.is_null());
    assert_eq!(live(&heap::profile().unwrap(), "aligned"), (1 << 20, 1));
    // SAFETY: as above; the block is still there.
    unsafe { ALLOC.dealloc(block, layout) };
    assert_eq!(live(&heap::profile().unwrap(), "aligned"), (0, 0));
}

#[test]
fn blocks_of_no_bytes_and_of_any_alignment() {
    #[inline(never)]
    fn nothing() -> (Vec<u8>, Box<()>, Vec<()>, Box<[u64; 0]>) {
        (Vec::new(), Box::new(()), vec![(); 1000], Box::new([]))
    }
    #[inline(never)]
    fn over_aligned(layout: Layout, zeroed: bool) -> *mut u8 {
        // SAFETY: the layout is not empty.
        unsafe { if zeroed { ALLOC.alloc_zeroed(layout) } else { ALLOC.alloc(layout) } }
    }
    let _alone = alone(256);
    let none = black_box(nothing());
    assert_eq!(live(&heap::profile().unwrap(), "::nothing"), (0, 0));
    drop(none);
    for (size, align) in [(16 << 10, 1), (16 << 10, 4096), (20_001, 1 << 16), (1 << 20, 1 << 21)] {
        let layout = Layout::from_size_align(size, align).unwrap();
        for zeroed in [false, true] {
            let block = black_box(over_aligned(layout, zeroed));
            assert!((block as usize).is_multiple_of(align));
            let held = live(&heap::profile().unwrap(), "::over_aligned");
            assert_eq!(held, (size as i64, 1), "{layout:?}");
            // SAFETY: the block came from ALLOC with this layout.
            let moved = unsafe { ALLOC.realloc(block, layout, size + 4096) };
            assert!((moved as usize).is_multiple_of(align));
            // SAFETY: and this one with the new size.
            unsafe { ALLOC.dealloc(moved, Layout::from_size_align(size + 4096, align).unwrap()) };
            assert_eq!(live(&heap::profile().unwrap(), "::over_aligned"), (0, 0), "{layout:?}");
        }
    }
}

#[test]
fn what_a_thread_allocates_and_frees_as_it_ends_is_counted() {
    #[inline(never)]
    fn in_teardown() -> Vec<u8> {
        black_box(vec![1; 64 << 10])
    }
    #[inline(never)]
    fn until_teardown() -> Vec<u8> {
        black_box(vec![1; 64 << 10])
    }
    static LEFT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    struct Last(#[allow(dead_code)] Vec<u8>);
    impl Drop for Last {
        fn drop(&mut self) {
            drop(in_teardown());
            LEFT.lock().unwrap().push(in_teardown());
        }
    }
    thread_local! {
        static BEFORE: std::cell::RefCell<Option<Last>> = const { std::cell::RefCell::new(None) };
        static AFTER: std::cell::RefCell<Option<Last>> = const { std::cell::RefCell::new(None) };
    }
    let _alone = alone(1 << 10);
    for _ in 0..100 {
        let ends = || {
            // Destructors run in the order of first use: one before the hook's own, one after.
            BEFORE.with(|last| *last.borrow_mut() = Some(Last(until_teardown())));
            (0..200).for_each(|at| drop(black_box(vec![1_u8; at + 1])));
            AFTER.with(|last| *last.borrow_mut() = Some(Last(until_teardown())));
        };
        std::thread::spawn(ends).join().unwrap();
    }
    let profile = heap::profile().unwrap();
    assert_eq!(live(&profile, "until_teardown"), (0, 0));
    assert_eq!(live(&profile, "in_teardown"), (200 * (64 << 10), 200));
    LEFT.lock().unwrap().clear();
    assert_eq!(live(&heap::profile().unwrap(), "in_teardown"), (0, 0));
}
