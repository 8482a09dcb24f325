//! Readings of recorded systems: the files are in the kernel's documented formats.

use super::*;
use crate::process::{Cgroup, Pressure, Stalls};

/// Reads a recorded system; returns the process and the number of failures.
fn read(system: &str) -> (Process, u64) {
    let root = format!("{}/tests/system/{system}", env!("CARGO_MANIFEST_DIR"));
    let mut reader = Reader { files: Files::new(&root), ..Reader::default() };
    let process = reader.read_files();
    (process, reader.files.failures)
}

/// Values independent of control groups, the same in all complete recordings.
#[track_caller]
fn check_process(process: &Process) {
    const KIB: u64 = 1024;
    assert_eq!(process.resident_bytes, Some(51_200 * KIB));
    assert_eq!(process.virtual_bytes, Some(912_340 * KIB));
    assert_eq!(process.peak_resident_bytes, Some(61_440 * KIB));
    assert_eq!(process.anonymous_bytes, Some(40_960 * KIB));
    assert_eq!(process.file_backed_bytes, Some(9_216 * KIB));
    assert_eq!(process.shared_bytes, Some(1_024 * KIB));
    assert_eq!(process.swap_bytes, Some(2_048 * KIB));
    assert_eq!(process.threads, Some(12));
    assert_eq!(process.max_fds, Some(1024));
    assert_eq!(process.read_bytes, Some(323_934_931));
    assert_eq!(process.written_bytes, Some(323_929_600));
    assert_eq!(process.storage_read_bytes, Some(4096));
    assert_eq!(process.storage_written_bytes, Some(323_932_160));
}

fn total_seconds(stalls: &Option<Stalls>) -> Option<f64> {
    stalls.as_ref()?.some.as_ref()?.total_seconds
}

#[test]
fn a_container_of_the_unified_hierarchy() {
    let (process, failures) = read("cgroup2-container");
    assert_eq!(failures, 0);
    check_process(&process);
    let mut cgroup = process.cgroup.unwrap();
    let pressure = cgroup.pressure.take().unwrap();
    let expected = Cgroup {
        version: Some(2),
        memory_bytes: Some(104_857_600),
        memory_high_bytes: None,
        memory_max_bytes: Some(268_435_456),
        oom_kills: Some(1),
        cpu_periods: Some(400),
        cpu_throttled_periods: Some(37),
        cpu_throttled_seconds: Some(1.5),
        pressure: None,
    };
    assert_eq!(cgroup, expected);
    assert_eq!(total_seconds(&pressure.cpu), Some(7.503555));
    assert_eq!(total_seconds(&pressure.memory), Some(0.0));
    assert_eq!(total_seconds(&pressure.io), Some(2.0));
    assert_eq!(process.system_pressure, None, "the group's own is the one that matters");
}

#[test]
fn a_service_is_bound_by_the_limit_of_a_slice_above_it() {
    let (process, failures) = read("cgroup2-service");
    assert_eq!(failures, 0);
    check_process(&process);
    let cgroup = process.cgroup.unwrap();
    assert_eq!(cgroup.memory_bytes, Some(52_428_800), "its own, not the slice's");
    assert_eq!(cgroup.memory_high_bytes, Some(400_000_000));
    assert_eq!(cgroup.memory_max_bytes, Some(1_073_741_824));
    assert_eq!(cgroup.oom_kills, Some(0));
    assert_eq!(cgroup.cpu_periods, None, "no limit on processor time");
    assert_eq!(total_seconds(&cgroup.pressure.unwrap().cpu), Some(0.000001));
}

#[test]
fn a_container_of_the_older_hierarchies() {
    let (process, failures) = read("cgroup1-container");
    assert_eq!(failures, 0);
    check_process(&process);
    let expected = Cgroup {
        version: Some(1),
        memory_bytes: Some(73_400_320),
        memory_high_bytes: None,
        memory_max_bytes: Some(134_217_728),
        oom_kills: Some(4),
        cpu_periods: Some(90),
        cpu_throttled_periods: Some(9),
        cpu_throttled_seconds: Some(2.5),
        pressure: None,
    };
    assert_eq!(process.cgroup, Some(expected));
    assert_eq!(total_seconds(&process.system_pressure.unwrap().io), Some(4.0));
}

#[test]
fn both_hierarchies_at_once() {
    let (process, failures) = read("cgroup-hybrid");
    assert_eq!(failures, 0);
    let cgroup = process.cgroup.unwrap();
    assert_eq!(cgroup.version, Some(1));
    assert_eq!(cgroup.memory_bytes, Some(5_000_000));
    assert_eq!(cgroup.memory_max_bytes, Some(1_000_000_000));
    assert_eq!(cgroup.pressure, None);
}

#[test]
fn no_control_groups_are_no_failure() {
    let (process, failures) = read("cgroup-none");
    assert_eq!(failures, 0);
    check_process(&process);
    assert_eq!(process.cgroup, None);
    assert_eq!(process.system_pressure, None);
}

#[test]
fn without_proc_everything_is_absent_and_counted() {
    let (process, failures) = read("no-proc");
    assert_eq!(process, Process::default());
    // The status and the limits; other files are optional.
    assert_eq!(failures, 2);
}

#[test]
fn of_files_cut_short_the_whole_lines_stand() {
    let (process, failures) = read("truncated");
    assert_eq!(process.virtual_bytes, Some(912_340 * 1024));
    assert_eq!(process.peak_resident_bytes, Some(61_440 * 1024));
    assert_eq!(process.resident_bytes, None, "the line is cut in the middle of its number");
    assert_eq!(process.read_bytes, None);
    assert_eq!(process.max_fds, None);
    let cgroup = process.cgroup.unwrap();
    assert_eq!(cgroup.memory_bytes, None);
    assert_eq!(cgroup.memory_max_bytes, Some(268_435_456));
    assert_eq!(cgroup.cpu_periods, Some(400));
    assert_eq!(cgroup.cpu_throttled_periods, None);
    assert_eq!(cgroup.pressure, None);
    // status, io, limits, memory.current, memory.high, cpu.stat, cpu.pressure
    assert_eq!(failures, 7);
}

#[test]
fn of_unknown_formats_nothing_is_believed() {
    let (process, failures) = read("unknown");
    assert_eq!(process, Process::default());
    // status, io, limits, memory.current, .max, .high, .events, .pressure, cpu.stat
    assert_eq!(failures, 9);
}

#[test]
fn what_overflows_is_absent_and_the_rest_stands() {
    let (process, failures) = read("overflow");
    assert_eq!(process.virtual_bytes, None);
    assert_eq!(process.anonymous_bytes, None);
    assert_eq!(process.resident_bytes, Some(51_200 * 1024));
    assert_eq!(process.read_bytes, None);
    assert_eq!(process.written_bytes, Some(323_929_600));
    assert_eq!(process.max_fds, None, "unlimited");
    let cgroup = process.cgroup.unwrap();
    assert_eq!(cgroup.memory_bytes, None);
    assert_eq!(cgroup.memory_max_bytes, Some(268_435_456));
    // status, io, memory.current; a limit of "unlimited" is in order
    assert_eq!(failures, 3);
}

#[test]
fn a_process_that_is_moved_is_found_again() {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("proc/self/mountinfo", "30 24 0:26 / /cgroups rw - cgroup2 cgroup2 rw\n");
    write("cgroups/a/memory.current", "1\n");
    write("cgroups/b/memory.current", "2\n");
    let mut reader =
        Reader { files: Files::new(root.path().to_str().unwrap()), ..Reader::default() };
    for (group, bytes) in [("a", 1), ("b", 2), ("a", 1)] {
        write("proc/self/cgroup", &format!("0::/{group}\n"));
        let cgroup = reader.read_files().cgroup.unwrap();
        assert_eq!(cgroup.memory_bytes, Some(bytes), "{group}");
    }
}

#[test]
fn this_machine_is_understood() {
    let mut reader = Reader::default();
    let process = reader.read();
    assert_eq!(reader.files.failures, 0, "{process:?}");
    assert_ne!(process.system_pressure, Some(Pressure::default()));
    // The test itself may run without a group.
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if groups.contains(":memory:") {
        assert!(process.cgroup.as_ref().is_some_and(|cgroup| cgroup.memory_bytes > Some(0)));
    }
}

#[test]
fn the_start_is_the_twenty_second_field_whatever_the_name_holds() {
    let stat = b"7 (a) b (c)\n) S 1 7 7 0 -1 4194560 10 0 0 0 1 2 0 0 20 0 1 0 8887 3060 431\n";
    assert_eq!(start_ticks(stat), Some(8887));
    assert_eq!(start_ticks(b"7 (a) S 1\n"), None);
    assert_eq!(start_ticks(b""), None);
}

#[test]
fn ticks_are_those_of_this_machine() {
    let auxv = std::fs::read("/proc/self/auxv").unwrap();
    let getconf = std::process::Command::new("getconf").arg("CLK_TCK").output().unwrap();
    let expected = String::from_utf8(getconf.stdout).unwrap().trim().parse().ok();
    assert_eq!(ticks_per_second(&auxv), expected);
    assert_eq!(ticks_per_second(&auxv[..8]), None);
}
