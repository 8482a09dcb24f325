//! Pushes variables to an OpenTelemetry collector: OTLP over HTTP, without OpenTelemetry's SDK.
//!
//! ```no_run
//! let otlp = expvar_otlp::Otlp::new("http://collector:4318").spawn()?;
//! // Keep it in `main` to push the last values when `main` returns or panics.
//! let _guard = otlp.drop_guard();
//! # Ok::<(), expvar_otlp::ConfigError>(())
//! ```
//!
//! - [`Otlp`] collects a registry at exact intervals and sends the points; [`PushHandle`] ends it.
//! - [`Renderer`] encodes the same requests without sending them.
//! - [`View`] overrides how one variable becomes a metric: name, attributes, unit, bounds.
//! - [`Histograms`] and [`Temporality`] choose among OTLP's representations.
//! - [`Points`] and [`Sender`] are for programs with points of their own.
//! - [`Event`] reports outages, dropped points and rejected points, at the beginning and at the
//!   end.
//! - [`Stats`] are the statistics; the variable `expvar.otlp` shows the same.
//!
//! # Features
//! | feature | default | what |
//! |---|---|---|
//! | `tls` | no | `https://` endpoints, by rustls |
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod encode;
mod environment;
mod handle;
mod otlp;
mod points;
mod push;
mod renderer;
mod resource;
mod send;
mod settings;
mod trouble;
mod view;

pub use encode::refusal::Refused;
pub use expvar::Number;
#[cfg(feature = "tls")]
pub use expvar_push::Tls;
pub use expvar_push::{ConfigError, Event, Unsent};
pub use handle::{DropGuard, PushHandle};
pub use otlp::Otlp;
pub use points::{Points, Sender};
pub use push::Push;
pub use renderer::Renderer;
pub use send::driver::Driver;
pub use send::pack::{Compression, Protocol};
pub use send::stats::Stats;
pub use settings::{Histograms, Temporality};
pub use view::View;
