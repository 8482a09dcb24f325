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
    pub(crate) fn read(&self, reader: &Reader, mut f: impl FnMut(usize, Option<Number>)) {
        if !ARE_USED.load(Relaxed) {
            return (0..self.columns.len()).for_each(|at| f(at, None));
        }
        let mut cells = self.cells.iter();
        let mut gauges = Prefetch::new(&self.gauges);
        let mut floats = Prefetch::new(&self.floats);
        for (at, column) in self.columns.iter().enumerate() {
            let value = if let Column::Cell = column {
                cells.next().map(|&cell| Number::Unsigned(reader.sum(cell)))
            } else if let Column::Gauge = column {
                gauges.next().map(|gauge| Number::Signed(gauge.read_own(reader)))
            } else {
                float(*column, &mut floats).map(Number::Float)
            };
            f(at, value);
        }
    }
}

/// Not inlined, so that the two most frequent kinds are found by a comparison each instead of a
/// jump table over all kinds.
#[inline(never)]
fn float(column: Column, floats: &mut Prefetch<'_, Arc<FloatGauge>>) -> Option<f64> {
    match column {
        Column::Float => floats.next().map(|gauge| gauge.get()),
        _ => None,
    }
}
