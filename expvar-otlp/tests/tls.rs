//! Requests over TLS, into a server with certificates made here; by the environment's variables.
#![cfg(feature = "tls")]

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use expvar::{Counter, Registry};
use expvar_otlp::{Otlp, Tls};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection, Stream};

/// A CA with a server's and a client's certificate, as PEM files; and the server's settings.
fn certificates() -> (tempfile::TempDir, Arc<ServerConfig>) {
    let dir = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(dir.path().join("ca.pem"), ca.pem()).unwrap();
    let mut made = Vec::new();
    for (name, subject, usage) in [
        ("server", "127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth),
        ("client", "client.example", ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![subject.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &ca).unwrap();
        std::fs::write(dir.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(dir.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        made.push((certificate.der().clone(), key));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.unwrap())
        .with_single_cert(
            vec![made[0].0.clone()],
            PrivateKeyDer::from_pem_file(dir.path().join("server.key")).unwrap(),
        )
        .unwrap();
    (dir, Arc::new(config))
}

/// Answers one request, of a client that shows a certificate of ours; returns its head.
fn serve(config: Arc<ServerConfig>) -> (u16, std::thread::JoinHandle<std::io::Result<String>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        let (mut tcp, _) = listener.accept()?;
        let mut connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
        let mut tls = Stream::new(&mut connection, &mut tcp);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            tls.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).map_err(std::io::Error::other)?;
        let len = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; len.and_then(|len| len.parse().ok()).unwrap_or(0)];
        tls.read_exact(&mut body)?;
        std::io::Write::write_all(&mut tls, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        Ok(head)
    };
    (port, std::thread::spawn(serve))
}

/// It pushes once, at its end: the next boundary is in 2038.
fn once(otlp: Otlp) -> Otlp {
    let (interval, patience) = (Duration::from_secs(1 << 30), Duration::from_secs(60));
    otlp.registry(&registry()).interval(interval).timeout(patience).shutdown_timeout(patience)
}

fn registry() -> Registry {
    let registry = Registry::new();
    registry.publish("n", Counter::new()).unwrap().inc();
    registry
}

#[test]
fn a_request_goes_over_tls_with_a_client_s_certificate() {
    let (dir, config) = certificates();
    let (port, served) = serve(config);
    let path = |name: &str| dir.path().join(name);
    let tls = Tls::new()
        .ca_file(path("ca.pem"))
        .client_certificate(path("client.pem"), path("client.key"));
    let otlp = Otlp::new(format!("https://127.0.0.1:{port}")).without_env().tls(tls);
    let handle = once(otlp).spawn().unwrap();
    handle.reload_tls().unwrap();
    assert_eq!(handle.close(), Default::default());
    let head = served.join().unwrap().unwrap();
    assert!(head.starts_with("POST /v1/metrics HTTP/1.1\r\n"), "{head}");
}

#[test]
fn who_is_not_trusted_gets_nothing() {
    let (dir, config) = certificates();
    let (port, served) = serve(config);
    let tls = Tls::new().ca_file(dir.path().join("server.pem"));
    let otlp = Otlp::new(format!("https://127.0.0.1:{port}")).without_env().tls(tls);
    let (events, told) = std::sync::mpsc::channel();
    let otlp = otlp.on_event(move |event| drop(events.send(event.to_string())));
    let otlp = once(otlp).shutdown_timeout(Duration::from_secs(5));
    let (handle, push) = otlp.build().unwrap();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(push.run(std::future::ready(())))
    });
    let told = told.recv().unwrap();
    assert!(told.contains("certificate"), "{told}");
    assert!(served.join().unwrap().is_err());
    assert!(thread.join().unwrap().points > 0);
    drop(handle);
}

#[test]
fn the_environment_names_the_files() {
    let (dir, config) = certificates();
    let (port, served) = serve(config);
    let path = |name: &str| dir.path().join(name);
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "pushes_by_the_environment", "--ignored"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://127.0.0.1:{port}"))
        .env("OTEL_EXPORTER_OTLP_CERTIFICATE", path("ca.pem"))
        .env("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", path("client.pem"))
        .env("OTEL_EXPORTER_OTLP_CLIENT_KEY", path("client.key"))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc")
        .status()
        .unwrap();
    assert!(status.success());
    let head = served.join().unwrap().unwrap();
    assert!(head.contains("authorization: Bearer abc\r\n"), "{head}");
}

/// What the test above runs with another environment.
#[test]
#[ignore = "needs an environment: run by the test above"]
fn pushes_by_the_environment() {
    if std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").is_err() {
        return;
    }
    assert_eq!(once(Otlp::from_env()).spawn().unwrap().close(), Default::default());
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_at_once() {
    let tls = Tls::new().ca_file("/nowhere/ca.pem");
    let otlp = Otlp::new("https://127.0.0.1:1").without_env().tls(tls);
    let error = otlp.registry(&registry()).build().err().unwrap().to_string();
    assert!(error.contains("/nowhere/ca.pem"), "{error}");
}
