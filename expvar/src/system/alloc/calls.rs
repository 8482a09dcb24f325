//! System calls without a safe form in the standard library.

#[cfg(all(
    feature = "process",
    any(target_os = "linux", target_os = "android", target_os = "macos")
))]
use std::mem::MaybeUninit;

#[cfg(all(feature = "process", windows))]
use windows_sys::Win32::{
    Foundation::{CloseHandle, FILETIME, INVALID_HANDLE_VALUE},
    System::Diagnostics::ToolHelp::{
        CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW,
        TH32CS_SNAPPROCESS,
    },
    System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS},
    System::Threading::{GetCurrentProcess, GetProcessHandleCount, GetProcessTimes},
};

/// Nanoseconds on one of the system's clocks, `None` for an unknown clock.
#[cfg(all(feature = "process", any(target_os = "linux", target_os = "android")))]
pub(crate) fn clock_ns(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` of our own, which the call fills or leaves alone; any
    // number may be given as clock, and an unknown one is refused.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return None;
    }
    let seconds = u64::try_from(time.tv_sec).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(u64::try_from(time.tv_nsec).ok()?)
}

/// The system's resource counts of this process.
#[cfg(all(
    feature = "process",
    any(target_os = "linux", target_os = "android", target_os = "macos")
))]
pub(crate) fn resource_usage() -> Option<libc::rusage> {
    let mut usage = MaybeUninit::zeroed();
    // SAFETY: the pointer is to memory of our own, large enough for a `rusage`.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so it is filled; and zeros are a valid `rusage` anyway.
    Some(unsafe { usage.assume_init() })
}

/// macOS's statistics of this process and its threads.
#[cfg(all(feature = "process", target_os = "macos"))]
pub(crate) fn task_info() -> Option<libc::proc_taskallinfo> {
    let mut info = MaybeUninit::<libc::proc_taskallinfo>::zeroed();
    let size = libc::c_int::try_from(size_of::<libc::proc_taskallinfo>()).ok()?;
    let process = libc::c_int::try_from(std::process::id()).ok()?;
    // SAFETY: the pointer is to memory of our own of the size that is given.
    let filled = unsafe {
        let into = info.as_mut_ptr().cast();
        libc::proc_pidinfo(process, libc::PROC_PIDTASKALLINFO, 0, into, size)
    };
    // SAFETY: the call filled it; and zeros are valid anyway.
    (filled == size).then(|| unsafe { info.assume_init() })
}

/// The limit of open files; `None` if there is none.
#[cfg(all(feature = "process", target_os = "macos"))]
pub(crate) fn open_files_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to an `rlimit` of our own, which the call fills or leaves alone.
    let read = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0;
    (read && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// Start time since 1601, kernel time and user time of this process, in units of 100 ns.
#[cfg(all(feature = "process", windows))]
pub(crate) fn process_times() -> Option<[u64; 3]> {
    let mut times = [FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 }; 4];
    let [started, ended, kernel, user] = &mut times;
    // SAFETY: the pointers are to structures of our own; the handle stands for this process.
    if unsafe { GetProcessTimes(GetCurrentProcess(), started, ended, kernel, user) } == 0 {
        return None;
    }
    let units = |time: &FILETIME| (time.dwHighDateTime as u64) << 32 | time.dwLowDateTime as u64;
    Some([units(started), units(kernel), units(user)])
}

/// Memory counters of this process.
#[cfg(all(feature = "process", windows))]
pub(crate) fn process_memory() -> Option<PROCESS_MEMORY_COUNTERS> {
    let size = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
    let mut counters = PROCESS_MEMORY_COUNTERS { cb: size, ..Default::default() };
    // SAFETY: the pointer is to a structure of our own of the size that is given.
    let read = unsafe { K32GetProcessMemoryInfo(GetCurrentProcess(), &mut counters, size) };
    (read != 0).then_some(counters)
}

/// Open handles of this process: files and every other kind.
#[cfg(all(feature = "process", windows))]
pub(crate) fn open_handles() -> Option<u32> {
    let mut handles = 0;
    // SAFETY: the pointer is to a number of our own.
    let read = unsafe { GetProcessHandleCount(GetCurrentProcess(), &mut handles) };
    (read != 0).then_some(handles)
}

/// Number of threads of this process, from a snapshot of all processes.
#[cfg(all(feature = "process", windows))]
pub(crate) fn process_threads() -> Option<u32> {
    // SAFETY: takes no pointers.
    let list = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) };
    if list == INVALID_HANDLE_VALUE {
        return None;
    }
    let mut entry =
        PROCESSENTRY32W { dwSize: size_of::<PROCESSENTRY32W>() as u32, ..Default::default() };
    let mut threads = None;
    // SAFETY: the list is open until it is closed below; the entry is our own, with its size in it.
    let mut more = unsafe { Process32FirstW(list, &mut entry) } != 0;
    while more && threads.is_none() {
        threads = (entry.th32ProcessID == std::process::id()).then_some(entry.cntThreads);
        // SAFETY: as above.
        more = unsafe { Process32NextW(list, &mut entry) } != 0;
    }
    // SAFETY: the list is ours and not used after this.
    unsafe { CloseHandle(list) };
    threads
}

/// Bytes that mimalloc has committed for the process, by its own counter; `None` if the program does
/// not allocate with it.
#[cfg(feature = "mimalloc")]
pub(crate) fn mimalloc_committed_bytes() -> Option<u64> {
    let block = Box::new(0_u8);
    // SAFETY: the call only looks the address up; any may be given.
    if !unsafe { libmimalloc_sys::mi_is_in_heap_region((&raw const *block).cast()) } {
        return None;
    }
    let mut ignored = [0_usize; 7];
    let [elapsed, user, system, resident, peak, peak_committed, faults] = &mut ignored;
    let mut committed = 0;
    // SAFETY: each of the pointers is to a `usize` of our own that the call fills.
    unsafe {
        libmimalloc_sys::mi_process_info(
            elapsed,
            user,
            system,
            resident,
            peak,
            &mut committed,
            peak_committed,
            faults,
        );
    }
    Some(committed as u64)
}
