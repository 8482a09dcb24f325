//! `/debug/pprof`, read as its users read it.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use expvar::alloc::Counting;
use expvar_http::Server;

#[global_allocator]
static ALLOC: Counting = Counting::new();

fn server() -> SocketAddr {
    static SERVER: OnceLock<(Server, Vec<Vec<u8>>)> = OnceLock::new();
    let (server, _) = SERVER.get_or_init(|| {
        expvar::heap::start(64 << 10);
        let server = Server::builder().spawn("127.0.0.1:0").unwrap();
        // What was drawn before the rate was set ends within these.
        drop(black_box(vec![1_u8; 1 << 20]));
        let leaks = black_box(leaks_here());
        // A busy machine takes longer to read the debug information than a profile waits for names.
        while expvar::heap::profile().unwrap().to_text().contains("ask again") {}
        (server, leaks)
    });
    server.local_addr()
}

/// 40 MB in blocks that are larger than the rate: the estimate is nearly exact.
#[inline(never)]
fn leaks_here() -> Vec<Vec<u8>> {
    (0..40).map(|_| black_box(vec![1; 1_000_000])).collect()
}

/// Status, headers and body. Four profiles of a process are made at one time: where the other tests
/// make them, it waits for its turn.
fn get(path: &str) -> (u16, String, Vec<u8>) {
    at_its_turn(|| ask(server(), &start(path), ""))
}

/// A request's first lines.
fn start(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nConnection: close\r\n")
}

/// The first answer that is not 503.
fn at_its_turn(mut ask: impl FnMut() -> (u16, String, Vec<u8>)) -> (u16, String, Vec<u8>) {
    let mut answer = ask();
    eventually("its turn", || {
        let is_busy = answer.0 == 503;
        if is_busy {
            answer = ask();
        }
        !is_busy
    });
    answer
}

/// What `start`, a request's first lines, and a body are answered.
fn ask(addr: SocketAddr, start: &str, body: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "{start}Host: localhost\r\n\r\n{body}").unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    let end = reply.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(reply[..end].to_vec()).unwrap();
    (head["HTTP/1.1 ".len()..][..3].parse().unwrap(), head, reply[end + 4..].to_vec())
}

fn text(path: &str) -> String {
    let (status, _, body) = get(path);
    assert_eq!(status, 200, "{path}");
    String::from_utf8(body).unwrap()
}

#[test]
fn text_names_the_owner() {
    let text = text("/debug/pprof/heap?debug=1");
    assert!(text.starts_with("heap profile: "), "{text}");
    assert!(text.contains("leaks_here"), "{text}");
}

#[test]
fn a_profile_is_a_compressed_download() {
    let (status, head, body) = get("/debug/pprof/heap");
    assert_eq!(status, 200);
    let head = head.to_ascii_lowercase();
    assert!(head.contains("content-type: application/octet-stream"), "{head}");
    assert!(head.contains("content-disposition: attachment; filename=\"heap\""), "{head}");
    assert!(body.starts_with(&[0x1f, 0x8b]), "gzip");
}

#[test]
fn the_pages_beside_it() {
    assert!(text("/debug/pprof/").contains("href=\"heap?debug=1\""));
    assert!(text("/debug/pprof/cmdline").contains("pprof"));
    let symbol = text("/debug/pprof/symbol?0x1+nonsense");
    assert_eq!(symbol, "num_symbols: 1\n");
    let address = leaks_here as fn() -> _ as usize + 1;
    let symbol = text(&format!("/debug/pprof/symbol?{address:#x}"));
    assert!(symbol.contains("leaks_here"), "{symbol}");
    for (path, status) in [
        ("/debug/pprof/heap?seconds=0", 400),
        ("/debug/pprof/heap?seconds=x", 400),
        ("/debug/pprof/other", 404),
        ("/debug/pprofx", 404),
    ] {
        assert_eq!(get(path).0, status, "{path}");
    }
}

#[test]
fn addresses_may_be_posted() {
    let post = |path: &str, length: &str, body: &str| {
        let start = format!("POST {path} HTTP/1.1\r\nConnection: close\r\n{length}\r\n");
        let (status, _, body) = at_its_turn(|| ask(server(), &start, body));
        (status, String::from_utf8(body).unwrap())
    };
    let plain = |path, body: &str| post(path, &format!("Content-Length: {}", body.len()), body);
    let symbol = "/debug/pprof/symbol";
    let address = leaks_here as fn() -> _ as usize + 1;
    // As Go's handler takes them: hexadecimal or decimal, with whatever is no address left out.
    let named = format!("num_symbols: 1\n{address:#x} pprof::leaks_here\n");
    for body in [format!("0x0+{address:#x}+nonsense+0x1"), address.to_string()] {
        assert_eq!(plain(symbol, &body), (200, named.clone()));
    }
    let chunks = format!("8\r\n{:#08x}\r\n1\r\n+\r\n12\r\n{address:#018x}\r\n0\r\n\r\n", 1);
    assert_eq!(post(symbol, "Transfer-Encoding: chunked", &chunks), (200, named));
    assert_eq!(plain(symbol, ""), (200, "num_symbols: 1\n".to_owned()));
    let most = 64 * 1024;
    assert_eq!(plain(symbol, &"+".repeat(most)).0, 200);
    assert_eq!(plain(symbol, &"+".repeat(most + 1)).0, 413);
    let chunks = format!("10000\r\n{}\r\n1\r\n+\r\n0\r\n\r\n", "+".repeat(most));
    assert_eq!(post(symbol, "Transfer-Encoding: chunked", &chunks).0, 413);
    for other in ["/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/", "/debug/vars"] {
        assert_eq!(plain(other, "0x1").0, 405, "{other}");
    }
}

#[test]
fn a_body_that_does_not_come_shuts_nobody_out() {
    let server = Server::builder().max_connections(4).spawn("127.0.0.1:0").unwrap();
    let half =
        "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n0x";
    let mut waiting: Vec<TcpStream> = Vec::new();
    for _ in 0..12 {
        let mut stream = TcpStream::connect(server.local_addr()).unwrap();
        stream.write_all(half.as_bytes()).unwrap();
        waiting.push(stream);
        let close = "GET /debug/vars?r=^cmdline HTTP/1.1\r\nConnection: close\r\n";
        assert_eq!(ask(server.local_addr(), close, "").0, 200, "beside {}", waiting.len());
    }
    let timeout = Duration::from_millis(300);
    let server = Server::builder().header_timeout(timeout).spawn("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(half.as_bytes()).unwrap();
    // Cut, with whatever answer or none.
    assert!(matches!(stream.read_to_end(&mut Vec::new()), Ok(0) | Err(_)));
}

/// Threads of this process that make profiles or wait for one.
#[cfg(target_os = "linux")]
fn profile_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("comm")));
    names.filter(|name| name.as_ref().is_ok_and(|name| name == "expvar-pprof\n")).count()
}

fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !happened() {
        assert!(Instant::now() < deadline, "{what} has not happened");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Differences: four of a process are waited for at one time, which a test takes all.
static DIFFERENCES: Mutex<()> = Mutex::new(());

#[test]
#[cfg(target_os = "linux")]
fn who_waits_for_a_difference_keeps_nobody_from_a_profile() {
    let _alone = DIFFERENCES.lock().unwrap_or_else(PoisonError::into_inner);
    let patience = Duration::from_millis(100);
    let server = Server::builder().shutdown_timeout(patience).spawn("127.0.0.1:0").unwrap();
    let long = start("/debug/pprof/heap?seconds=300");
    let mut waiting = Vec::new();
    // While fewer than four wait, it takes a second.
    eventually("a fifth is refused", || {
        let mut stream = TcpStream::connect(server.local_addr()).unwrap();
        write!(stream, "{long}Host: localhost\r\n\r\n").unwrap();
        waiting.push(stream);
        ask(server.local_addr(), &start("/debug/pprof/heap?seconds=1"), "").0 == 503
    });
    let profile = start("/debug/pprof/heap?debug=1");
    assert_eq!(at_its_turn(|| ask(server.local_addr(), &profile, "")).0, 200);
    server.shutdown();
    eventually("their end with the server's", || profile_threads() == 0);
}

#[test]
fn a_difference_has_what_grew() {
    let _alone = DIFFERENCES.lock().unwrap_or_else(PoisonError::into_inner);
    let asked = std::thread::spawn(|| text("/debug/pprof/heap?debug=1&seconds=1"));
    #[inline(never)]
    fn grows_meanwhile() -> Vec<u8> {
        vec![1; 100 << 10]
    }
    let mut grown = Vec::new();
    while !asked.is_finished() {
        grown.push(black_box(grows_meanwhile()));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let text = asked.join().unwrap();
    assert!(text.contains("grows_meanwhile"), "{text}");
    assert!(!text.contains("leaks_here"), "{text}");
}

#[test]
fn stacks_for_the_live_page() {
    let json: serde_json::Value =
        serde_json::from_slice(&get("/debug/pprof/heap?stacks").2).unwrap();
    let functions = json["functions"].as_array().unwrap();
    let of = |name: &str| {
        functions.iter().position(|function| function.as_str().unwrap().contains(name))
    };
    let own = of("leaks_here").unwrap() as u64;
    let has = |stack: &serde_json::Value| {
        stack[0].as_array().unwrap().iter().any(|place| place.as_u64() == Some(own))
    };
    let stacks = json["stacks"].as_array().unwrap();
    let bytes: i64 =
        stacks.iter().filter(|stack| has(stack)).map(|stack| stack[1].as_i64().unwrap()).sum();
    assert!((39_000_000..41_500_000).contains(&bytes), "{bytes}");
}

/// What the variable is shown as, once it has the owner: it may be ten seconds old.
fn shown(path: &str) -> String {
    let mut shown = String::new();
    eventually("the owner", || {
        shown = text(path);
        shown.contains("leaks_here")
    });
    shown
}

#[test]
fn the_variable_has_the_owner_too() {
    let document: serde_json::Value = serde_json::from_str(&shown("/debug/vars")).unwrap();
    let top = document["heap.top"].as_object().unwrap();
    assert!(top.len() <= 10, "{top:?}");
    // Of a closure, where debug information names it so.
    let (_, site) = top.iter().find(|(name, _)| name.contains("leaks_here")).unwrap();
    assert!((39e6..41e6).contains(&site["bytes"].as_f64().unwrap()), "{top:?}");
    assert!((39.0..44.0).contains(&site["objects"].as_f64().unwrap()), "{top:?}");
}

#[test]
fn the_variable_is_two_families_by_function() {
    let text = shown("/metrics?r=^heap[.]top$");
    for (family, least, most) in [("heap_top_bytes", 39e6, 41e6), ("heap_top_objects", 39.0, 44.0)]
    {
        let series: Vec<&str> = text.lines().filter(|line| line.starts_with(family)).collect();
        assert!((1..=10).contains(&series.len()), "{text}");
        let own = format!("{family}{{function=\"pprof::leaks_here");
        let line = series.iter().find(|line| line.starts_with(&own)).expect(&text);
        let (_, value) = line.rsplit_once("\"} ").unwrap();
        assert!((least..most).contains(&value.parse::<f64>().unwrap()), "{text}");
        assert!(text.contains(&format!("# TYPE {family} gauge\n")), "{text}");
    }
}

#[test]
fn an_independent_parser_reads_it() {
    let mut encoded = tempfile::NamedTempFile::new().unwrap();
    encoded.write_all(&get("/debug/pprof/heap").2).unwrap();
    let program = r#"
import gzip, json, sys
from pypprof import profile_pb2
profile = profile_pb2.Profile()
profile.ParseFromString(gzip.open(sys.argv[1]).read())
text = list(profile.string_table)
functions = {f.id: f for f in profile.function}
locations = {l.id: l for l in profile.location}
mappings = {m.id: m for m in profile.mapping}
assert len(functions) == len(profile.function) and len(locations) == len(profile.location)
assert text[0] == "" and len(set(text)) == len(text)
stacks = []
for sample in profile.sample:
    lines = [line for id in sample.location_id for line in locations[id].line]
    stacks.append([[text[functions[line.function_id].name] for line in lines], list(sample.value)])
    for location in (locations[id] for id in sample.location_id):
        if location.mapping_id:
            mapping = mappings[location.mapping_id]
            assert mapping.memory_start <= location.address < mapping.memory_limit
print(json.dumps({
    "types": [[text[t.type], text[t.unit]] for t in profile.sample_type],
    "default": text[profile.default_sample_type],
    "period": [profile.period, text[profile.period_type.type], text[profile.period_type.unit]],
    "time": profile.time_nanos,
    "files": sorted({text[functions[line.function_id].filename] for l in profile.location for line in l.line}),
    "unknown_fields": len(profile.UnknownFields()),
    "program": text[profile.mapping[0].filename],
    "build_id": text[profile.mapping[0].build_id],
    "stacks": stacks,
}))
"#;
    let python = parser();
    let output = Command::new(python).args(["-c", program]).arg(encoded.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let types = [
        ["alloc_objects", "count"],
        ["alloc_space", "bytes"],
        ["inuse_objects", "count"],
        ["inuse_space", "bytes"],
    ];
    assert_eq!(read["types"], serde_json::json!(types));
    assert_eq!(read["default"], "inuse_space");
    assert_eq!(read["period"], serde_json::json!([64 << 10, "space", "bytes"]));
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as f64;
    assert!((now - read["time"].as_f64().unwrap()).abs() < 600e9, "{}", read["time"]);
    assert_eq!(read["unknown_fields"], 0);
    let program = std::env::current_exe().unwrap();
    assert_eq!(read["program"], program.to_str().unwrap());
    let files = read["files"].as_array().unwrap();
    assert!(files.iter().any(|file| file.as_str().unwrap().ends_with("tests/pprof.rs")));
    let is_id = |id: &str| id.is_empty() || id.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(is_id(read["build_id"].as_str().unwrap()), "{}", read["build_id"]);
    let sum = |at: usize| -> f64 {
        let stacks = read["stacks"].as_array().unwrap().iter();
        let own = stacks.filter(|stack| {
            stack[0].as_array().unwrap().iter().any(|name| name == "pprof::leaks_here")
        });
        own.map(|stack| stack[1][at].as_f64().unwrap()).sum()
    };
    // 40 blocks of a million bytes, and the list of them.
    assert!((40.0..44.0).contains(&sum(2)) && (40e6..41e6).contains(&sum(3)), "{read}");
    assert!(sum(0) >= sum(2) && sum(1) >= sum(3));
}

/// A Python that has what Google's compiler makes of pprof's `profile.proto`.
fn parser() -> std::path::PathBuf {
    let venv = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("pypprof");
    let python = venv.join("bin/python");
    let run = |program: &std::path::Path, args: &[&str]| {
        let output = Command::new(program).args(args).output();
        let remedy = "this test needs Python 3 with venv, and PyPI for pypprof and protobuf";
        let output = output.unwrap_or_else(|error| panic!("{error}: {remedy}"));
        assert!(output.status.success(), "{remedy}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    if !venv.join("ready").exists() {
        run(std::path::Path::new("python3"), &["-m", "venv", venv.to_str().unwrap()]);
        // Without what its profiler needs: the file made from `profile.proto` is all that is used.
        run(&python, &["-m", "pip", "install", "-q", "--no-deps", "pypprof==0.0.1"]);
        run(&python, &["-m", "pip", "install", "-q", "protobuf==3.20.3"]);
        std::fs::write(venv.join("ready"), "").unwrap();
    }
    python
}

#[test]
#[ignore = "needs Go (golang-go)"]
fn go_s_pprof_names_the_owner_first() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), get("/debug/pprof/heap").2).unwrap();
    let go = Command::new("go")
        .args(["tool", "pprof", "-top", "-unit=B", "-nodecount=40"])
        .arg(file.path())
        .output()
        .expect("go: .ci/peers.sh installs it");
    let out = String::from_utf8_lossy(&go.stdout);
    assert!(out.contains("Type: inuse_space"), "{out}{}", String::from_utf8_lossy(&go.stderr));
    let first = out.lines().skip_while(|line| !line.contains("flat%")).nth(1).unwrap();
    assert!(first.contains("leaks_here"), "{out}");
    let flat = first.split_whitespace().next().and_then(|b| b.strip_suffix('B')).unwrap();
    let bytes: f64 = flat.parse().unwrap();
    assert!((36e6..44e6).contains(&bytes), "{out}");
}
