//! The parts of the cells, small enough for Miri: `.ci/release` has the command.

use super::arena::Arena;
use super::heat::Heat;
use super::index::Index;
use super::page::{CELLS, COUNT, SUM};
use super::sizes::{LEAF, PRICE};
use super::*;

/// Enough recordings to earn a private copy and to use it.
const OFTEN: u64 = 2 * PRICE as u64;

fn add(cells: &Cells, n: u64) {
    if !cells.try_add(n) {
        cells.add_cold(Use::Up, n);
    }
}

#[test]
fn what_threads_add_is_there_while_they_live_and_when_they_ended() {
    let mut cells = Cells::new();
    let add_often = || (0..OFTEN).for_each(|_| add(&cells, 1));
    std::thread::scope(|scope| {
        let threads = [scope.spawn(add_often), scope.spawn(add_often)];
        let mut last = 0;
        while threads.iter().any(|thread| !thread.is_finished()) {
            let now = cells.sum();
            assert!(now >= last);
            last = now;
            std::thread::yield_now();
        }
    });
    assert_eq!(cells.sum(), 2 * OFTEN);
    let id = cells.id();
    cells.release(Use::Up);
    assert_eq!((cells.id(), cells.sum()), (None, 0));
    let mut next = Cells::new();
    assert_eq!(next.sum(), 0, "{id:?} is used again");
    add(&next, 5);
    assert_eq!(next.sum(), 5);
    next.release(Use::Up);
}

#[test]
fn a_run_has_a_count_and_a_sum_in_each_page() {
    let mut run = Run::new(2 * CELLS);
    for cell in [3, 70].repeat(OFTEN as usize) {
        if !run.try_record(cell, 10) {
            run.record_cold(cell, 10, 0.0);
        }
    }
    let mut seen = Vec::new();
    let (reader, first) = (Reader::now(), run.first().unwrap());
    reader.run(first, run.pages(), |at, sums| {
        let cells: u64 = sums[..CELLS].iter().sum();
        seen.push((at, cells, sums[COUNT], sums[SUM]));
    });
    assert_eq!(seen, [(0, OFTEN, OFTEN, 10 * OFTEN), (CELLS, OFTEN, OFTEN, 10 * OFTEN)]);
    let mut totals = Vec::new();
    reader.totals(first, run.pages(), |count, sum| totals.push((count, sum)));
    assert_eq!(totals, [(OFTEN, 10 * OFTEN); 2]);
    run.release();
}

#[test]
fn a_cell_is_set_over_what_was_added() {
    let mut cells = Cells::new();
    let id = cells.claim(Use::UpAndDown).unwrap();
    (0..OFTEN).for_each(|_| add(&cells, 1));
    assert!(set(id, |sum| sum * 10));
    add(&cells, 1);
    assert_eq!(settled(id), 10 * OFTEN + 1);
    cells.release(Use::UpAndDown);
}

#[test]
fn pages_are_given_out_up_to_the_limit_and_again() {
    let arena = Box::new(Arena::<1>::new());
    let taken: Vec<u32> = (0..3).filter_map(|_| arena.take(2, true)).collect();
    assert_eq!((taken, arena.held()), (vec![0, 1], 2));
    arena.give_back(0);
    arena.give_back(1);
    assert_eq!([arena.take(2, true), arena.take(2, true)], [Some(1), Some(0)]);
    assert_eq!(arena.take(2, true), None);
    assert!(arena.page(Arena::<1>::MOST).is_none());
}

#[test]
fn a_number_keeps_the_shared_copy_that_it_got_first() {
    let index = Box::new(Index::new());
    assert_eq!(index.set(7, 3, false), Some(Ok(())));
    assert_eq!(index.set(7, 4, false), Some(Err(3)));
    let far = LEAF as u32 + 1;
    assert_eq!(index.set(far, 4, false), None, "that takes memory");
    assert_eq!(index.set(far, 4, true), Some(Ok(())));
    assert_eq!([index.get(7), index.get(8), index.get(far)], [Some(3), None, Some(4)]);
}

#[test]
fn heat_is_earned_by_records_one_by_one_or_many_at_once() {
    let alone = Heat::new();
    let records = (1..).find(|_| alone.note(5, 1, || 0)).unwrap();
    assert_eq!(records, PRICE + 1);
    let streaks = Heat::new();
    let records = (1..).find(|_| streaks.note(5, 32, || 0)).unwrap();
    assert_eq!(records, PRICE / 32 + 1);
    // While most of the limit is in use, a page costs more.
    let dear = Heat::new();
    let records = (1..).find(|_| dear.note(5, 1, || 8)).unwrap();
    assert_eq!(records, 32 * PRICE + 1);
}
