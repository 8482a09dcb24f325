//! A histogram's samples.

use expvar::{Exemplar, Number, Snapshot, Unit};

use super::ladder::Ladder;
use super::native::Native;
use super::samples::{self, Samples, write_bound, write_number};
use super::{Format, protobuf};

/// A histogram and its presentation.
pub(super) struct Distribution<'a> {
    pub(super) total: &'a Snapshot,
    /// The quantiles of a summary and the recent values, if it is shown as one.
    pub(super) summary: Option<(&'a [f64], &'a Snapshot)>,
    /// Ascending by value.
    pub(super) exemplars: &'a [Exemplar],
    pub(super) unit: Unit,
    /// Values are divided by 10 to this power.
    pub(super) decimals: u32,
    /// The same divisor as a number.
    pub(super) scale: f64,
    /// The bounds of a mapping.
    pub(super) bounds: Option<&'a [f64]>,
    /// When it was registered, in nanoseconds since 1970, if shown.
    pub(super) created: Option<u64>,
}

impl Distribution<'_> {
    /// Appends the samples.
    pub(super) fn push(
        &self,
        samples: &mut Samples,
        labels: &mut Vec<u8>,
        format: Format,
        native: &mut Native,
    ) {
        match format {
            Format::Protobuf => protobuf::push_distribution(samples, labels, self, native),
            format => self.push_text(samples, labels, format),
        }
    }

    fn push_text(&self, samples: &mut Samples, labels: &mut Vec<u8>, format: Format) {
        let total = self.total;
        let (count, start) = (total.count(), labels.len());
        let mut label = |samples: &mut Samples, name: &str, ending, bound: Option<f64>, number| {
            let comma: &[u8] = if start > 0 { b"," } else { b"" };
            labels.extend_from_slice(comma);
            labels.extend_from_slice(name.as_bytes());
            labels.extend_from_slice(b"=\"");
            match bound {
                Some(bound) => write_bound(labels, bound, format),
                None => labels.extend_from_slice(b"+Inf"),
            }
            labels.push(b'"');
            samples.push(ending, labels, number, 0);
            labels.truncate(start);
        };
        match self.summary {
            Some((quantiles, recent)) => {
                for &quantile in quantiles {
                    let value = Number::Float(self.quantile(recent, quantile));
                    label(samples, "quantile", "", Some(quantile), value);
                }
            }
            None => {
                let mut last = f64::NEG_INFINITY;
                let mut bucket = |bound: Option<f64>, below| {
                    label(samples, "le", "_bucket", bound, Number::Unsigned(below));
                    let bound = bound.unwrap_or(f64::INFINITY);
                    if let Some(exemplar) = newest(self.exemplars, self.scale, last, bound) {
                        write_exemplar(&mut samples.text, exemplar, self.scale);
                    }
                    last = bound;
                };
                self.buckets(|bound, below| bucket(Some(bound), below));
                bucket(None, count);
            }
        }
        if has_sum(total, format) {
            samples.push("_sum", labels, sum(total), self.decimals);
            samples.push("_count", labels, Number::Unsigned(count), 0);
        }
        samples.push_created(labels, self.created);
    }

    /// The bounds of the classic buckets, in the unit shown, and the number of values at or below
    /// each.
    pub(super) fn buckets(&self, f: impl FnMut(f64, u64)) {
        Ladder::new(self.total, self.unit, self.decimals, self.bounds).cumulate(f);
    }

    /// The sum, in the unit shown.
    pub(super) fn sum(&self) -> f64 {
        self.total.sum_float() / self.scale
    }

    /// A recent quantile, in the unit shown; NaN without recordings.
    pub(super) fn quantile(&self, recent: &Snapshot, quantile: f64) -> f64 {
        if recent.is_empty() { f64::NAN } else { recent.quantile_float(quantile) / self.scale }
    }
}

/// The sum in the recorded unit.
pub(super) fn sum(total: &Snapshot) -> Number {
    match total.is_float() {
        true => Number::Float(total.sum_float()),
        false => Number::Unsigned(total.sum()),
    }
}

/// Whether a text has sum and count. In OpenMetrics a sum must not decrease: a negative or NaN sum
/// is omitted, and then so must be the count, which the last bucket repeats.
pub(super) fn has_sum(total: &Snapshot, format: Format) -> bool {
    format == Format::Text || total.sum_float() >= 0.0
}

/// The newest exemplar above `low` and at most `high`, in the unit shown.
pub(super) fn newest(
    exemplars: &[Exemplar],
    scale: f64,
    above: f64,
    most: f64,
) -> Option<&Exemplar> {
    let within = |exemplar: &&Exemplar| {
        let value = exemplar.value() / scale;
        above < value && value <= most
    };
    exemplars.iter().filter(within).max_by_key(|exemplar| exemplar.unix_nanos())
}

/// Appends an exemplar to the last line.
fn write_exemplar(text: &mut Vec<u8>, exemplar: &Exemplar, scale: f64) {
    text.pop();
    text.extend_from_slice(b" # {");
    let mut labels = Vec::new();
    for (name, value) in exemplar.labels() {
        samples::push_label(&mut labels, name, value, Format::OpenMetrics);
    }
    text.extend_from_slice(&labels);
    text.extend_from_slice(b"} ");
    write_number(text, exemplar.value() / scale);
    text.push(b' ');
    samples::write(text, Number::Unsigned(exemplar.unix_nanos()), 9);
    text.push(b'\n');
}
