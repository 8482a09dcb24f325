//! The values of a registry's numbers, stored by kind.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use crate::cells::Reader;
use crate::number::Number;
use crate::prefetch::Prefetch;
use crate::var::{Handle, Owner, Var};
use crate::{FloatGauge, Gauge};

static ARE_USED: AtomicBool = AtomicBool::new(true);

/// Has walks read numbers by column, or each where its variable has it: for the benchmark.
#[doc(hidden)]
pub fn switch_columns(on: bool) {
    ARE_USED.store(on, Relaxed);
}

/// The numbers among variables, for reading all of them in order. The benchmark `render` shows what
/// that saves.
///
/// Values are stored column-wise by kind; `columns[i]` says which column variable `i` takes its next
/// value from. So a counter costs four bytes to find, and nothing is loaded of the variable itself.
pub(crate) struct Numbers {
    columns: Box<[Column]>,
    /// The cells of counters, which never change.
    cells: Box<[u32]>,
    gauges: Box<[Arc<Gauge>]>,
    floats: Box<[Arc<FloatGauge>]>,
}

#[derive(Clone, Copy)]
enum Column {
    Cell,
    Gauge,
    Float,
    /// In no column: a static gauge, a counter without a cell, or not a number.
    None,
}

impl Numbers {
    pub(crate) fn of<'v>(vars: impl Iterator<Item = &'v Var>) -> Self {
        let (mut cells, mut gauges, mut floats) = (Vec::new(), Vec::new(), Vec::new());
        let column = |var: &Var| match var {
            Var::Counter(counter) => match counter.cell() {
                Some(cell) => {
                    cells.push(cell);
                    Column::Cell
                }
                None => Column::None,
            },
            Var::Gauge(Handle(Owner::Shared(gauge))) => {
                gauges.push(Arc::clone(gauge));
                Column::Gauge
            }
            Var::FloatGauge(Handle(Owner::Shared(gauge))) => {
                floats.push(Arc::clone(gauge));
                Column::Float
            }
            _ => Column::None,
        };
        let columns = vars.map(column).collect();
        Self { columns, cells: cells.into(), gauges: gauges.into(), floats: floats.into() }
    }

    /// Calls `f` with the numbers of successive variables and the index of the first of them; with no
    /// numbers for a variable that is in no column.
    #[inline]
    pub(crate) fn read(&self, reader: &Reader, mut f: impl FnMut(usize, &[Number])) {
        let are_used = ARE_USED.load(Relaxed);
        let mut cells = self.cells.iter();
        let mut gauges = Prefetch::new(&self.gauges);
        let mut floats = Prefetch::new(&self.floats);
        let mut batch = [Number::Unsigned(0); BATCH];
        let mut at = 0;
        while let Some(columns) = self.columns.get(at..).filter(|columns| !columns.is_empty()) {
            let mut len = 0;
            for (column, number) in columns.iter().zip(&mut batch) {
                *number = match column {
                    Column::Cell if are_used => {
                        Number::Unsigned(cells.next().map_or(0, |&cell| reader.sum(cell)))
                    }
                    Column::Gauge if are_used => {
                        Number::Signed(gauges.next().map_or(0, |gauge| gauge.read_own(reader)))
                    }
                    Column::Float if are_used => {
                        Number::Float(floats.next().map_or(0.0, |gauge| gauge.get()))
                    }
                    _ => break,
                };
                len += 1;
            }
            f(at, &batch[..len]);
            at += len.max(1);
        }
    }
}

/// The most numbers that are read at once.
const BATCH: usize = 64;
