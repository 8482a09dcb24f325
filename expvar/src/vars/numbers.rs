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

    /// Calls `f` for each variable's index, with its value if it is in a column.
    #[inline]
    pub(crate) fn read(&self, reader: &Reader, mut f: impl FnMut(usize, Value)) {
        let are_used = ARE_USED.load(Relaxed);
        let mut cells = self.cells.iter();
        let mut gauges = Prefetch::new(&self.gauges);
        let mut floats = Prefetch::new(&self.floats);
        for (at, column) in self.columns.iter().enumerate() {
            let column = if are_used { *column } else { Column::None };
            let bits = if let Column::Cell = column {
                cells.next().map_or(0, |&cell| reader.sum(cell))
            } else if let Column::Gauge = column {
                gauges.next().map_or(0, |gauge| gauge.read_own(reader) as u64)
            } else {
                float(column, &mut floats)
            };
            f(at, Value { column, bits });
        }
    }
}

/// A value in a column, if it is in one.
///
/// Two words, so that it is passed in registers: a [`Number`] is passed in memory, where it is
/// written in parts and read as a whole, which has the processor wait for the writes.
#[derive(Clone, Copy)]
pub(crate) struct Value {
    column: Column,
    bits: u64,
}

impl Value {
    #[inline(always)]
    pub(crate) fn number(self) -> Option<Number> {
        match self.column {
            Column::Cell => Some(Number::Unsigned(self.bits)),
            Column::Gauge => Some(Number::Signed(self.bits as i64)),
            Column::Float => Some(Number::Float(f64::from_bits(self.bits))),
            Column::None => None,
        }
    }
}

/// Not inlined, so that the two most frequent kinds are found by a comparison each instead of a
/// jump table over all kinds.
#[inline(never)]
fn float(column: Column, floats: &mut Prefetch<'_, Arc<FloatGauge>>) -> u64 {
    match column {
        Column::Float => floats.next().map_or(0, |gauge| gauge.get().to_bits()),
        _ => 0,
    }
}
