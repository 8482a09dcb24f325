//! The series that rows get as their history, within a limit.

use std::cmp::Reverse;

use super::rank::{Rank, Wanting};
use super::row::{Past, Row};
use super::{Kind, Series, Table};

/// A row that changed within this many seconds is not evicted.
const SETTLED_SECS: u32 = 60;

impl Table {
    /// Gives the rows in `wanting` a history, in that order, within the limits.
    pub(super) fn grant(&mut self, wanting: &[Wanting], freed: &mut Vec<u32>) {
        for of_rank in wanting.chunk_by(|a, b| a.rank() == b.rank()) {
            let rank = of_rank[0].rank();
            let width = |row: &Wanting| self.row(row.id()).map_or(0, Row::width);
            let wanted: usize = of_rank.iter().map(width).sum();
            self.make_room((self.series + wanted).saturating_sub(self.max_series), rank, freed);
            for row in of_rank {
                self.give(row.id());
            }
        }
    }

    /// Gives a row its history, if there is room.
    fn give(&mut self, id: u32) {
        let Some(row) = &mut self.rows[id as usize] else { return };
        let width = row.width();
        if self.series + width > self.max_series {
            return;
        }
        row.past = match width {
            1 => Past::One(Box::new(Series::new(row.kind == Kind::Counter))),
            _ => Past::Four(Box::new(std::array::from_fn(|part| Series::new(part == 0)))),
        };
        self.series += width;
        let points = row.points(None, 0.0);
        row.past.put(self.tick, points);
    }

    /// Evicts at least `needed` series for rows of this rank, or as many as possible.
    fn make_room(&mut self, needed: usize, rank: Rank, freed: &mut Vec<u32>) {
        if needed == 0 {
            return;
        }
        let tick = self.tick;
        let may_go = |row: &Row| {
            let is_settled = row.seen != tick || tick - row.changed >= SETTLED_SECS;
            row.has_past() && (row.rank > rank || is_settled && row.rank == rank)
                || row.has_past() && row.seen != tick
        };
        let rows = self.rows.iter().enumerate();
        let mut oldest: Vec<_> = rows
            .filter_map(|(id, row)| row.as_ref().map(|row| (id, row)))
            .filter(|(_, row)| may_go(row))
            .map(|(id, row)| (row.seen == tick, Reverse(row.rank), row.changed, id as u32))
            .collect();
        oldest.sort_unstable();
        let mut given = 0;
        for (.., id) in oldest {
            if given >= needed {
                break;
            }
            let Some(row) = &mut self.rows[id as usize] else { continue };
            let width = row.past.series().len();
            given += width;
            if row.seen == tick {
                row.past = Past::None;
                self.series -= width;
            } else {
                self.remove(id, freed);
            }
        }
        self.evicted += given as u64;
    }
}
