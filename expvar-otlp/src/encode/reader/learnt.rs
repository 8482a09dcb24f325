//! Numbers with a cached beginning, which a later collection repeats.

use expvar::Number;
use expvar::protobuf::Message;

use super::{Reader, counts};
use crate::encode::metric::{Kind, Metric, write_number, write_tail};
use crate::encode::name;
use crate::encode::refusal::Refusal;

/// A number with a cached beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Learnt {
    /// The length of its beginning.
    pub(crate) len: u32,
    /// The index of its series, and the end of the series' hash.
    series: u32,
    check: u32,
    kind: Kind,
}

impl Reader {
    /// Encodes the beginning of the point at this position, and enters its series. `whole` includes
    /// the metric, for a variable that is one number.
    pub(crate) fn learn(&mut self, whole: bool, head: &mut Message) -> Result<Learnt, Refusal> {
        let kind = self.kind();
        if self.place.name.len() > name::MAX_BYTES {
            return Err(Refusal::LongName);
        }
        let hash = self.series.hash(&self.place.name, kind, &self.place.attributes);
        let series = self.series.enter(hash, self.registered).ok_or(Refusal::Conflict)?;
        let place = &self.place;
        let point = |points: &mut Message| {
            write_number(points, kind, &place.attributes, (0, 0), Number::Unsigned(0));
        };
        let before = head.len();
        if whole {
            let said = &place.variable;
            Metric { name: &place.name, help: &said.help, unit: &said.unit, kind }
                .write(head, point);
        } else {
            point(head);
        }
        head.truncate(head.len() - kind.tail_len());
        let len = (head.len() - before) as u32;
        Ok(Learnt { len, series, check: hash as u32, kind })
    }

    /// Encodes a cached number, whose beginning is the first of `heads`. `is_entered` says that its
    /// series already is. Returns false if the series has changed.
    #[inline(always)]
    pub(crate) fn repeat(
        &mut self,
        learnt: Learnt,
        heads: &[u8],
        whole: bool,
        is_entered: bool,
        number: Number,
    ) -> bool {
        let Learnt { len, series, check, kind } = learnt;
        if !is_entered && !self.series.again(series, check) {
            return false;
        }
        if matches!(kind, Kind::Sum { .. }) && !counts(number) {
            self.refuse(Refusal::BadCounter);
            return true;
        }
        let Some((start, number)) = self.series.advance(series, kind, number) else { return true };
        let times = (start, self.time);
        let write = |to: &mut Message| {
            to.append_first(heads, len as usize);
            write_tail(to, kind, times, number);
        };
        if whole {
            write(self.parts.metrics());
            self.parts.count(1);
        } else {
            let at = match self.families.plain(kind) {
                Some(at) => at,
                None => self.begin_plain(kind),
            };
            self.families.add(at, write);
            self.spill(at);
        }
        true
    }

    #[cold]
    fn begin_plain(&mut self, kind: Kind) -> usize {
        let (place, said) = (&self.place, &self.place.variable);
        let metric = Metric { name: &place.name, help: &said.help, unit: &said.unit, kind };
        self.families.begin_plain(&metric)
    }
}
