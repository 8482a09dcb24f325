//! The metrics of the current variable.

use std::collections::HashMap;

use expvar::protobuf::Message;

use crate::encode::metric::{Kind, Metric, NUMBERS};

/// Metrics in order of first use; their memory is reused.
#[derive(Default)]
pub(crate) struct Families {
    all: Vec<Family>,
    used: usize,
    /// Indices of metrics with the variable's own name, by kind of number.
    plain: [Option<usize>; NUMBERS],
    /// By the hash of name and kind.
    named: HashMap<u64, usize>,
}

/// A metric under construction.
struct Family {
    name: String,
    help: String,
    unit: String,
    kind: Kind,
    points: Message,
    count: u64,
}

/// How many metrics keep their memory between variables.
const KEPT: usize = 256;

impl Families {
    /// The metric with the variable's own name and this kind of number, if it has begun.
    #[inline]
    pub(crate) fn plain(&self, kind: Kind) -> Option<usize> {
        self.plain[kind.at()]
    }

    /// Begins it.
    pub(crate) fn begin_plain(&mut self, metric: &Metric<'_>) -> usize {
        let at = self.begin(metric);
        self.plain[metric.kind.at()] = Some(at);
        at
    }

    /// The metric with this hash.
    pub(crate) fn named(&mut self, hash: u64, metric: &Metric<'_>) -> usize {
        if let Some(&at) = self.named.get(&hash) {
            return at;
        }
        let at = self.begin(metric);
        self.named.insert(hash, at);
        at
    }

    fn begin(&mut self, metric: &Metric<'_>) -> usize {
        let at = self.used;
        self.used += 1;
        if at == self.all.len() {
            self.all.push(Family {
                name: String::new(),
                help: String::new(),
                unit: String::new(),
                kind: metric.kind,
                points: Message::default(),
                count: 0,
            });
        }
        let family = &mut self.all[at];
        for (to, from) in [
            (&mut family.name, metric.name),
            (&mut family.help, metric.help),
            (&mut family.unit, metric.unit),
        ] {
            to.clear();
            to.push_str(from);
        }
        family.kind = metric.kind;
        at
    }

    /// Adds one point, which `write` appends.
    #[inline]
    pub(crate) fn add(&mut self, at: usize, write: impl FnOnce(&mut Message)) {
        let family = &mut self.all[at];
        write(&mut family.points);
        family.count += 1;
    }

    /// How many bytes its points take.
    #[inline]
    pub(crate) fn len(&self, at: usize) -> usize {
        self.all[at].points.len()
    }

    /// Writes a metric's points so far; later points follow as another part of it. Returns the
    /// number of points.
    pub(crate) fn write(&mut self, at: usize, out: &mut Message) -> u64 {
        let family = &mut self.all[at];
        let points = std::mem::take(&mut family.count);
        if points > 0 {
            let Family { name, help, unit, kind, .. } = &*family;
            let metric = Metric { name, help, unit, kind: *kind };
            metric.write(out, |data| data.append(family.points.as_bytes()));
            family.points.clear();
        }
        points
    }

    /// The number of metrics.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Removes all metrics, which are written.
    pub(crate) fn clear(&mut self) {
        self.used = 0;
        self.plain = [None; NUMBERS];
        self.named.clear();
        self.all.truncate(KEPT);
    }
}
