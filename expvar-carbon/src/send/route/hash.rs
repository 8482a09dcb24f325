//! The hashes by which relays place servers and names.

/// The first 16 bits of MD5.
pub(super) fn md5_16(key: &[u8]) -> i64 {
    let digest = md5::compute(key);
    i64::from(u16::from_be_bytes([digest[0], digest[1]]))
}

/// FNV-1a of 32 bits, its halves folded into 16.
pub(super) fn fnv1a_16(key: &[u8]) -> i64 {
    let hash = key
        .iter()
        .fold(0x811c_9dc5_u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    i64::from((hash >> 16) ^ (hash & 0xffff))
}

/// FNV-1a of 64 bits.
pub(super) fn fnv1a_64(key: &[u8]) -> u64 {
    key.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// MurmurHash3 x86 of 32 bits with the seed 0, as a signed number.
pub(super) fn murmur3_32(key: &[u8]) -> i64 {
    let mix =
        |block: u32| block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (blocks, rest) = key.as_chunks::<4>();
    let mut hash = blocks.iter().fold(0, |hash: u32, block| {
        let hash = (hash ^ mix(u32::from_le_bytes(*block))).rotate_left(13);
        hash.wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, &byte| tail << 8 | u32::from(byte));
        hash ^= mix(tail);
    }
    hash ^= key.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    i64::from((hash ^ hash >> 16).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_test_vectors_hold() {
        // RFC 1321; draft-eastlake-fnv; SMHasher.
        assert_eq!(md5_16(b"abc"), 0x9001);
        assert_eq!(fnv1a_16(b""), 0x811c ^ 0x9dc5);
        assert_eq!(fnv1a_64(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(murmur3_32(b""), 0);
        assert_eq!(murmur3_32(b"test"), i64::from(0xba6b_d213_u32.cast_signed()));
        assert_eq!(murmur3_32(b"Hello, world!"), i64::from(0xc036_3e43_u32.cast_signed()));
    }
}
