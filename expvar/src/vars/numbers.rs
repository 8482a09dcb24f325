//! Where the values of a registry's numbers are.

use std::sync::Arc;

use crate::cells::Reader;
use crate::number::Number;
use crate::prefetch::Prefetch;
use crate::var::{Handle, Var};
use crate::{FloatGauge, Gauge};

/// The numbers among variables, laid out for reading all of them, one after the other.
///
/// They lie in rows, one for each kind; of each variable it takes a byte that names its row, and
/// there the next one is its own.
pub(crate) struct Numbers {
    /// The row that each variable's value is the next one of.
    rows: Box<[Row]>,
    /// The cells of counters, which have them for good.
    cells: Box<[u32]>,
    gauges: Box<[Arc<Gauge>]>,
    floats: Box<[Arc<FloatGauge>]>,
}

#[derive(Clone, Copy)]
enum Row {
    Cell,
    Gauge,
    Float,
    /// In no row: a gauge that is a static, a counter that has no cell yet, or no number.
    None,
}

impl Numbers {
    pub(crate) fn of<'v>(vars: impl Iterator<Item = &'v Var>) -> Self {
        let (mut cells, mut gauges, mut floats) = (Vec::new(), Vec::new(), Vec::new());
        let row = |var: &Var| match var {
            Var::Counter(counter) => match counter.cell() {
                Some(cell) => {
                    cells.push(cell);
                    Row::Cell
                }
                None => Row::None,
            },
            Var::Gauge(Handle::Shared(gauge)) => {
                gauges.push(Arc::clone(gauge));
                Row::Gauge
            }
            Var::FloatGauge(Handle::Shared(gauge)) => {
                floats.push(Arc::clone(gauge));
                Row::Float
            }
            _ => Row::None,
        };
        let rows = vars.map(row).collect();
        Self { rows, cells: cells.into(), gauges: gauges.into(), floats: floats.into() }
    }

    /// Calls `f` for the place of each variable, with its value if it is in a row.
    #[inline]
    pub(crate) fn read(&self, reader: &Reader, mut f: impl FnMut(usize, Option<Number>)) {
        let mut cells = self.cells.iter();
        let mut gauges = Prefetch::new(&self.gauges);
        let mut floats = Prefetch::new(&self.floats);
        for (at, row) in self.rows.iter().enumerate() {
            let value = if let Row::Cell = row {
                cells.next().map(|&cell| Number::Unsigned(reader.sum(cell)))
            } else if let Row::Gauge = row {
                gauges.next().map(|gauge| Number::Signed(gauge.read_own(reader)))
            } else {
                float(*row, &mut floats).map(Number::Float)
            };
            f(at, value);
        }
    }
}

/// Not inlined, so that the two kinds that are most frequent are told by a comparison each: all
/// kinds at once would be told by a jump to an address from a table.
#[inline(never)]
fn float(row: Row, floats: &mut Prefetch<'_, Arc<FloatGauge>>) -> Option<f64> {
    match row {
        Row::Float => floats.next().map(|gauge| gauge.get()),
        _ => None,
    }
}
