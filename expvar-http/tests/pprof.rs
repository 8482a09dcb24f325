//! `/debug/pprof`, read as its users read it.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::OnceLock;

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
        (server, black_box(leaks_here()))
    });
    server.local_addr()
}

/// 40 MB in blocks that are larger than the rate: the estimate is nearly exact.
#[inline(never)]
fn leaks_here() -> Vec<Vec<u8>> {
    (0..40).map(|_| black_box(vec![1; 1_000_000])).collect()
}

/// Status, headers and body.
fn get(path: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(server()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
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
fn a_difference_has_what_grew() {
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

#[test]
fn the_variable_has_the_owner_too() {
    let document: serde_json::Value = serde_json::from_slice(&get("/debug/vars").2).unwrap();
    let top = document["heap.top"].as_object().unwrap();
    let (_, site) = top.iter().find(|(name, _)| name.contains("leaks_here")).unwrap();
    assert!(site["bytes"].as_u64().unwrap() > 39_000_000, "{top:?}");
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
