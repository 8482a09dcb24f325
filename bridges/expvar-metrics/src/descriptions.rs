//! Help texts and units of names, also of those that are not recorded yet.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use expvar::{Info, Registry, Text, Unit, Var};

use crate::families::NAMES;

/// The descriptions of a recorder, by name.
pub(crate) struct Descriptions {
    /// Shown nowhere: only the metadata is of interest.
    by_name: Registry,
    nothing: Var,
    count: AtomicUsize,
}

impl Descriptions {
    pub(crate) fn new() -> Self {
        let nothing = Var::from(Arc::new(Text::new()));
        Self { by_name: Registry::new(), nothing, count: AtomicUsize::new(0) }
    }

    /// Stores a description. Returns false if there are too many, or the name is invalid.
    pub(crate) fn set(&self, name: &str, unit: Option<metrics::Unit>, help: &str) -> bool {
        let is_new = self.by_name.info(name).is_none();
        let free = |count| (count < NAMES).then_some(count + 1);
        if is_new && self.count.fetch_update(Relaxed, Relaxed, free).is_err() {
            return false;
        }
        let info = Info::new().help(help.to_owned()).unit(unit.map_or(Unit::None, unit_of));
        let old = self.by_name.replace(name, self.nothing.clone(), info);
        // Another thread may have been first.
        if is_new && !matches!(old, Ok(None)) {
            self.count.fetch_sub(1, Relaxed);
        }
        old.is_ok()
    }

    /// The metadata of a name: help and unit.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Info>> {
        self.by_name.info(name)
    }

    /// The described unit.
    pub(crate) fn unit(&self, name: &str) -> Unit {
        self.get(name).map_or(Unit::None, |info| info.get_unit())
    }

    /// `info` with the description of the name, if there is one.
    pub(crate) fn describe(&self, name: &str, info: Info) -> Info {
        match self.get(name) {
            Some(told) => info.help(told.get_help().to_owned()).unit(told.get_unit()),
            None => info,
        }
    }
}

fn unit_of(unit: metrics::Unit) -> Unit {
    match unit {
        metrics::Unit::Count => Unit::None,
        metrics::Unit::Percent => Unit::Percent,
        metrics::Unit::Seconds => Unit::Seconds,
        metrics::Unit::Milliseconds => Unit::Milliseconds,
        metrics::Unit::Microseconds => Unit::Microseconds,
        metrics::Unit::Nanoseconds => Unit::Nanoseconds,
        metrics::Unit::Bytes => Unit::Bytes,
        other => Unit::Other(other.as_str()),
    }
}
