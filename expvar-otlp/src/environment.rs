//! OpenTelemetry's environment variables for exporters.

use std::time::Duration;

use expvar_push::ConfigError;
use percent_encoding::percent_decode_str;

use crate::send::pack::{Compression, Protocol};
use crate::settings::{Histograms, Temporality};

/// Settings from the environment; `None` if not set.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Environment {
    /// `OTEL_SDK_DISABLED`, or no exporter for metrics.
    pub(crate) disabled: bool,
    /// An endpoint for all signals.
    pub(crate) endpoint: Option<String>,
    /// An endpoint for metrics, used unchanged.
    pub(crate) metrics_endpoint: Option<String>,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) compression: Option<Compression>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) certificate: Option<String>,
    pub(crate) client_certificate: Option<String>,
    pub(crate) client_key: Option<String>,
    pub(crate) temporality: Option<Temporality>,
    pub(crate) histograms: Option<Histograms>,
    pub(crate) interval: Option<Duration>,
    pub(crate) export_timeout: Option<Duration>,
    pub(crate) service_name: Option<String>,
    pub(crate) resource: Vec<(String, String)>,
    /// Invalid variables, with the problem.
    pub(crate) problems: Vec<(String, String)>,
}

/// A variable that is set.
struct Set {
    name: String,
    value: String,
}

impl Environment {
    /// Reads the environment through `get`. An empty value counts as not set; an invalid one is
    /// ignored and reported, as specified.
    ///
    /// # Errors
    /// It requests gRPC, which is not supported.
    pub(crate) fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let get = |name: &str| {
            let value = get(name)?.trim().to_owned();
            (!value.is_empty()).then(|| Set { name: name.to_owned(), value })
        };
        // A setting for metrics precedes that for all signals.
        let exporter = |suffix: &str| {
            get(&format!("OTEL_EXPORTER_OTLP_METRICS_{suffix}"))
                .or_else(|| get(&format!("OTEL_EXPORTER_OTLP_{suffix}")))
        };
        let text = |set: Option<Set>| set.map(|set| set.value);
        let mut problems = Vec::new();
        let mut environment = Self {
            endpoint: text(get("OTEL_EXPORTER_OTLP_ENDPOINT")),
            metrics_endpoint: text(get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")),
            certificate: text(exporter("CERTIFICATE")),
            client_certificate: text(exporter("CLIENT_CERTIFICATE")),
            client_key: text(exporter("CLIENT_KEY")),
            service_name: text(get("OTEL_SERVICE_NAME")),
            protocol: match exporter("PROTOCOL") {
                Some(set) if set.value == "grpc" => {
                    return Err(ConfigError::new(
                        set.name,
                        "gRPC is not supported",
                        "set it to http/protobuf or http/json, and the endpoint to the collector's \
                         port for HTTP, 4318",
                    ));
                }
                set => one_of(
                    set,
                    &mut problems,
                    &[("http/protobuf", Protocol::Protobuf), ("http/json", Protocol::Json)],
                ),
            },
            compression: one_of(
                exporter("COMPRESSION"),
                &mut problems,
                &[("gzip", Compression::Gzip), ("none", Compression::None)],
            ),
            timeout: millis(exporter("TIMEOUT"), &mut problems),
            interval: millis(get("OTEL_METRIC_EXPORT_INTERVAL"), &mut problems),
            export_timeout: millis(get("OTEL_METRIC_EXPORT_TIMEOUT"), &mut problems),
            temporality: one_of(
                get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"),
                &mut problems,
                &[
                    ("cumulative", Temporality::Cumulative),
                    ("delta", Temporality::Delta),
                    ("lowmemory", Temporality::LowMemory),
                ],
            ),
            histograms: one_of(
                get("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"),
                &mut problems,
                &[
                    ("base2_exponential_bucket_histogram", Histograms::Exponential),
                    ("explicit_bucket_histogram", Histograms::Explicit),
                ],
            ),
            disabled: one_of(
                get("OTEL_SDK_DISABLED"),
                &mut problems,
                &[("true", true), ("false", false)],
            )
            .unwrap_or(false)
                || get("OTEL_METRICS_EXPORTER").is_some_and(|set| set.value == "none"),
            headers: pairs(exporter("HEADERS"), &mut problems),
            resource: pairs(get("OTEL_RESOURCE_ATTRIBUTES"), &mut problems),
            problems: Vec::new(),
        };
        environment.problems = problems;
        Ok(environment)
    }
}

type Problems = Vec<(String, String)>;

fn one_of<T: Copy>(set: Option<Set>, problems: &mut Problems, known: &[(&str, T)]) -> Option<T> {
    let Set { name, value } = set?;
    let found = known.iter().find(|(known, _)| known.eq_ignore_ascii_case(&value));
    if found.is_none() {
        let known: Vec<_> = known.iter().map(|(known, _)| *known).collect();
        problems.push((name, format!("{value:?} is none of {}", known.join(", "))));
    }
    found.map(|(_, meant)| *meant)
}

fn millis(set: Option<Set>, problems: &mut Problems) -> Option<Duration> {
    let Set { name, value } = set?;
    match value.parse() {
        Ok(millis @ 1..) => Some(Duration::from_millis(millis)),
        _ => {
            problems.push((name, format!("{value:?} is no number of milliseconds above zero")));
            None
        }
    }
}

/// Parses percent-encoded `key=value` pairs separated by commas. One malformed pair invalidates
/// all. Values are never shown: headers are secrets.
fn pairs(set: Option<Set>, problems: &mut Problems) -> Vec<(String, String)> {
    let Some(Set { name, value }) = set else { return Vec::new() };
    let decode = |text: &str| {
        percent_decode_str(text.trim()).decode_utf8().map(|text| text.into_owned()).ok()
    };
    let pair = |(at, pair): (usize, &str)| {
        let parts = pair.split_once('=').map(|(key, value)| (decode(key), decode(value)));
        match parts {
            Some((Some(key), Some(value))) if !key.is_empty() => Ok((key, value)),
            Some(_) => Err(format!("pair {} has no key, or is not UTF-8 when decoded", at + 1)),
            None => Err(format!("pair {} has no =", at + 1)),
        }
    };
    let pairs = value.split(',').enumerate().filter(|(_, pair)| !pair.trim().is_empty()).map(pair);
    match pairs.collect::<Result<_, _>>() {
        Ok(pairs) => pairs,
        Err(problem) => {
            problems.push((name, format!("{problem}; write key=value,key=value")));
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Environment {
        Environment::read(|name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
        })
        .unwrap()
    }

    #[test]
    fn what_is_set_for_metrics_goes_before_what_is_set_for_all() {
        let all = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc, tenant = a "),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/client.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/client.key"),
        ];
        let found = read(&all);
        assert_eq!(found.endpoint.as_deref(), Some("http://all:4318"));
        assert_eq!(found.metrics_endpoint, None);
        assert_eq!(found.protocol, Some(Protocol::Json));
        assert_eq!(found.compression, Some(Compression::Gzip));
        assert_eq!(found.timeout, Some(Duration::from_millis(1500)));
        let headers = [("authorization", "Basic abc"), ("tenant", "a")];
        assert_eq!(found.headers, headers.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(found.certificate.as_deref(), Some("/ca.pem"));
        assert_eq!(found.client_certificate.as_deref(), Some("/client.pem"));
        assert_eq!(found.client_key.as_deref(), Some("/client.key"));
        assert_eq!(found.problems, []);

        let mut both = vec![
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://metrics:4318/in"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "200"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=b"),
            ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "/other.pem"),
        ];
        both.extend(all);
        let found = read(&both);
        assert_eq!(found.metrics_endpoint.as_deref(), Some("http://metrics:4318/in"));
        assert_eq!(found.protocol, Some(Protocol::Protobuf));
        assert_eq!(found.compression, Some(Compression::None));
        assert_eq!(found.timeout, Some(Duration::from_millis(200)));
        assert_eq!(found.headers, [("a".to_owned(), "b".to_owned())]);
        assert_eq!(found.certificate.as_deref(), Some("/other.pem"));
    }

    #[test]
    fn preferences_and_the_resource_are_read() {
        let found = read(&[
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "LowMemory"),
            (
                "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
                "explicit_bucket_histogram",
            ),
            ("OTEL_METRIC_EXPORT_INTERVAL", "10000"),
            ("OTEL_METRIC_EXPORT_TIMEOUT", "5000"),
            ("OTEL_SERVICE_NAME", "shop"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod,team=a%2Cb"),
            ("OTEL_SDK_DISABLED", "TRUE"),
        ]);
        assert_eq!(found.temporality, Some(Temporality::LowMemory));
        assert_eq!(found.histograms, Some(Histograms::Explicit));
        assert_eq!(found.interval, Some(Duration::from_secs(10)));
        assert_eq!(found.export_timeout, Some(Duration::from_secs(5)));
        assert_eq!(found.service_name.as_deref(), Some("shop"));
        assert_eq!(found.resource[1], ("team".to_owned(), "a,b".to_owned()));
        assert!(found.disabled && found.problems.is_empty());
        assert!(read(&[("OTEL_METRICS_EXPORTER", "none")]).disabled);
        assert!(!read(&[("OTEL_METRICS_EXPORTER", "otlp")]).disabled);
    }

    #[test]
    fn what_cannot_be_used_counts_as_not_set_and_is_told() {
        let found = read(&[
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=x,secret"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b=%ff"),
            ("OTEL_SDK_DISABLED", "yes"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", ""),
        ]);
        let told: Vec<_> = found.problems.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(told.len(), 6, "{told:?}");
        assert!(!format!("{:?}", found.problems).contains("secret"));
        assert_eq!(Environment { problems: Vec::new(), ..found }, Environment::default());
    }

    #[test]
    fn grpc_is_an_error_that_says_what_to_set() {
        let grpc = |name: &str| Environment::read(|n| (n == name).then(|| "grpc".to_owned()));
        for name in ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"] {
            let error = grpc(name).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("http/protobuf"), "{error}");
        }
    }
}
