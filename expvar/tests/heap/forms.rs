//! What a profile is written as.

use std::hint::black_box;

use expvar::heap::{self, SampleType};

use super::{alone, live, small_blocks};

#[test]
fn differences_show_growth_alone() {
    let _alone = alone(1 << 10);
    #[inline(never)]
    fn before_it() -> Vec<u8> {
        vec![1; 1 << 20]
    }
    #[inline(never)]
    fn since_then() -> Vec<u8> {
        vec![1; 2 << 20]
    }
    let gone = black_box(before_it());
    let first = heap::profile().unwrap();
    drop(gone);
    let grown = black_box(since_then());
    let change = heap::profile().unwrap().since(&first);
    assert_eq!(live(&change, "before_it"), (-(1 << 20), -1));
    assert_eq!(live(&change, "since_then"), (2 << 20, 1));
    drop(grown);
}

#[test]
fn text_has_go_s_form() {
    let _alone = alone(1 << 10);
    #[inline(never)]
    fn shown_as_text() -> Vec<u8> {
        vec![1; 3 << 20]
    }
    let block = black_box(shown_as_text());
    let text = heap::profile().unwrap().to_text();
    assert!(text.starts_with("heap profile: "), "{text}");
    assert!(text.lines().next().unwrap().ends_with(" @ heap/1024"), "{text}");
    assert!(text.contains("\n1: 3145728 [1: 3145728] @ 0x"), "{text}");
    assert!(text.contains("shown_as_text"), "{text}");
    drop(block);
}

#[test]
fn the_protobuf_is_not_empty_and_names_functions() {
    let _alone = alone(1 << 10);
    let blocks = black_box(small_blocks(1000));
    let bytes = heap::profile().unwrap().to_pprof(SampleType::InuseSpace);
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    for text in ["inuse_space", "alloc_objects", "small_blocks", "bytes", "count", "/heap.rs"] {
        assert!(has(text), "{text}");
    }
    drop(blocks);
}
