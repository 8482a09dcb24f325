//! Go's size classes, so that `BySize` means what its readers expect.

/// The number of classes; the first, of size zero, stays empty.
pub const CLASSES: usize = 61;

/// The largest size of each class in bytes. A class holds sizes above those of the class before.
///
/// Source: the sizes that Go 1.19 to 1.27 print in `BySize` on amd64. Larger allocations count in
/// the totals alone.
pub const CLASS_SIZES: [u32; CLASSES] = [
    0, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320,
    352, 384, 416, 448, 480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792,
    2048, 2304, 2688, 3072, 3200, 3456, 4096, 4864, 5376, 6144, 6528, 6784, 6912, 8192, 9472, 9728,
    10240, 10880, 12288, 13568, 14336, 16384, 18432,
];

/// All sizes are multiples of this.
const STEP: usize = 8;
const LARGEST: usize = CLASS_SIZES[CLASSES - 1] as usize;

/// The class of each multiple of `STEP`: a table, because a search would cost more than counting.
static TABLE: [u8; LARGEST / STEP + 1] = table();

const fn table() -> [u8; LARGEST / STEP + 1] {
    let mut table = [0; LARGEST / STEP + 1];
    let (mut step, mut class) = (1, 1);
    while step < table.len() {
        if step * STEP > CLASS_SIZES[class] as usize {
            class += 1;
        }
        table[step] = class as u8;
        step += 1;
    }
    table
}

/// The class of an allocation; 0 if it is larger than all of them.
#[inline(always)]
pub(super) fn class_of(size: usize) -> usize {
    // The rounding must not wrap for sizes near the address space's end. The mask is always a
    // no-op; it lets the compiler drop a bounds check.
    if size > LARGEST { 0 } else { usize::from(TABLE[size.div_ceil(STEP)]) & 63 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_a_search() {
        for size in 1..=LARGEST {
            let class = CLASS_SIZES.iter().position(|largest| size <= *largest as usize).unwrap();
            assert_eq!(class_of(size), class, "{size}");
        }
        for size in [LARGEST + 1, 1 << 20, usize::MAX] {
            assert_eq!(class_of(size), 0, "{size}");
        }
    }
}
