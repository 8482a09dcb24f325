//! `memstats` of a program without the hook: complete, and zero where nothing can be known.

use expvar::memstats::read_now;

#[test]
fn what_cannot_be_known_is_zero() {
    let stats = read_now();
    assert_eq!(expvar::alloc::counts(), None);
    assert_eq!((stats.alloc, stats.heap_alloc, stats.total_alloc), (0, 0, 0));
    assert_eq!((stats.mallocs, stats.frees, stats.heap_objects), (0, 0, 0));
    assert!(stats.by_size.iter().all(|class| class.mallocs == 0 && class.frees == 0));
    assert_eq!(stats.by_size[60].size, 18_432);
}

#[test]
#[cfg(target_os = "linux")]
fn what_the_system_knows_is_there() {
    let stats = read_now();
    let process = expvar::process::read_now();
    assert!(
        stats.heap_inuse > 0 && stats.heap_inuse <= process.anonymous_bytes.unwrap() + (1 << 20)
    );
    assert!(stats.heap_sys >= stats.heap_inuse && stats.stack_inuse > 0 && stats.other_sys > 0);
    assert!(stats.sys <= process.virtual_bytes.unwrap());
}

/// The members of a variable that is taken apart.
#[derive(Default)]
struct Members(Vec<String>);

impl expvar::Visitor for Members {
    fn enter(&mut self, step: expvar::Step<'_>, _: &expvar::Info) {
        if let expvar::Step::Key(key) = step {
            self.0.push(key.to_owned());
        }
    }

    fn leave(&mut self) {}
}

#[test]
fn what_nobody_measures_is_in_the_json_and_in_nothing_else() {
    let json = expvar::global().get("memstats").unwrap().to_string();
    let mut members = Members::default();
    expvar::global().visit_where(|name| name == "memstats", &mut members);
    for absent in ["Alloc", "Mallocs", "HeapObjects", "NumGC", "PauseNs", "EnableGC", "BySize"] {
        assert!(json.contains(&format!("\"{absent}\":")), "{json}");
        assert!(
            !members.0.iter().any(|member| member == absent),
            "{members:?}",
            members = members.0
        );
    }
    #[cfg(target_os = "linux")]
    assert!(members.0.contains(&"HeapSys".to_owned()) && members.0.contains(&"Sys".to_owned()));
}
