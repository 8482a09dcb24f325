//! A bit filter for the addresses of sampled blocks.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// 2^19 bits: 64 KiB, which fit into a second-level cache. With 4,000 samples one free in 130 is a
/// false positive, with 100,000 one in six.
const BITS: u32 = 19;

static FILTER: [AtomicU64; 1 << (BITS - 6)] = [const { AtomicU64::new(0) }; 1 << (BITS - 6)];

/// The bit of an address.
#[inline(always)]
pub(super) fn bit(address: usize) -> u32 {
    // Fibonacci hashing: the upper bits of the product depend on all bits of the address.
    ((address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - BITS)) as u32
}

/// False for most addresses that were not set.
///
/// A block's bit is set before any thread but the allocating one knows the address, so whoever
/// frees the block sees the bit.
#[inline(always)]
pub(super) fn may_hold(address: usize) -> bool {
    let bit = bit(address);
    FILTER[(bit >> 6) as usize].load(Relaxed) & (1 << (bit & 63)) != 0
}

pub(super) fn set(bit: u32) {
    FILTER[(bit >> 6) as usize].fetch_or(1 << (bit & 63), Relaxed);
}

pub(super) fn clear(bit: u32) {
    FILTER[(bit >> 6) as usize].fetch_and(!(1 << (bit & 63)), Relaxed);
}

pub(super) fn clear_all() {
    FILTER.iter().for_each(|word| word.store(0, Relaxed));
}
