//! OpenTelemetry's semantic conventions for the members of `process` (version 1.44).

use crate::encode::metric::Kind;

/// The convention of a member of `process`.
#[derive(Debug)]
pub(crate) struct Convention {
    member: &'static str,
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) help: &'static str,
    pub(crate) instrument: Instrument,
    pub(crate) attribute: Option<(&'static str, &'static str)>,
}

/// The instrument of a convention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instrument {
    Counter,
    UpDownCounter,
    Gauge,
}

impl Instrument {
    pub(crate) const fn kind(self, delta: bool) -> Kind {
        match self {
            Self::Counter => Kind::Sum { delta },
            Self::UpDownCounter => Kind::UpDown,
            Self::Gauge => Kind::Gauge,
        }
    }
}

/// The members of `process` that have a convention.
const PROCESS: &[Convention] = &[
    Convention {
        member: "resident_bytes",
        name: "process.memory.usage",
        unit: "By",
        help: "The amount of physical memory in use.",
        instrument: Instrument::UpDownCounter,
        attribute: None,
    },
    Convention {
        member: "virtual_bytes",
        name: "process.memory.virtual",
        unit: "By",
        help: "The amount of committed virtual memory.",
        instrument: Instrument::UpDownCounter,
        attribute: None,
    },
    Convention {
        member: "minor_page_faults",
        name: "process.paging.faults",
        unit: "{fault}",
        help: "Number of page faults the process has made.",
        instrument: Instrument::Counter,
        attribute: Some(("system.paging.fault.type", "minor")),
    },
    Convention {
        member: "major_page_faults",
        name: "process.paging.faults",
        unit: "{fault}",
        help: "Number of page faults the process has made.",
        instrument: Instrument::Counter,
        attribute: Some(("system.paging.fault.type", "major")),
    },
    Convention {
        member: "threads",
        name: "process.thread.count",
        unit: "{thread}",
        help: "Process threads count.",
        instrument: Instrument::UpDownCounter,
        attribute: None,
    },
    Convention {
        member: "open_fds",
        name: "process.unix.file_descriptor.count",
        unit: "{file_descriptor}",
        help: "Number of UNIX file descriptors in use by the process.",
        instrument: Instrument::UpDownCounter,
        attribute: None,
    },
    Convention {
        member: "cpu_user_seconds",
        name: "process.cpu.time",
        unit: "s",
        help: "Total CPU seconds broken down by different CPU modes.",
        instrument: Instrument::Counter,
        attribute: Some(("cpu.mode", "user")),
    },
    Convention {
        member: "cpu_system_seconds",
        name: "process.cpu.time",
        unit: "s",
        help: "Total CPU seconds broken down by different CPU modes.",
        instrument: Instrument::Counter,
        attribute: Some(("cpu.mode", "system")),
    },
    Convention {
        member: "voluntary_context_switches",
        name: "process.context_switches",
        unit: "{context_switch}",
        help: "Number of times the process has been context switched.",
        instrument: Instrument::Counter,
        attribute: Some(("process.context_switch.type", "voluntary")),
    },
    Convention {
        member: "involuntary_context_switches",
        name: "process.context_switches",
        unit: "{context_switch}",
        help: "Number of times the process has been context switched.",
        instrument: Instrument::Counter,
        attribute: Some(("process.context_switch.type", "involuntary")),
    },
    Convention {
        member: "storage_read_bytes",
        name: "process.disk.io",
        unit: "By",
        help: "Disk bytes transferred.",
        instrument: Instrument::Counter,
        attribute: Some(("disk.io.direction", "read")),
    },
    Convention {
        member: "storage_written_bytes",
        name: "process.disk.io",
        unit: "By",
        help: "Disk bytes transferred.",
        instrument: Instrument::Counter,
        attribute: Some(("disk.io.direction", "write")),
    },
    Convention {
        member: "uptime_seconds",
        name: "process.uptime",
        unit: "s",
        help: "The time the process has been running.",
        instrument: Instrument::Gauge,
        attribute: None,
    },
];

/// The prefix of members of `process` without a convention: the conventions' namespace is reserved.
pub(crate) const PROCESS_REST: &str = "expvar.process";

/// The convention of a member of `process`.
pub(crate) fn of_process(member: &str) -> Option<&'static Convention> {
    PROCESS.iter().find(|convention| convention.member == member)
}

/// Appends a member of `memstats` in snake case: `HeapInuse` becomes `heap_inuse`.
pub(crate) fn push_snake(to: &mut String, member: &str) {
    let mut after_lower = false;
    for c in member.chars() {
        if c.is_ascii_uppercase() && after_lower {
            to.push('_');
        }
        after_lower = c.is_ascii_lowercase();
        to.push(c.to_ascii_lowercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_s_fields_are_written_as_names_here() {
        for (field, name) in
            [("TotalAlloc", "total_alloc"), ("MSpanInuse", "mspan_inuse"), ("Sys", "sys")]
        {
            let mut written = String::new();
            push_snake(&mut written, field);
            assert_eq!(written, name);
        }
    }

    #[test]
    fn every_member_with_a_convention_is_one_of_process() {
        let registry = expvar::Registry::new();
        registry.publish("process", expvar::process::variable()).unwrap();
        let shown = registry.to_json();
        for convention in PROCESS {
            let member = format!("\"{}\":", convention.member);
            assert!(shown.contains(&member), "{member} {shown}");
        }
    }
}
