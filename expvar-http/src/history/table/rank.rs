//! Precedence of rows for history.

use super::super::sample::{Item, Sample};
use super::MAX_ROWS;

/// Precedence for history: lower ranks first, which may evict higher ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Variables that are not keys, and rows that the page shows on top.
    Variable,
    /// The first keys of each map.
    Key,
    /// The rest of the keys of large maps.
    Crowd,
}

/// Keys of one map that rank before its others.
const FIRST_KEYS: u32 = 64;
/// Members of one function that rank as variables.
const FIRST_MEMBERS: u32 = 256;

impl Rank {
    /// The rank of the `ordinal`th leaf of its variable.
    pub(super) fn of(item: &Item, ordinal: u32) -> Self {
        match (item.is_key, ordinal) {
            (false, 0..FIRST_MEMBERS) => Rank::Variable,
            (_, 0..FIRST_KEYS) => Rank::Key,
            _ => Rank::Crowd,
        }
    }
}

/// How many leaves of each variable are shown, so that a large one does not hide others.
pub(super) fn fair_share(items: &[Item], sample: &Sample) -> u32 {
    if items.len() <= MAX_ROWS {
        return u32::MAX;
    }
    let mut sizes = Vec::new();
    for_each_ordinal(items, sample, |ordinal, _| match sizes.last_mut() {
        Some(size) if ordinal > 0 => *size = ordinal + 1,
        _ => sizes.push(1),
    });
    sizes.sort_unstable();
    let mut room = MAX_ROWS as u32;
    for (at, &size) in sizes.iter().enumerate() {
        let share = room / (sizes.len() - at) as u32;
        if size > share {
            return share;
        }
        room -= size;
    }
    u32::MAX
}

/// Calls `f` with each leaf and its ordinal within its variable.
pub(super) fn for_each_ordinal<'s>(
    items: &'s [Item],
    sample: &Sample,
    mut f: impl FnMut(u32, &'s Item),
) {
    let mut ordinal = 0;
    let mut before: Option<&str> = None;
    for item in items {
        let variable = (item.top > 0).then(|| &sample.path(item)[..item.top]);
        ordinal = if variable.is_some() && variable == before { ordinal + 1 } else { 0 };
        before = variable;
        f(ordinal, item);
    }
}

/// A row that needs history, sorted by rank, ordinal, id. Packed into one number, as there may be
/// twenty thousand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanting(u64);

impl Wanting {
    pub(super) fn new(rank: Rank, ordinal: u32, id: u32) -> Self {
        Self((rank as u64) << 62 | u64::from(ordinal.min(u32::MAX >> 2)) << 32 | u64::from(id))
    }

    pub(super) fn rank(self) -> Rank {
        [Rank::Variable, Rank::Key, Rank::Crowd][(self.0 >> 62).min(2) as usize]
    }

    pub(super) fn id(self) -> u32 {
        self.0 as u32
    }
}
