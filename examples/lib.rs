//! Programs to run and to read: `cargo run --example NAME`.

/// The code of the READMEs and of the migration pages compiles and runs.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Workspace;
    #[doc = include_str!("../expvar/README.md")]
    struct Expvar;
    #[doc = include_str!("../expvar-http/README.md")]
    struct ExpvarHttp;
    #[doc = include_str!("../expvar-carbon/README.md")]
    struct ExpvarCarbon;
    #[doc = include_str!("../expvar-otlp/README.md")]
    struct ExpvarOtlp;
    #[doc = include_str!("../bridges/expvar-metrics/README.md")]
    struct ExpvarMetrics;
    #[doc = include_str!("../bridges/expvar-tokio/README.md")]
    struct ExpvarTokio;
    #[doc = include_str!("../bridges/expvar-tracing/README.md")]
    struct ExpvarTracing;
    #[doc = include_str!("../docs/memory.md")]
    struct Memory;
    #[doc = include_str!("../docs/migrations/prometheus.md")]
    struct Prometheus;
    #[doc = include_str!("../docs/migrations/metrics-exporter-prometheus.md")]
    struct MetricsExporterPrometheus;
    #[doc = include_str!("../docs/migrations/go-expvar.md")]
    struct GoExpvar;
    #[doc = include_str!("../docs/migrations/samlare.md")]
    struct Samlare;
}
