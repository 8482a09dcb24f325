//! Go's memory statistics, as its `expvar` shows them.

const FIELDS: [&str; 24] = [
    "Alloc",
    "TotalAlloc",
    "Sys",
    "Lookups",
    "Mallocs",
    "Frees",
    "HeapAlloc",
    "HeapSys",
    "HeapIdle",
    "HeapInuse",
    "HeapReleased",
    "HeapObjects",
    "StackInuse",
    "StackSys",
    "MSpanInuse",
    "MSpanSys",
    "MCacheInuse",
    "MCacheSys",
    "BuckHashSys",
    "GCSys",
    "OtherSys",
    "NextGC",
    "LastGC",
    "PauseTotalNs",
];

/// An object with all fields and arrays of a real one, whose numbers grow with `grown`.
pub fn memstats(grown: u64) -> String {
    let field = |(at, name)| format!("\"{name}\":{}", 1_234_567 * (at as u64 + 1) + grown * 10);
    let fields: Vec<String> = FIELDS.into_iter().enumerate().map(field).collect();
    let size = |class: u64| {
        let (mallocs, frees) = (class * 977 + grown, class * 431 + grown);
        format!("{{\"Size\":{},\"Mallocs\":{mallocs},\"Frees\":{frees}}}", class * 16)
    };
    let sizes: Vec<String> = (0..61).map(size).collect();
    let zeros = vec!["0"; 256].join(",");
    format!(
        "{{{},\"PauseNs\":[{zeros}],\"PauseEnd\":[{zeros}],\"NumGC\":7,\"NumForcedGC\":0,\
         \"GCCPUFraction\":0.00012,\"EnableGC\":true,\"DebugGC\":false,\"BySize\":[{}]}}",
        fields.join(","),
        sizes.join(",")
    )
}
