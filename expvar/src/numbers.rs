//! The numbers among variables, laid out for reading all of them.

use std::sync::Arc;

use crate::cells::Slabs;
use crate::near::Near;
use crate::var::{Handle, Var};
use crate::visit::Value;
use crate::{FloatGauge, Gauge};

/// The numbers among variables, laid out for reading all of them, one after the other.
///
/// A few bytes a variable are read in a row: of what kind it is, and of that kind's next one where
/// its value is.
pub(crate) struct Numbers {
    kinds: Box<[Kind]>,
    /// The cells of counters, which have them for good.
    cells: Box<[u32]>,
    gauges: Box<[Arc<Gauge>]>,
    floats: Box<[Arc<FloatGauge>]>,
}

#[derive(Clone, Copy)]
enum Kind {
    Cell,
    Gauge,
    Float,
    /// None that is here: a static, a counter without a cell, or no number.
    Other,
}

impl Numbers {
    pub(crate) fn of<'v>(vars: impl Iterator<Item = &'v Var>) -> Self {
        let (mut cells, mut gauges, mut floats) = (Vec::new(), Vec::new(), Vec::new());
        let kind = |var: &Var| match var {
            Var::Counter(Handle::Shared(counter)) => match counter.cell() {
                Some(cell) => {
                    cells.push(cell);
                    Kind::Cell
                }
                None => Kind::Other,
            },
            Var::Gauge(Handle::Shared(gauge)) => {
                gauges.push(Arc::clone(gauge));
                Kind::Gauge
            }
            Var::FloatGauge(Handle::Shared(gauge)) => {
                floats.push(Arc::clone(gauge));
                Kind::Float
            }
            _ => Kind::Other,
        };
        let kinds = vars.map(kind).collect();
        Self { kinds, cells: cells.into(), gauges: gauges.into(), floats: floats.into() }
    }

    /// Calls `f` for the place of each variable, with its value if it is a number of these.
    #[inline]
    pub(crate) fn read(&self, slabs: &Slabs, mut f: impl FnMut(usize, Option<Value<'static>>)) {
        let mut cells = self.cells.iter();
        let mut gauges = Near::new(&self.gauges);
        let mut floats = Near::new(&self.floats);
        for (at, kind) in self.kinds.iter().enumerate() {
            let value = if let Kind::Cell = kind {
                cells.next().map(|&cell| Value::Counter(slabs.sum(cell)))
            } else if let Kind::Gauge = kind {
                gauges.next().map(|gauge| Value::Gauge(gauge.read(slabs)))
            } else {
                float(*kind, &mut floats).map(Value::Float)
            };
            f(at, value);
        }
    }
}

/// Not inlined, so that the two kinds that are most frequent are told by a comparison each: all
/// kinds at once would be told by a jump to an address from a table.
#[inline(never)]
fn float(kind: Kind, floats: &mut Near<'_, FloatGauge>) -> Option<f64> {
    match kind {
        Kind::Float => floats.next().map(FloatGauge::get),
        _ => None,
    }
}
