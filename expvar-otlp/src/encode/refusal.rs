//! Points rejected before sending, by reason.

/// Why a point is rejected before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another variable gives the same metric with the same attributes.
    Conflict,
    /// The metric's name would be longer than 255 bytes.
    LongName,
    /// A counter is negative or not a number.
    BadCounter,
}

/// Points rejected before they were sent.
///
/// ```
/// use expvar::{FloatGauge, Info, Registry};
///
/// let registry = Registry::new();
/// let total = registry.publish_with("total", FloatGauge::new(), Info::new().counter())?;
/// total.set(-1.0);
/// let otlp = expvar_otlp::Otlp::new("http://collector:4318").without_env().registry(&registry);
/// let mut renderer = otlp.renderer()?;
/// renderer.to_requests();
/// assert_eq!(renderer.refused().bad_counter, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Another variable gave the same metric with the same attributes.
    pub conflict: u64,
    /// The metric's name would have been longer than 255 bytes.
    pub long_name: u64,
    /// A counter was negative or not a number.
    pub bad_counter: u64,
}

impl Refused {
    pub(crate) fn add(&mut self, reason: Refusal) {
        *match reason {
            Refusal::Conflict => &mut self.conflict,
            Refusal::LongName => &mut self.long_name,
            Refusal::BadCounter => &mut self.bad_counter,
        } += 1;
    }
}

impl Refusal {
    /// The reason in a few words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Conflict => "another variable gives the same metric with the same attributes",
            Self::LongName => "a metric's name would be longer than 255 bytes",
            Self::BadCounter => "a counter is negative or not a number",
        }
    }

    /// A remedy.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::Conflict => "rename one of them; expvar.otlp's last_conflict says which",
            Self::LongName => "shorten the variable's name, or map it to another one",
            Self::BadCounter => "declare it as a gauge, or map it to one",
        }
    }
}
