//! Documents over HTTP: what is kept, followed, refused and bounded.

#[path = "support/served.rs"]
mod served;

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use samlare::client::{
    Client, Failure, HeaderName, HeaderValue, Options, Target, reread_trust, trust,
};
use served::converse;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A server that answers the n-th request of a connection by a script, and tells of each one.
struct Script {
    address: SocketAddr,
    requests: mpsc::UnboundedReceiver<String>,
    connections: Arc<AtomicUsize>,
}

/// What is answered to a request, given its text; then the connection stays or is closed.
type Answer = fn(&str) -> (Vec<u8>, bool);

impl Script {
    async fn start(answer: Answer) -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, requests) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, answer, told.clone()));
            }
        });
        Script { address, requests, connections }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn client(&self, path: &str) -> Client {
        Client::new(Target::parse(&self.url(path)).unwrap(), options())
    }
}

/// Options without a timeout that a busy machine reaches.
fn options() -> Options {
    Options { timeout: Duration::from_secs(60), ..Options::new().unwrap() }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    answer: Answer,
    told: mpsc::UnboundedSender<String>,
) {
    let _ = converse(stream, |request, mut stream| {
        let (bytes, stays) = answer(&request);
        let _ = told.send(request);
        async move {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            if !stays {
                stream.shutdown().await?;
                return Err(ErrorKind::ConnectionAborted.into());
            }
            Ok(stream)
        }
    })
    .await;
}

fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

async fn get(client: &mut Client) -> Result<String, String> {
    match client.get().await {
        Ok(body) => Ok(String::from_utf8(body.bytes().to_vec()).unwrap()),
        Err(failure) => Err(failure.to_string()),
    }
}

#[tokio::test]
async fn the_connection_is_kept() {
    let script = Script::start(|_| (answer("", b"{}"), true)).await;
    let mut client = script.client("/v");
    for _ in 0..5 {
        assert_eq!(get(&mut client).await.unwrap(), "{}");
    }
    assert_eq!(script.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_no_failure() {
    // Closes without saying so, as a server does whose idle time is over.
    let script = Script::start(|_| (answer("", b"{}"), false)).await;
    let mut client = script.client("/v");
    for _ in 0..5 {
        assert_eq!(get(&mut client).await.unwrap(), "{}");
    }
    assert_eq!(script.connections.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn bodies_end_in_every_way_that_http_has() {
    let script = Script::start(|request| {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        match request.split(' ').nth(1).unwrap() {
            "/close" => (b"HTTP/1.0 200 OK\r\n\r\n{\"a\": 1}".to_vec(), false),
            "/chunked" => {
                (format!("{chunked}3;x=y\r\n{{\"a\r\n5\r\n\": 1}}\r\n0\r\n\r\n").into(), true)
            }
            "/trailers" => {
                (format!("{chunked}8\r\n{{\"a\": 1}}\r\n0\r\nX: y\r\n\r\n").into(), true)
            }
            "/interim" => {
                let interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
                ([&interim[..], &answer("", b"{\"a\": 1}")].concat(), true)
            }
            _ => (answer("", b"{\"a\": 1}"), true),
        }
    })
    .await;
    for path in ["/close", "/chunked", "/trailers", "/interim", "/length"] {
        let mut client = script.client(path);
        for _ in 0..2 {
            assert_eq!(get(&mut client).await.as_deref(), Ok("{\"a\": 1}"), "{path}");
        }
    }
    // All but the first keep their connection.
    assert_eq!(script.connections.load(Ordering::Relaxed), 6);
}

#[tokio::test]
async fn broken_answers_are_failures() {
    let script = Script::start(|request| {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        match request.split(' ').nth(1).unwrap() {
            "/short" => (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}".to_vec(), false),
            "/cut" => (format!("{chunked}64\r\n{{}}").into(), false),
            "/size" => (format!("{chunked}xyz\r\n").into(), true),
            "/line" => (format!("{chunked}2\r\n{{}}xx0\r\n\r\n").into(), true),
            "/huge" => (format!("{chunked}fffffffffffffffff\r\n").into(), true),
            "/head" => (format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(70_000)).into(), true),
            "/silent" => (Vec::new(), false),
            "/two" => (answer("Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"), true),
            "/lengths" => (answer("Content-Length: 1\r\n", b"{}"), true),
            "/te" => (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_vec(),
                true,
            ),
            "/404" => (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}".to_vec(), true),
            "/br" => (answer("Content-Encoding: br\r\n", b"{}"), true),
            "/gzip" => (answer("Content-Encoding: gzip\r\n", b"{\"not\": \"gzip at all\"}"), true),
            _ => (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), true),
        }
    })
    .await;
    for (path, expected) in [
        ("/short", "the connection broke: it ended before the answer did"),
        ("/cut", "the connection broke: it ended before the answer did"),
        (
            "/size",
            "the connection broke: its chunks are wrong: Invalid chunk size line: missing size digit",
        ),
        ("/line", "the connection broke: its chunks are wrong: Invalid chunk body CR"),
        ("/huge", "the connection broke: its chunks are wrong: invalid chunk size: overflow"),
        ("/head", "the connection broke: its head is larger than 64 KiB"),
        ("/silent", "the connection broke: it ended before the answer did"),
        ("/404", "answered with status 404"),
        ("/br", "the body cannot be decoded: it is not gzip"),
        ("/gzip", "the body cannot be decoded: invalid gzip header"),
        ("/ssh", "the connection broke: the answer is not HTTP: invalid HTTP version parsed"),
        ("/two", "the connection broke: the answer is ambiguous: it has two lengths"),
        ("/lengths", "the connection broke: the answer is not HTTP: invalid content-length parsed"),
        (
            "/te",
            "the connection broke: the answer is ambiguous: its Transfer-Encoding is not chunked",
        ),
    ] {
        assert_eq!(get(&mut script.client(path)).await.unwrap_err(), expected, "{path}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn gzip_is_taken_and_a_bomb_is_not() {
    let script = Script::start(|request| {
        assert!(request.contains("\r\nAccept-Encoding: gzip\r\n"));
        let body = match request.split(' ').nth(1).unwrap() {
            "/bomb" => gzip(&vec![b' '; 20 << 20]),
            _ => gzip(b"{\"a\": 1}"),
        };
        (answer("Content-Encoding: gzip\r\n", &body), true)
    })
    .await;
    assert_eq!(get(&mut script.client("/v")).await.unwrap(), "{\"a\": 1}");
    let failure = script.client("/bomb").get().await.err().unwrap();
    assert!(matches!(failure, Failure::TooLarge(16_777_216)), "{failure}");
}

#[tokio::test]
async fn labels_that_are_no_compression_change_nothing() {
    let script = Script::start(|request| {
        let label = request.split(' ').nth(1).unwrap()[1..].to_owned();
        (answer(&format!("Content-Encoding: {label}\r\n"), b"{}"), true)
    })
    .await;
    for label in ["utf-8", "identity", "none"] {
        assert_eq!(get(&mut script.client(&format!("/{label}"))).await.unwrap(), "{}");
    }
}

#[tokio::test]
async fn a_connection_is_kept_for_ninety_seconds() {
    let script = Script::start(|_| (answer("", b"{}"), true)).await;
    let mut client = script.client("/v");
    for until_next in [60, 90, 91, 600] {
        get(&mut client).await.unwrap();
        client.rest(Duration::from_secs(until_next));
    }
    get(&mut client).await.unwrap();
    assert_eq!(script.connections.load(Ordering::Relaxed), 3);
}

/// A server that answers the first request of its first connection. The second one it never
/// answers, or not before another connection has come, which it leaves without an answer then.
async fn forgetful(thinks: bool) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut request = [0; 4096];
        let (mut first, _) = listener.accept().await.unwrap();
        assert!(first.read(&mut request).await.unwrap() > 0);
        first.write_all(&answer("", b"1")).await.unwrap();
        assert!(first.read(&mut request).await.unwrap() > 0);
        let (mut second, _) = listener.accept().await.unwrap();
        assert!(second.read(&mut request).await.unwrap() > 0);
        let answering = if thinks { &mut first } else { &mut second };
        answering.write_all(&answer("", b"2")).await.unwrap();
        std::future::pending::<()>().await;
    });
    let options = Options { timeout: Duration::from_secs(6), ..Options::new().unwrap() };
    Client::new(Target::parse(&url).unwrap(), options)
}

#[tokio::test]
async fn a_connection_that_somebody_has_forgotten_is_no_failure() {
    let mut client = forgetful(false).await;
    assert_eq!(get(&mut client).await.unwrap(), "1");
    assert_eq!(get(&mut client).await.unwrap(), "2");
}

#[tokio::test]
async fn an_endpoint_that_thinks_is_not_forgotten() {
    let mut client = forgetful(true).await;
    assert_eq!(get(&mut client).await.unwrap(), "1");
    assert_eq!(get(&mut client).await.unwrap(), "2");
}

#[tokio::test]
async fn a_length_is_bounded_and_not_believed() {
    let script = Script::start(|request| match request.split(' ').nth(1).unwrap() {
        "/announced" => (b"HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\n".to_vec(), true),
        "/endless" => {
            ([b"HTTP/1.1 200 OK\r\n\r\n", vec![b' '; 17 << 20].as_slice()].concat(), true)
        }
        _ => (answer("", &vec![b' '; 16 << 20]), true),
    })
    .await;
    for path in ["/announced", "/endless"] {
        let failure = script.client(path).get().await.err().unwrap();
        assert!(matches!(failure, Failure::TooLarge(16_777_216)), "{path}: {failure}");
    }
    assert_eq!(script.client("/full").get().await.unwrap().bytes().len(), 16 << 20);
}

#[tokio::test]
async fn the_whole_request_is_bounded_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = answer("", &[b' '; 1000]).into_iter();
        loop {
            // A byte now and then never lets a timeout of single reads end.
            stream.write_all(&[bytes.next().unwrap()]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let timeout = Duration::from_millis(200);
    let options = Options { timeout, ..Options::new().unwrap() };
    let mut client = Client::new(Target::parse(&url).unwrap(), options);
    let began = Instant::now();
    assert_eq!(get(&mut client).await.unwrap_err(), "no whole answer within 200 ms");
    assert!(began.elapsed() >= timeout);
}

#[tokio::test]
async fn redirects_are_followed_ten_times_and_keep_secrets_at_home() {
    let mut other = Script::start(|_| (answer("", b"{\"b\": 2}"), true)).await;
    let mut script = Script::start(|request| {
        let path = request.split(' ').nth(1).unwrap();
        let to = match path {
            "/here" => "/v".to_owned(),
            "/loop" => "/loop".to_owned(),
            "/file" => "file:///etc/passwd".to_owned(),
            other if other.starts_with("/to?") => other["/to?".len()..].to_owned(),
            _ => return (answer("", b"{\"a\": 1}"), true),
        };
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        (head.into_bytes(), true)
    })
    .await;
    let address = script.address;
    let client = |path: &str| {
        let url = format!("http://user:secret@{address}{path}");
        let mut options = options();
        options.headers.insert(HeaderName::from_static("x-key"), HeaderValue::from_static("k"));
        Client::new(Target::parse(&url).unwrap(), options)
    };
    assert_eq!(get(&mut client("/here")).await.unwrap(), "{\"a\": 1}");
    for _ in 0..2 {
        let request = script.requests.recv().await.unwrap();
        assert!(request.contains("\r\nAuthorization: Basic dXNlcjpzZWNyZXQ=\r\n"), "{request}");
        assert!(request.contains("\r\nX-Key: k\r\n"), "{request}");
    }
    assert_eq!(script.connections.load(Ordering::Relaxed), 1);

    let away = format!("/to?{}", other.url("/v"));
    assert_eq!(get(&mut client(&away)).await.unwrap(), "{\"b\": 2}");
    let request = other.requests.recv().await.unwrap();
    assert!(!request.contains("Authorization") && !request.contains("X-Key"), "{request}");

    let stays = |path: &str| {
        let options = Options { leaves_host: false, ..options() };
        Client::new(Target::parse(&format!("http://{address}{path}")).unwrap(), options)
    };
    assert_eq!(get(&mut stays("/here")).await.unwrap(), "{\"a\": 1}");
    assert_eq!(
        get(&mut stays(&away)).await.unwrap(),
        "{\"b\": 2}",
        "another port is no other host"
    );
    let failed = "the redirect is not followed: it leads to another host, and \
                  RedirectsToOtherHosts is false";
    let elsewhere = format!("/to?http://localhost:{}/v", other.address.port());
    assert_eq!(get(&mut stays(&elsewhere)).await.unwrap_err(), failed);

    while script.requests.try_recv().is_ok() {}
    let failed = "the redirect is not followed: there were ten before it";
    assert_eq!(get(&mut client("/loop")).await.unwrap_err(), failed);
    assert_eq!(std::iter::from_fn(|| script.requests.try_recv().ok()).count(), 11);
    let failed = "the redirect is not followed: its location is neither http nor https";
    assert_eq!(get(&mut client("/file")).await.unwrap_err(), failed);
}

#[tokio::test]
async fn a_bearer_token_is_read_anew_for_each_request() {
    let mut script = Script::start(|_| (answer("", b"{}"), true)).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let options = Options { bearer_token_file: Some(path.clone()), ..options() };
    let mut client = Client::new(Target::parse(&script.url("/v")).unwrap(), options);
    let missing = get(&mut client).await.unwrap_err();
    assert!(missing.starts_with("cannot read BearerTokenFile: "), "{missing}");
    for token in ["one", "two"] {
        std::fs::write(&path, format!("{token}\n")).unwrap();
        get(&mut client).await.unwrap();
        let request = script.requests.recv().await.unwrap();
        assert!(request.contains(&format!("\r\nAuthorization: Bearer {token}\r\n")), "{request}");
    }
}

#[tokio::test]
async fn a_unix_socket_is_asked_like_a_host() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let (told, mut requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, |_| (answer("", b"{}"), true), told).await;
    });
    let target = Target::parse(&format!("unix://{}", path.display())).unwrap();
    let mut client = Client::new(target, options());
    for _ in 0..2 {
        assert_eq!(get(&mut client).await.unwrap(), "{}");
        let request = requests.recv().await.unwrap();
        assert!(
            request.starts_with("GET /debug/vars HTTP/1.1\r\nHost: localhost\r\n"),
            "{request}"
        );
    }
}

/// A certificate for a name, and a server's settings with it.
fn certificate(name: &str) -> (String, Arc<rustls::ServerConfig>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    (made.cert.pem(), Arc::new(config))
}

/// An https server that shows what the settings hold when a connection comes.
async fn https(
    shown: Arc<std::sync::Mutex<Arc<rustls::ServerConfig>>>,
    answer: Answer,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let _requests = requests;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = tokio_rustls::TlsAcceptor::from(shown.lock().unwrap().clone());
            let told = told.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, answer, told).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn https_trusts_an_own_ca_and_nobody_unknown() {
    fn redirecting(request: &str) -> (Vec<u8>, bool) {
        if request.starts_with("GET /down ") {
            let head =
                "HTTP/1.1 302 Found\r\nLocation: http://localhost/\r\nContent-Length: 0\r\n\r\n";
            return (head.into(), true);
        }
        (answer("", b"{}"), true)
    }
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let (pem, shown) = certificate("localhost");
    std::fs::write(&ca, pem).unwrap();
    let shown = Arc::new(std::sync::Mutex::new(shown));
    let port = https(shown.clone(), redirecting).await.port();
    let client = |path: &str, ca: Option<&std::path::Path>| {
        let url = format!("https://localhost:{port}{path}");
        let options = Options { tls: trust(ca).unwrap(), ..options() };
        Client::new(Target::parse(&url).unwrap(), options)
    };
    let mut trusting = client("/v", Some(&ca));
    for _ in 0..3 {
        assert_eq!(get(&mut trusting).await.unwrap(), "{}");
    }
    let unknown = get(&mut client("/v", None)).await.unwrap_err();
    assert!(unknown.ends_with("UnknownIssuer: give the CA file of its issuer"), "{unknown}");
    assert_eq!(
        get(&mut client("/down", Some(&ca))).await.unwrap_err(),
        "the redirect is not followed: it leads from https to http"
    );

    // Another certificate is trusted once the file is read again; the kept connection goes on
    // until then, and not after it.
    let (pem, fresh) = certificate("localhost");
    *shown.lock().unwrap() = fresh;
    assert_eq!(get(&mut trusting).await.unwrap(), "{}");
    let unknown = get(&mut client("/v", Some(&ca))).await.unwrap_err();
    assert!(unknown.contains("BadSignature") || unknown.contains("UnknownIssuer"), "{unknown}");
    std::fs::write(&ca, "none").unwrap();
    let failed = reread_trust();
    assert_eq!(failed.iter().map(|(path, _)| path).collect::<Vec<_>>(), [&ca]);
    assert_eq!(get(&mut trusting).await.unwrap(), "{}");
    std::fs::write(&ca, pem).unwrap();
    assert!(reread_trust().is_empty());
    for client in [&mut trusting, &mut client("/v", Some(&ca))] {
        assert_eq!(get(client).await.unwrap(), "{}");
    }
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_asked_or_tunnelled_through() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let (pem, shown) = certificate("vars.invalid");
    std::fs::write(&ca, pem).unwrap();
    let shown = Arc::new(std::sync::Mutex::new(shown));
    let secured = https(shown, |_| (answer("", b"{\"tunnelled\": 1}"), true)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let (told, mut asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let told = told.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut request).await.unwrap();
                }
                let request = String::from_utf8(request).unwrap();
                let tunnels = request.starts_with("CONNECT ");
                told.send(request).unwrap();
                if tunnels {
                    stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
                    let mut behind = tokio::net::TcpStream::connect(secured).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
                } else {
                    stream.write_all(&answer("", b"{\"asked\": 2}")).await.unwrap();
                }
            });
        }
    });
    let config = dir.path().join("config.toml");
    let text = format!(
        "CaFile = {ca:?}\n[[endpoint]]\nURL = \"http://vars.invalid/v?a=1\"\nPrefix = \"http\"\n\
         [[endpoint]]\nURL = \"https://vars.invalid/v\"\nPrefix = \"https\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_samlare"))
        .args(["once", config.to_str().unwrap()])
        .env("http_proxy", format!("http://user:p%40ss@{proxy}"))
        .env("HTTPS_PROXY", proxy.to_string())
        .env("NO_PROXY", "other.invalid")
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.contains("http.asked 2 ") && lines.contains("https.tunnelled 1 "), "{lines}");
    let mut asked = [asked.recv().await.unwrap(), asked.recv().await.unwrap()];
    asked.sort();
    assert!(asked[0].starts_with("CONNECT vars.invalid:443 HTTP/1.1\r\n"), "{asked:?}");
    assert!(
        asked[1].starts_with("GET http://vars.invalid/v?a=1 HTTP/1.1\r\nHost: vars.invalid\r\n")
            && asked[1].contains("\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n"),
        "{asked:?}"
    );
}
