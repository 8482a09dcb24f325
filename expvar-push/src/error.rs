//! Configuration errors.

use std::fmt;

/// An invalid setting, detected before anything starts.
///
/// Displayed on one line: the setting, the problem, and a remedy.
///
/// ```
/// use expvar_push::ConfigError;
///
/// let error = ConfigError::new("timeout", "it is zero", "allow some seconds");
/// assert_eq!(error.to_string(), "timeout: it is zero; allow some seconds");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    field: String,
    problem: String,
    remedy: String,
}

impl ConfigError {
    /// Creates an error for the setting `field`.
    pub fn new(
        field: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// The setting, named like the builder's method.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The problem.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// The remedy.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.field, self.problem, self.remedy)
    }
}

impl std::error::Error for ConfigError {}
