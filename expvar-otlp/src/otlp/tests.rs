//! Settings, the environment, and errors.

use super::*;
use crate::encode::request::Envelope;

fn plan(otlp: Otlp, set: &[(&str, &str)]) -> Result<Plan, ConfigError> {
    otlp.plan(|name| {
        set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn without_anything_the_defaults_are_those_of_the_specification() {
    let plan = plan(Otlp::from_env(), &[]).unwrap();
    assert_eq!(plan.endpoint.uri.to_string(), "http://localhost:4318/v1/metrics");
    assert_eq!(plan.interval, Duration::from_secs(60));
    assert_eq!(plan.timeout, Duration::from_secs(10));
    assert_eq!(plan.pack.protocol, Protocol::Protobuf);
    assert_eq!(plan.pack.compression, Compression::None);
    assert_eq!(plan.settings.temporality, Temporality::Cumulative);
    assert!(!plan.disabled && plan.problems.is_empty());
}

#[test]
fn what_is_said_here_goes_before_the_environment() {
    let set = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://metrics:2/in"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1500"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b=2"),
        ("OTEL_SERVICE_NAME", "theirs"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,team=a"),
    ];
    let env = plan(Otlp::from_env(), &set).unwrap();
    assert_eq!(env.endpoint.uri.to_string(), "http://metrics:2/in");
    assert_eq!(env.interval, Duration::from_secs(2), "up to whole seconds");
    assert_eq!(env.timeout, Duration::from_millis(100));
    assert_eq!(env.pack.protocol, Protocol::Json);
    let of = |plan: &Plan| {
        let envelope = Envelope::new(&plan.resource.encode());
        String::from_utf8_lossy(envelope.front(0).as_bytes()).into_owned()
    };
    assert!(of(&env).contains("theirs") && !of(&env).contains("other"));

    let otlp = Otlp::new("http://ours:3")
        .protocol(Protocol::Protobuf)
        .timeout(Duration::from_secs(1))
        .interval(Duration::from_secs(5))
        .header("a", "3")
        .service_name("ours")
        .resource("team", "b");
    let both = plan(otlp.clone(), &set).unwrap();
    assert_eq!(both.endpoint.uri.to_string(), "http://ours:3/v1/metrics");
    assert_eq!((both.interval, both.timeout), (Duration::from_secs(5), Duration::from_secs(1)));
    assert_eq!(both.pack.protocol, Protocol::Protobuf);
    assert!(both.headers["a"] == "3" && both.headers["b"] == "2");
    assert!(of(&both).contains("ours") && !of(&both).contains("theirs"));
    let alone = plan(otlp.without_env(), &set).unwrap();
    assert!(!alone.headers.contains_key("b"));
}

#[test]
fn a_setting_that_cannot_be_used_says_what_to_write() {
    for (otlp, set, words) in [
        (Otlp::new("collector:4318"), &[][..], "endpoint: "),
        (Otlp::new("http://c:4317"), &[], "4317 is the port for gRPC"),
        (Otlp::from_env(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317")], "4317"),
        (Otlp::from_env(), &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "http/protobuf"),
        (Otlp::new("http://c").interval(Duration::from_millis(1500)), &[], "whole seconds"),
        (Otlp::new("http://c").header("a b", "c"), &[], "header: the name of \"a b\""),
        (Otlp::new("http://c").header("a", "secret\n"), &[], "header: the value of \"a\""),
    ] {
        let error = plan(otlp, set).err().unwrap().to_string();
        assert!(error.contains(words) && !error.contains("secret"), "{error}");
    }
    // The program's settings make the environment's irrelevant.
    let grpc = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    assert!(plan(Otlp::new("http://c").protocol(Protocol::Json), &grpc).is_ok());
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_without_the_feature_says_which_one() {
    let error = plan(Otlp::new("https://c"), &[]).err().unwrap().to_string();
    assert!(error.contains("features = [\"tls\"]"), "{error}");
}
