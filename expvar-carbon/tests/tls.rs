//! Lines over TLS: into a server of our own with certificates made here, and into carbon-c-relay.
#![cfg(feature = "tls")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use expvar_carbon::{Event, Lines, Sender, SenderBuilder, Tls, Unsent};
use expvar_peers::free_port;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SOON: Duration = Duration::from_secs(60);

/// A CA with a server's and a client's certificate, as PEM files.
struct Certificates {
    dir: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.path().join("ca.pem"), ca.pem()).unwrap();
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        for (name, subjects, usage) in [
            (
                "server",
                names(&["graphite.example", "127.0.0.1"]),
                ExtendedKeyUsagePurpose::ServerAuth,
            ),
            ("client", names(&["client.example"]), ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(subjects).unwrap();
            params.extended_key_usages = vec![usage];
            let certificate = params.signed_by(&key, &ca).unwrap();
            let path = |ending: &str| dir.path().join(format!("{name}.{ending}"));
            std::fs::write(path("pem"), certificate.pem()).unwrap();
            std::fs::write(path("key"), key.serialize_pem()).unwrap();
            std::fs::write(path("both"), certificate.pem() + &key.serialize_pem()).unwrap();
        }
        Self { dir }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }
}

fn chain(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect()
}

/// Reads one connection to its end, from a client that shows a certificate of ours.
fn server(certificates: &Certificates) -> (u16, std::thread::JoinHandle<std::io::Result<String>>) {
    let port = free_port();
    (port, server_at(port, certificates))
}

/// The same at a port where there was one before.
fn server_at(
    port: u16,
    certificates: &Certificates,
) -> std::thread::JoinHandle<std::io::Result<String>> {
    serve(std::net::TcpListener::bind(("127.0.0.1", port)).unwrap(), certificates, true)
}

/// Ends the connection by a message of TLS, or by closing its socket only.
fn serve(
    listener: std::net::TcpListener,
    certificates: &Certificates,
    says_goodbye: bool,
) -> std::thread::JoinHandle<std::io::Result<String>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(chain(&certificates.path("ca.pem")).remove(0)).unwrap();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.unwrap())
        .with_single_cert(
            chain(&certificates.path("server.pem")),
            PrivateKeyDer::from_pem_file(certificates.path("server.key")).unwrap(),
        )
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let serve = async move {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (stream, _) = listener.accept().await?;
        let mut stream = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        if says_goodbye {
            stream.shutdown().await?;
        }
        Ok(text)
    };
    std::thread::spawn(move || runtime.block_on(serve))
}

/// Settings for a server at this port.
fn to(port: u16, tls: Tls) -> SenderBuilder {
    Sender::builder().to(format!("tls://127.0.0.1:{port}")).tls(tls).timeout(SOON)
}

fn lines() -> Lines {
    let mut lines = Lines::new();
    for n in 0..20_000u64 {
        lines.point("over.tls", n, 1_700_000_000 + n);
    }
    lines
}

#[test]
fn both_sides_know_each_other_and_every_line_arrives() {
    let certificates = Certificates::new();
    let tls = Tls::new().ca_file(certificates.path("ca.pem"));
    let tls =
        tls.client_certificate(certificates.path("client.pem"), certificates.path("client.key"));
    // By the address, and by another name.
    for tls in [tls.clone(), tls.server_name("graphite.example")] {
        let (port, reader) = server(&certificates);
        let sender = to(port, tls).spawn().unwrap();
        sender.send(&mut lines());
        assert_eq!(sender.close(SOON), Unsent::default());
        assert_eq!(reader.join().unwrap().unwrap().as_bytes(), lines().as_bytes());
    }
}

/// As HAProxy and Python do.
#[test]
fn a_server_that_closes_without_a_goodbye_has_read_everything() {
    let certificates = Certificates::new();
    let tls = Tls::new().ca_file(certificates.path("ca.pem"));
    let tls =
        tls.client_certificate(certificates.path("client.pem"), certificates.path("client.key"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let reader = serve(listener, &certificates, false);
    let sender = to(port, tls).spawn().unwrap();
    sender.send(&mut lines());
    assert_eq!(sender.close(SOON), Unsent::default());
    assert_eq!(reader.join().unwrap().unwrap().as_bytes(), lines().as_bytes());
    let stats = sender.stats();
    assert_eq!((stats.points_resent, stats.failures), (0, 0), "{stats:?}");
}

#[test]
fn strangers_get_no_line() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let trusting = |certificates: &Certificates| Tls::new().ca_file(certificates.path("ca.pem"));
    let known = |tls: Tls| {
        tls.client_certificate(certificates.path("client.pem"), certificates.path("client.key"))
    };
    for (tls, error) in [
        (known(trusting(&others)), "certificate"),
        (known(trusting(&certificates)).server_name("other.example"), "other.example"),
        (trusting(&certificates), "ertificate"),
    ] {
        let (port, reader) = server(&certificates);
        let sender = to(port, tls).spawn().unwrap();
        sender.send(&mut lines());
        while sender.stats().failures == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let left = sender.close(Duration::ZERO);
        assert_eq!(left.points + left.unconfirmed, 20_000);
        assert!(!matches!(reader.join().unwrap(), Ok(text) if !text.is_empty()));
        let shown = sender.stats().last_error;
        assert!(shown.contains(error) || shown.contains("refused"), "{shown}");
    }
}

#[test]
fn a_certificate_that_is_not_trusted_comes_with_a_remedy() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let own = Certificates::new();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    for file in ["ca.pem", "server.pem"] {
        std::fs::write(own.path(file), &pem).unwrap();
    }
    std::fs::write(own.path("server.key"), key.serialize_pem()).unwrap();
    let trusting = |certificates: &Certificates| Tls::new().ca_file(certificates.path("ca.pem"));
    for (shown, tls, remedy) in [
        (&certificates, trusting(&others), ": give the CA file of its issuer"),
        (
            &certificates,
            trusting(&certificates).server_name("other.example"),
            ": use a name that it is for, or configure the server name",
        ),
        (&own, trusting(&own), ": it is a CA's own: give the server one with CA:FALSE"),
    ] {
        let (port, _reader) = server(shown);
        let (tell, told) = std::sync::mpsc::channel();
        let tell = move |event: &Event| drop(tell.send(event.to_string()));
        let sender = to(port, tls).on_event(tell).spawn().unwrap();
        sender.send(&mut lines());
        let away = told.recv_timeout(SOON).unwrap();
        assert!(away.contains("invalid peer certificate") && away.ends_with(remedy), "{away}");
        sender.close(Duration::ZERO);
    }
}

#[test]
fn renewed_certificates_are_taken_without_a_restart() {
    let (old, new) = (Certificates::new(), Certificates::new());
    let dir = tempfile::tempdir().unwrap();
    let path = |file: &str| dir.path().join(file);
    let install = |certificates: &Certificates| {
        for file in ["ca.pem", "client.pem", "client.key"] {
            std::fs::copy(certificates.path(file), path(file)).unwrap();
        }
    };
    install(&old);
    let tls = Tls::new().ca_file(path("ca.pem"));
    let tls = tls.client_certificate(path("client.pem"), path("client.key"));
    let (port, reader) = server(&old);
    let sender = to(port, tls).spawn().unwrap();
    sender.send(&mut lines());
    assert_eq!(sender.flush_blocking(SOON), Unsent::default());
    reader.join().unwrap().unwrap();

    // Half of it is written: the old stays.
    std::fs::write(path("client.pem"), "-----BEGIN CERT").unwrap();
    assert_eq!(sender.reload_tls().unwrap_err().field(), "tls.client_certificate");
    let reader = server_at(port, &old);
    sender.send(&mut lines());
    assert_eq!(sender.flush_blocking(SOON), Unsent::default());
    reader.join().unwrap().unwrap();

    // A server with a certificate of the new authority, after a reload.
    install(&new);
    sender.reload_tls().unwrap();
    let reader = server_at(port, &new);
    sender.send(&mut lines());
    assert_eq!(sender.close(SOON), Unsent::default());
    assert_eq!(reader.join().unwrap().unwrap().as_bytes(), lines().as_bytes());
}

#[test]
fn a_connection_made_with_old_certificates_is_renewed_when_they_are() {
    let certificates = Certificates::new();
    let tls = Tls::new().ca_file(certificates.path("ca.pem"));
    let tls =
        tls.client_certificate(certificates.path("client.pem"), certificates.path("client.key"));
    let (port, first) = server(&certificates);
    let sender = to(port, tls).spawn().unwrap();
    sender.send(&mut lines());
    while sender.stats().points_sent < 20_000 {
        std::thread::yield_now();
    }
    sender.reload_tls().unwrap();
    // Its server sees the end without a flush.
    assert_eq!(first.join().unwrap().unwrap().as_bytes(), lines().as_bytes());
}

#[test]
fn bad_files_are_named_at_construction() {
    let certificates = Certificates::new();
    let (ca, key) = (certificates.path("ca.pem"), certificates.path("server.key"));
    for (field, tls) in [
        ("tls.ca_file", Tls::new().ca_file("/nowhere/ca.pem")),
        ("tls.ca_file", Tls::new().ca_file(&key)),
        ("tls.client_certificate", Tls::new().ca_file(&ca).client_certificate(&ca, "/nowhere")),
        ("tls.client_certificate", Tls::new().ca_file(&ca).client_certificate(&ca, &key)),
        ("tls.server_name", Tls::new().ca_file(&ca).server_name("not a name")),
    ] {
        let error = Sender::builder().to("tls://h:1").tls(tls).build().err().unwrap();
        assert_eq!(error.field(), field, "{error}");
    }
}

#[test]
#[ignore = "needs carbon-c-relay (Debian; .ci/peers.sh installs it)"]
fn carbon_c_relay_takes_every_line() {
    let certificates = Certificates::new();
    let port = free_port();
    let out = certificates.path("out.txt");
    let config = format!(
        "cluster all file {} ;\nmatch * send to all stop ;\n\
         listen type linemode transport plain ssl {} 127.0.0.1:{port} proto tcp ;\n",
        out.display(),
        certificates.path("server.both").display(),
    );
    std::fs::write(certificates.path("relay.conf"), config).unwrap();
    let relay = std::process::Command::new("carbon-c-relay")
        .args(["-w", "1", "-f"])
        .arg(certificates.path("relay.conf"))
        .stdout(std::process::Stdio::null())
        .spawn();
    let mut relay = relay.expect("carbon-c-relay: run .ci/peers.sh, or apt-get install it");
    let tls = Tls::new().ca_file(certificates.path("ca.pem"));
    let sender = to(port, tls).spawn().unwrap();
    // However long the relay takes to listen: the sender tries again until it does.
    sender.send(&mut lines());
    let deadline = std::time::Instant::now() + SOON;
    let expected = lines();
    let mut got = Vec::new();
    while got.len() < expected.len() && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        got = std::fs::read(&out).unwrap_or_default();
    }
    // The relay keeps a connection that we closed for minutes, so it confirms nothing by hanging up.
    let left = sender.close(Duration::from_millis(500));
    relay.kill().unwrap();
    relay.wait().unwrap();
    assert_eq!(left.points, 0, "{left:?}: {}", sender.stats().last_error);
    assert_eq!(got, expected.as_bytes());
}
