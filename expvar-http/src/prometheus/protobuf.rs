//! Metrics in protobuf: length-delimited `io.prometheus.client.MetricFamily`.
//!
//! Source: `io/prometheus/client/metrics.proto` of <https://github.com/prometheus/client_model>.

use std::mem;

use expvar::Exemplar;
use expvar::protobuf::Message;

use super::distribution::{Distribution, newest};
use super::native::{Native, SCHEMA};
use super::samples::{Samples, Type};

/// Field numbers of `MetricFamily`.
mod family {
    pub(super) const NAME: u32 = 1;
    pub(super) const HELP: u32 = 2;
    pub(super) const TYPE: u32 = 3;
    pub(super) const METRIC: u32 = 4;
    pub(super) const UNIT: u32 = 5;
}

/// Field numbers of `Metric`.
mod metric {
    pub(super) const LABEL: u32 = 1;
    pub(super) const GAUGE: u32 = 2;
    pub(super) const COUNTER: u32 = 3;
    pub(super) const SUMMARY: u32 = 4;
    pub(super) const HISTOGRAM: u32 = 7;
}

/// Field numbers of `Histogram`.
mod histogram {
    pub(super) const SAMPLE_COUNT: u32 = 1;
    pub(super) const SAMPLE_SUM: u32 = 2;
    pub(super) const BUCKET: u32 = 3;
    pub(super) const SCHEMA: u32 = 5;
    pub(super) const ZERO_THRESHOLD: u32 = 6;
    pub(super) const ZERO_COUNT: u32 = 7;
    pub(super) const POSITIVE_SPAN: u32 = 12;
    pub(super) const POSITIVE_DELTA: u32 = 13;
    pub(super) const CREATED_TIMESTAMP: u32 = 15;
    pub(super) const EXEMPLARS: u32 = 16;
}

/// Appends a label, a field of a `Metric` or an `Exemplar`.
pub(super) fn push_label(labels: &mut Vec<u8>, name: &str, value: &str) {
    write(labels, |labels| {
        labels.nested(metric::LABEL, |label| {
            label.text(1, name);
            label.text(2, value);
        });
    });
}

/// Whether a label of that name is there.
pub(super) fn has_label(labels: &[u8], name: &str) -> bool {
    let mut field = Message::default();
    field.text(1, name);
    labels.windows(field.len()).any(|window| window == field.as_bytes())
}

/// Appends to a buffer.
fn write(buffer: &mut Vec<u8>, write: impl FnOnce(&mut Message)) {
    let mut message = Message::from(mem::take(buffer));
    write(&mut message);
    *buffer = message.into_bytes();
}

/// Appends a counter or a gauge. Its value takes the last 8 bytes.
pub(super) fn push_number(samples: &mut Samples, labels: &[u8], value: f64, created: Option<u64>) {
    let field = match samples.kind {
        Type::Counter => metric::COUNTER,
        Type::Alone { ending } if ending != "_info" => metric::COUNTER,
        _ => metric::GAUGE,
    };
    write(&mut samples.text, |message| {
        message.nested(family::METRIC, |message| {
            message.append(labels);
            message.nested(field, |message| {
                push_timestamp(message, 3, created);
                message.explicit_double(1, value);
            });
        });
    });
    samples.value_end = samples.text.len();
    samples.value_at = samples.value_end - size_of::<f64>();
}

fn push_timestamp(message: &mut Message, field: u32, unix_nanos: Option<u64>) {
    if let Some(nanos) = unix_nanos {
        message.nested(field, |message| {
            message.varint(1, nanos / 1_000_000_000);
            message.varint(2, nanos % 1_000_000_000);
        });
    }
}

/// Appends a histogram, or a summary of quantiles.
pub(super) fn push_distribution(
    samples: &mut Samples,
    labels: &[u8],
    distribution: &Distribution<'_>,
    native: &mut Native,
) {
    write(&mut samples.text, |message| {
        message.nested(family::METRIC, |message| {
            message.append(labels);
            match distribution.summary {
                Some((quantiles, recent)) => message.nested(metric::SUMMARY, |message| {
                    message.explicit_varint(1, distribution.total.count());
                    message.explicit_double(2, distribution.sum());
                    for &quantile in quantiles {
                        message.nested(3, |message| {
                            message.explicit_double(1, quantile);
                            message.explicit_double(2, distribution.quantile(recent, quantile));
                        });
                    }
                    push_timestamp(message, 4, distribution.created);
                }),
                None => message.nested(metric::HISTOGRAM, |message| {
                    push_histogram(message, distribution, native);
                }),
            }
        });
    });
}

fn push_histogram(message: &mut Message, distribution: &Distribution<'_>, native: &mut Native) {
    let (total, scale) = (distribution.total, distribution.scale);
    let count = total.count();
    message.explicit_varint(histogram::SAMPLE_COUNT, count);
    message.explicit_double(histogram::SAMPLE_SUM, distribution.sum());
    let mut last = f64::NEG_INFINITY;
    let bucket = |message: &mut Message, bound: f64, below, exemplar: Option<&Exemplar>| {
        message.nested(histogram::BUCKET, |message| {
            message.explicit_varint(1, below);
            message.explicit_double(2, bound);
            if let Some(exemplar) = exemplar {
                message.nested(3, |message| push_exemplar(message, exemplar, scale));
            }
        });
    };
    distribution.buckets(|bound, below| {
        let exemplar = newest(distribution.exemplars, scale, last, bound);
        bucket(message, bound, below, exemplar);
        last = bound;
    });
    // The last bucket may be omitted, unless it has an exemplar.
    if let Some(exemplar) = newest(distribution.exemplars, scale, last, f64::INFINITY) {
        bucket(message, f64::INFINITY, count, Some(exemplar));
    }
    native.set(total, scale);
    message.explicit_sint(histogram::SCHEMA, SCHEMA);
    message.explicit_double(histogram::ZERO_THRESHOLD, native.zero_threshold);
    message.explicit_varint(histogram::ZERO_COUNT, native.zero_count);
    for &(offset, length) in &native.spans {
        message.nested(histogram::POSITIVE_SPAN, |message| {
            message.explicit_sint(1, offset);
            message.explicit_varint(2, length);
        });
    }
    message.packed_sint(histogram::POSITIVE_DELTA, native.deltas.iter().copied());
    push_timestamp(message, histogram::CREATED_TIMESTAMP, distribution.created);
    // In order of time, as they are stored.
    let mut exemplars: Vec<&Exemplar> = distribution.exemplars.iter().collect();
    exemplars.sort_by_key(|exemplar| exemplar.unix_nanos());
    for exemplar in exemplars {
        message.nested(histogram::EXEMPLARS, |message| push_exemplar(message, exemplar, scale));
    }
}

fn push_exemplar(message: &mut Message, exemplar: &Exemplar, scale: f64) {
    for (name, value) in exemplar.labels() {
        message.nested(1, |message| {
            message.text(1, name);
            message.text(2, value);
        });
    }
    message.explicit_double(2, exemplar.value() / scale);
    push_timestamp(message, 3, Some(exemplar.unix_nanos()));
}

/// A family's name, with the suffix of its samples, and its metadata.
pub(super) struct Header<'a> {
    pub(super) name: [&'a str; 2],
    pub(super) kind: Type,
    pub(super) help: [&'a str; 3],
    /// Empty without one.
    pub(super) unit: &'a str,
}

/// Appends a family with its metrics.
pub(super) fn push_family(out: &mut Vec<u8>, header: &Header<'_>, metrics: &[u8]) {
    let kind = match header.kind {
        Type::Counter => 0,
        Type::Alone { ending } if ending != "_info" => 0,
        Type::Gauge | Type::Info | Type::Alone { .. } => 1,
        Type::Summary => 2,
        Type::Histogram => 4,
    };
    write(out, |message| {
        message.delimited(|message| {
            message.nested(family::NAME, |text| {
                header.name.iter().for_each(|part| text.append(part.as_bytes()));
            });
            message.nested(family::HELP, |text| {
                header.help.iter().for_each(|part| text.append(part.as_bytes()));
            });
            message.explicit_varint(family::TYPE, kind);
            if !header.unit.is_empty() {
                message.text(family::UNIT, header.unit);
            }
            message.append(metrics);
        });
    });
}
