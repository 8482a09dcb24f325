//! Encoding of keys, values and numbers in etcd's gateway.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The gRPC codes that matter.
pub(super) const INVALID: u64 = 3;
pub(super) const NOT_FOUND: u64 = 5;
pub(super) const DENIED: u64 = 7;
pub(super) const PRECONDITION: u64 = 9;
pub(super) const OUT_OF_RANGE: u64 = 11;
pub(super) const UNAUTHENTICATED: u64 = 16;

/// Base64 as the gateway expects it.
pub(super) fn encode(text: impl AsRef<[u8]>) -> String {
    STANDARD.encode(text)
}

/// Decodes a text; invalid UTF-8 is replaced.
pub(super) fn decode(value: &Value) -> String {
    let bytes = STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A number, which the gateway writes as a string; zero if missing.
pub(super) fn number(value: &Value) -> i64 {
    match value {
        Value::String(text) => text.parse().unwrap_or(0),
        other => other.as_i64().unwrap_or(0),
    }
}

/// The end of the range of keys that begin with `prefix`.
pub(super) fn range_end(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // All keys.
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ranges_and_numbers() {
        assert_eq!(range_end("samlare/a/"), b"samlare/a0");
        assert_eq!(range_end(""), [0]);
        assert_eq!(number(&json!("7587883402356541190")), 7_587_883_402_356_541_190);
        assert_eq!((number(&json!(3)), number(&json!(null)), number(&json!("x"))), (3, 0, 0));
        assert_eq!(decode(&json!(encode("samlare/ä"))), "samlare/ä");
        assert_eq!(decode(&json!("%")), "");
    }
}
