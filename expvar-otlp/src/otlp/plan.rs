//! What a push is made of: what was set, and what the environment says where nothing was.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use expvar_push::ConfigError;
#[cfg(feature = "tls")]
use expvar_push::Tls;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Otlp;
use crate::encode::reader::Reader;
use crate::encode::request::Envelope;
use crate::environment::Environment;
use crate::resource::Resource;
use crate::send::endpoint::{Endpoint, For};
use crate::send::pack::Pack;
use crate::settings::Settings;

/// Where a collector listens. Default of the specification.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_EXPORT_TIMEOUT: Duration = Duration::from_secs(30);

/// What a push is made of.
pub(super) struct Plan {
    pub(super) disabled: bool,
    pub(super) endpoint: Endpoint,
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
    pub(super) interval: Duration,
    pub(super) pack: Pack,
    pub(super) settings: Arc<Settings>,
    pub(super) resource: Resource,
    pub(super) problems: Vec<(String, String)>,
    #[cfg(feature = "tls")]
    pub(super) tls: Tls,
}

impl Plan {
    /// What reads and encodes.
    pub(super) fn reader(&self) -> Reader {
        let envelope = Envelope::new(&self.resource.encode());
        Reader::new(self.settings.clone(), started(), envelope)
    }
}

impl Otlp {
    pub(super) fn plan(&self, get: impl Fn(&str) -> Option<String>) -> Result<Plan, ConfigError> {
        let env = match self.is_alone {
            true => Environment::default(),
            false => match Environment::read(get) {
                Ok(env) => env,
                // Settings in the program take precedence.
                Err(_) if self.protocol.is_some() => Environment::default(),
                Err(error) => return Err(error),
            },
        };
        let endpoint = match (&self.endpoint, &env.metrics_endpoint, &env.endpoint) {
            (Some(url), ..) => Endpoint::parse("endpoint", url, For::All),
            (None, Some(url), _) => {
                Endpoint::parse("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", url, For::Metrics)
            }
            (None, None, Some(url)) => {
                Endpoint::parse("OTEL_EXPORTER_OTLP_ENDPOINT", url, For::All)
            }
            (None, None, None) => Endpoint::parse("endpoint", DEFAULT_ENDPOINT, For::All),
        }?;
        if endpoint.is_tls && cfg!(not(feature = "tls")) {
            return Err(ConfigError::new(
                "endpoint",
                "https:// needs the feature \"tls\" of expvar-otlp, which is not enabled",
                "enable it in Cargo.toml: expvar-otlp = { version = \"0.1\", features = [\"tls\"] }",
            ));
        }
        let timeout = env.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let timeout = timeout.min(env.export_timeout.unwrap_or(DEFAULT_EXPORT_TIMEOUT));
        let pack = Pack {
            protocol: self.protocol.or(env.protocol).unwrap_or_default(),
            compression: self.compression.or(env.compression).unwrap_or_default(),
        };
        Ok(Plan {
            disabled: env.disabled,
            endpoint,
            headers: self.header_map(&env, pack)?,
            timeout: self.timeout.unwrap_or(timeout),
            interval: self.whole_interval(&env)?,
            pack,
            settings: Arc::new(self.settings(&env)?),
            resource: self.resource_of(&env),
            #[cfg(feature = "tls")]
            tls: self.tls_of(&env),
            problems: env.problems,
        })
    }

    fn header_map(&self, env: &Environment, pack: Pack) -> Result<HeaderMap, ConfigError> {
        let mut headers = HeaderMap::new();
        for (from, pairs) in
            [("OTEL_EXPORTER_OTLP_HEADERS", &env.headers), ("header", &self.headers)]
        {
            for (name, value) in pairs {
                // A value may be a secret: it is not shown.
                let refuse = |what: &str| {
                    let remedy = "use visible ASCII, in a name no space, colon or quote";
                    ConfigError::new(from, format!("the {what} of {name:?} cannot be sent"), remedy)
                };
                let header = name.parse::<HeaderName>().map_err(|_| refuse("name"))?;
                let mut value = HeaderValue::from_str(value).map_err(|_| refuse("value"))?;
                value.set_sensitive(true);
                headers.insert(header, value);
            }
        }
        pack.set_headers(&mut headers);
        Ok(headers)
    }

    fn whole_interval(&self, env: &Environment) -> Result<Duration, ConfigError> {
        let from_env = |interval: Duration| {
            Duration::from_secs(interval.as_secs() + u64::from(interval.subsec_nanos() > 0))
        };
        let interval = match (self.interval, env.interval) {
            (Some(interval), _) => interval,
            (None, Some(interval)) => from_env(interval),
            (None, None) => DEFAULT_INTERVAL,
        };
        let is_whole = interval.subsec_nanos() == 0 && interval.as_secs() > 0;
        if !is_whole || interval.as_secs() > 1 << 30 {
            return Err(ConfigError::new(
                "interval",
                format!("{interval:?} is no number of whole seconds"),
                "use whole seconds, at least one: Duration::from_secs(60)",
            ));
        }
        Ok(interval)
    }

    fn settings(&self, env: &Environment) -> Result<Settings, ConfigError> {
        let mut settings = Settings {
            temporality: self.temporality.or(env.temporality).unwrap_or_default(),
            histograms: self.histograms.or(env.histograms).unwrap_or_default(),
            without_library: self.without_library,
            ..Settings::default()
        };
        for view in &self.views {
            view.check()?;
            settings.views.insert(view.variable.clone(), Arc::new(view.clone()));
        }
        Ok(settings)
    }

    fn resource_of(&self, env: &Environment) -> Resource {
        let mut resource = Resource::of_process();
        for (key, value) in &env.resource {
            resource.set(key, value);
        }
        for name in env.service_name.iter().chain(&self.service_name) {
            resource.set("service.name", name);
        }
        for (key, value) in &self.resource {
            resource.set(key, value);
        }
        resource
    }

    #[cfg(feature = "tls")]
    fn tls_of(&self, env: &Environment) -> Tls {
        if let Some(tls) = &self.tls {
            return tls.clone();
        }
        let mut tls = Tls::new();
        if let Some(path) = &env.certificate {
            tls = tls.ca_file(path);
        }
        if let (Some(chain), Some(key)) = (&env.client_certificate, &env.client_key) {
            tls = tls.client_certificate(chain, key);
        }
        tls
    }
}

/// When the program started, if the system tells, in nanoseconds since 1970: the start of counts.
fn started() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let started = expvar::process::read().start_time_seconds.map(Duration::from_secs_f64);
    started.filter(|started| *started < now).unwrap_or(now).as_nanos() as u64
}
