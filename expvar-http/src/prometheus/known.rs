//! `process` and `memstats` under the names that dashboards know.

use expvar::json::{Leaf, Leaves, Step, walk};

use super::exposition::Exposition;
use super::names;
use super::samples::{Number, Type, push_label};

/// A member, its metric, whether that is a counter, and its help text.
type Row = (&'static str, &'static str, bool, &'static str);

/// The members of a variable, and what becomes of those that are not in the table.
pub(super) struct Table {
    rows: &'static [Row],
    others: Others,
}

#[derive(PartialEq)]
enum Others {
    Shown,
    Hidden,
}

/// The table of a variable that has one.
pub(super) fn table(variable: &str) -> Option<Table> {
    match variable {
        "process" => Some(Table { rows: PROCESS, others: Others::Shown }),
        "memstats" => Some(Table { rows: MEMSTATS, others: Others::Hidden }),
        _ => None,
    }
}

/// The names of Prometheus' client libraries where they have one.
const PROCESS: &[Row] = &[
    (
        "resident_bytes",
        "process_resident_memory_bytes",
        false,
        "Memory that is resident, in bytes.",
    ),
    (
        "virtual_bytes",
        "process_virtual_memory_bytes",
        false,
        "Address space that is mapped, in bytes.",
    ),
    (
        "peak_resident_bytes",
        "process_peak_resident_memory_bytes",
        false,
        "Most memory that was ever resident, in bytes.",
    ),
    (
        "anonymous_bytes",
        "process_anonymous_memory_bytes",
        false,
        "Resident memory backed by no file, in bytes.",
    ),
    (
        "file_backed_bytes",
        "process_file_backed_memory_bytes",
        false,
        "Resident memory backed by files, in bytes.",
    ),
    (
        "shared_bytes",
        "process_shared_memory_bytes",
        false,
        "Resident shared memory without a file, in bytes.",
    ),
    ("swap_bytes", "process_swap_bytes", false, "Memory that is swapped out, in bytes."),
    ("minor_page_faults", "process_minor_page_faults", true, "Page faults served without reading."),
    ("major_page_faults", "process_major_page_faults", true, "Page faults that waited for a disk."),
    ("threads", "process_threads", false, "Live threads."),
    ("open_fds", "process_open_fds", false, "Open file descriptors."),
    ("max_fds", "process_max_fds", false, "File descriptors that may be open."),
    (
        "cpu_user_seconds",
        "process_cpu_user_seconds",
        true,
        "Processor time spent in the program, in seconds.",
    ),
    (
        "cpu_system_seconds",
        "process_cpu_system_seconds",
        true,
        "Processor time spent in the kernel, in seconds.",
    ),
    (
        "voluntary_context_switches",
        "process_voluntary_context_switches",
        true,
        "Times that a thread waited.",
    ),
    (
        "involuntary_context_switches",
        "process_involuntary_context_switches",
        true,
        "Times that a thread had to yield its processor.",
    ),
    ("read_bytes", "process_read_bytes", true, "Bytes that reading system calls returned."),
    ("written_bytes", "process_written_bytes", true, "Bytes given to writing system calls."),
    ("storage_read_bytes", "process_storage_read_bytes", true, "Bytes fetched from storage."),
    ("storage_written_bytes", "process_storage_written_bytes", true, "Bytes sent to storage."),
    (
        "start_time_seconds",
        "process_start_time_seconds",
        false,
        "When the process started, in Unix seconds.",
    ),
    ("uptime_seconds", "process_uptime_seconds", false, "Seconds since the process started."),
    (
        "cgroup.oom_kills",
        "process_cgroup_oom_kills",
        true,
        "Processes of the control group killed for want of memory.",
    ),
    (
        "cgroup.cpu_periods",
        "process_cgroup_cpu_periods",
        true,
        "Enforcement intervals of the processor limit.",
    ),
    (
        "cgroup.cpu_throttled_periods",
        "process_cgroup_cpu_throttled_periods",
        true,
        "Intervals in which the processor limit was reached.",
    ),
    (
        "cgroup.cpu_throttled_seconds",
        "process_cgroup_cpu_throttled_seconds",
        true,
        "Seconds that the control group's threads were held back.",
    ),
];

/// Members of `process` that are maps, with the label that their keys become.
const PROCESS_MAPS: &[(Row, &str)] = &[(
    (
        "thread_cpu_seconds",
        "process_thread_cpu_seconds",
        true,
        "Processor time by thread name, in seconds.",
    ),
    "thread",
)];

const CPU: (&str, Type, &str) = (
    "process_cpu_seconds",
    Type::Counter,
    "Processor time, in the program and in the kernel, in seconds.",
);

/// The names that Go's client library gives to Go's fields.
const MEMSTATS: &[Row] = &[
    ("Alloc", "go_memstats_alloc_bytes", false, "Bytes in live blocks."),
    ("TotalAlloc", "go_memstats_alloc_bytes", true, "Bytes allocated since the start."),
    ("Sys", "go_memstats_sys_bytes", false, "Address space of all kinds, in bytes."),
    ("Mallocs", "go_memstats_mallocs", true, "Blocks allocated since the start."),
    ("Frees", "go_memstats_frees", true, "Blocks freed since the start."),
    ("HeapAlloc", "go_memstats_heap_alloc_bytes", false, "Bytes in live blocks of the heap."),
    (
        "HeapSys",
        "go_memstats_heap_sys_bytes",
        false,
        "Address space that may hold the heap, in bytes.",
    ),
    (
        "HeapIdle",
        "go_memstats_heap_idle_bytes",
        false,
        "Address space of the heap that is not in use, in bytes.",
    ),
    ("HeapInuse", "go_memstats_heap_inuse_bytes", false, "Memory held for the heap, in bytes."),
    (
        "HeapReleased",
        "go_memstats_heap_released_bytes",
        false,
        "Idle address space of the heap that takes no memory, in bytes.",
    ),
    ("HeapObjects", "go_memstats_heap_objects", false, "Live blocks."),
    ("StackInuse", "go_memstats_stack_inuse_bytes", false, "The main thread's stack, in bytes."),
    (
        "StackSys",
        "go_memstats_stack_sys_bytes",
        false,
        "Address space of the main thread's stack, in bytes.",
    ),
    (
        "MSpanInuse",
        "go_memstats_mspan_inuse_bytes",
        false,
        "The allocator's bookkeeping, in bytes.",
    ),
    (
        "MSpanSys",
        "go_memstats_mspan_sys_bytes",
        false,
        "Address space of the allocator's bookkeeping, in bytes.",
    ),
    ("OtherSys", "go_memstats_other_sys_bytes", false, "Program text and page tables, in bytes."),
];

/// Writes what the function of a known variable returned.
pub(super) fn write(exposition: &mut Exposition<'_>, variable: &str, table: Table, text: &str) {
    let mut members = Members {
        exposition,
        variable,
        table,
        path: String::new(),
        marks: Vec::new(),
        seconds: None,
        written: None,
    };
    let _ = walk(text, &mut members);
    if let Some(seconds) = members.seconds {
        exposition.single(variable, CPU, Number::Float(seconds), false);
    }
}

struct Members<'t, 'e> {
    exposition: &'t mut Exposition<'e>,
    variable: &'t str,
    table: Table,
    /// Names of members from the top, with dots between.
    path: String,
    marks: Vec<usize>,
    /// Processor time, user and system.
    seconds: Option<f64>,
    /// The map that is being written.
    written: Option<&'static str>,
}

impl Leaves for Members<'_, '_> {
    fn enter(&mut self, step: Step<'_>) {
        self.marks.push(self.path.len());
        if !self.path.is_empty() {
            self.path.push('.');
        }
        match step {
            Step::Key(key) => self.path.push_str(key),
            Step::Index(at) => self.path.push_str(itoa::Buffer::new().format(at)),
        }
    }

    fn leave(&mut self) {
        self.path.truncate(self.marks.pop().unwrap_or(0));
    }

    fn leaf(&mut self, leaf: Leaf<'_>) {
        let number = match leaf {
            Leaf::Unsigned(n) => Number::unsigned(n),
            Leaf::Signed(n) => Number::signed(n),
            Leaf::Float(n) => Number::Float(n),
            Leaf::Bool(b) => Number::unsigned(b.into()),
            Leaf::Null | Leaf::Text(_) => return,
        };
        if matches!(self.path.as_str(), "cpu_user_seconds" | "cpu_system_seconds")
            && let Leaf::Float(seconds) = leaf
        {
            *self.seconds.get_or_insert(0.0) += seconds;
        }
        let kind = |counter| if counter { Type::Counter } else { Type::Gauge };
        let of_member = |(member, ..): &&Row| *member == self.path;
        if let Some(&(_, name, counter, help)) = self.table.rows.iter().find(of_member) {
            self.exposition.single(self.variable, (name, kind(counter), help), number, false);
            return;
        }
        if self.table.others == Others::Hidden {
            return;
        }
        let map = PROCESS_MAPS.iter().find_map(|(row, label)| {
            let key = self.path.strip_prefix(row.0)?.strip_prefix('.')?;
            Some((row, *label, key))
        });
        if let Some((&(_, name, counter, help), label, key)) = map {
            push_label(&mut self.exposition.labels, label, key);
            let again = self.written.replace(name) == Some(name);
            self.exposition.single(self.variable, (name, kind(counter), help), number, again);
            self.exposition.labels.clear();
            return;
        }
        let mut name = format!("{}_", self.variable);
        names::push_legal(&mut name, &self.path);
        let help = format!("Variable {}, {}.", self.variable, self.path);
        self.exposition.single(self.variable, (&name, Type::Gauge, &help), number, false);
    }
}
