//! A request as JSON: the protobuf mapping with OTLP's exceptions. Enums are numbers and the ids of
//! traces are hexadecimal.

use expvar::json::{write_float, write_signed, write_string, write_unsigned};

use crate::encode::fields::{Fields, Value, take_varint};

/// A message's fields: number, name, what it is.
type Schema = &'static [(u32, &'static str, Type)];

/// What a field is.
#[derive(Clone, Copy)]
enum Type {
    Text,
    Bool,
    /// A number in the text; of `sint32` it is the first.
    Zigzag,
    Small,
    /// 64 bits, which JSON's readers would round: a text.
    Unsigned,
    Signed,
    Double,
    Hex,
    One(Schema),
    Many(Schema),
    /// Numbers one after the other.
    PackedFixed,
    PackedVarint,
    PackedDouble,
}

use Type::{
    Bool, Double, Hex, Many, One, PackedDouble, PackedFixed, PackedVarint, Signed, Small, Text,
    Unsigned, Zigzag,
};

const REQUEST: Schema = &[(1, "resourceMetrics", Many(RESOURCE_METRICS))];
const RESOURCE_METRICS: Schema =
    &[(1, "resource", One(RESOURCE)), (2, "scopeMetrics", Many(SCOPE_METRICS))];
const RESOURCE: Schema = &[(1, "attributes", Many(KEY_VALUE))];
const SCOPE_METRICS: Schema = &[(1, "scope", One(SCOPE)), (2, "metrics", Many(METRIC))];
const SCOPE: Schema = &[(1, "name", Text), (2, "version", Text)];
const KEY_VALUE: Schema = &[(1, "key", Text), (2, "value", One(ANY_VALUE))];
const ANY_VALUE: Schema = &[
    (1, "stringValue", Text),
    (2, "boolValue", Bool),
    (3, "intValue", Signed),
    (4, "doubleValue", Double),
];
const METRIC: Schema = &[
    (1, "name", Text),
    (2, "description", Text),
    (3, "unit", Text),
    (5, "gauge", One(GAUGE)),
    (7, "sum", One(SUM)),
    (9, "histogram", One(HISTOGRAM)),
    (10, "exponentialHistogram", One(EXPONENTIAL)),
];
const GAUGE: Schema = &[(1, "dataPoints", Many(NUMBER_POINT))];
const SUM: Schema = &[
    (2, "aggregationTemporality", Small),
    (3, "isMonotonic", Bool),
    (1, "dataPoints", Many(NUMBER_POINT)),
];
const HISTOGRAM: Schema =
    &[(2, "aggregationTemporality", Small), (1, "dataPoints", Many(HISTOGRAM_POINT))];
const EXPONENTIAL: Schema =
    &[(2, "aggregationTemporality", Small), (1, "dataPoints", Many(EXPONENTIAL_POINT))];
const NUMBER_POINT: Schema = &[
    (7, "attributes", Many(KEY_VALUE)),
    (2, "startTimeUnixNano", Unsigned),
    (3, "timeUnixNano", Unsigned),
    (4, "asDouble", Double),
    (6, "asInt", Signed),
    (5, "exemplars", Many(EXEMPLAR)),
];
const HISTOGRAM_POINT: Schema = &[
    (9, "attributes", Many(KEY_VALUE)),
    (2, "startTimeUnixNano", Unsigned),
    (3, "timeUnixNano", Unsigned),
    (4, "count", Unsigned),
    (5, "sum", Double),
    (6, "bucketCounts", PackedFixed),
    (7, "explicitBounds", PackedDouble),
    (8, "exemplars", Many(EXEMPLAR)),
    (11, "min", Double),
    (12, "max", Double),
];
const EXPONENTIAL_POINT: Schema = &[
    (1, "attributes", Many(KEY_VALUE)),
    (2, "startTimeUnixNano", Unsigned),
    (3, "timeUnixNano", Unsigned),
    (4, "count", Unsigned),
    (5, "sum", Double),
    (6, "scale", Zigzag),
    (7, "zeroCount", Unsigned),
    (8, "positive", One(BUCKETS)),
    (9, "negative", One(BUCKETS)),
    (11, "exemplars", Many(EXEMPLAR)),
    (12, "min", Double),
    (13, "max", Double),
    (14, "zeroThreshold", Double),
];
const BUCKETS: Schema = &[(1, "offset", Zigzag), (2, "bucketCounts", PackedVarint)];
const EXEMPLAR: Schema = &[
    (7, "filteredAttributes", Many(KEY_VALUE)),
    (2, "timeUnixNano", Unsigned),
    (3, "asDouble", Double),
    (6, "asInt", Signed),
    (4, "spanId", Hex),
    (5, "traceId", Hex),
];

/// Appends a request, which this crate encoded, as JSON.
pub(crate) fn write_request(out: &mut Vec<u8>, request: &[u8]) {
    write_message(out, request, REQUEST);
}

fn write_message(out: &mut Vec<u8>, message: &[u8], schema: Schema) {
    out.push(b'{');
    let mut first = true;
    for &(number, name, kind) in schema {
        let mut values = Fields::of(message).filter(|(field, _)| *field == number).peekable();
        let Some(&(_, value)) = values.peek() else { continue };
        if !std::mem::replace(&mut first, false) {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        match kind {
            Many(schema) => write_list(out, values, |out, (_, value)| {
                write_message(out, bytes(value), schema);
            }),
            kind => write_value(out, value, kind),
        }
    }
    out.push(b'}');
}

fn write_value(out: &mut Vec<u8>, value: Value<'_>, kind: Type) {
    match kind {
        Text => write_string(out, &String::from_utf8_lossy(bytes(value))),
        Bool => out.extend_from_slice(if number(value) != 0 { b"true" } else { b"false" }),
        Small => write_unsigned(out, number(value)),
        Zigzag => {
            let n = number(value);
            write_signed(out, (n >> 1) as i64 ^ -((n & 1) as i64));
        }
        Unsigned => quoted(out, |out| write_unsigned(out, number(value))),
        Signed => quoted(out, |out| write_signed(out, number(value) as i64)),
        Double => write_double(out, f64::from_bits(number(value))),
        Hex => quoted(out, |out| {
            for byte in bytes(value) {
                out.extend_from_slice(format!("{byte:02x}").as_bytes());
            }
        }),
        One(schema) | Many(schema) => write_message(out, bytes(value), schema),
        PackedFixed => write_list(out, fixed(value), |out, n| {
            quoted(out, |out| write_unsigned(out, n));
        }),
        PackedDouble => {
            write_list(out, fixed(value), |out, n| write_double(out, f64::from_bits(n)))
        }
        PackedVarint => {
            let mut rest = bytes(value);
            let numbers = std::iter::from_fn(|| take_varint(&mut rest));
            write_list(out, numbers, |out, n| quoted(out, |out| write_unsigned(out, n)));
        }
    }
}

fn write_list<T>(
    out: &mut Vec<u8>,
    values: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, value);
    }
    out.push(b']');
}

/// What is no finite number has a name, as the protobuf mapping says.
fn write_double(out: &mut Vec<u8>, n: f64) {
    match n {
        n if n.is_nan() => out.extend_from_slice(b"\"NaN\""),
        f64::INFINITY => out.extend_from_slice(b"\"Infinity\""),
        f64::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
        n => write_float(out, n),
    }
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn bytes(value: Value<'_>) -> &[u8] {
    match value {
        Value::Bytes(bytes) => bytes,
        Value::Number(_) => &[],
    }
}

fn number(value: Value<'_>) -> u64 {
    match value {
        Value::Number(n) => n,
        Value::Bytes(_) => 0,
    }
}

fn fixed(value: Value<'_>) -> impl Iterator<Item = u64> {
    let (numbers, _) = bytes(value).as_chunks();
    numbers.iter().map(|number| u64::from_le_bytes(*number))
}
