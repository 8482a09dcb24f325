//! Certificates that are renewed while samlare runs: SIGHUP has them read again.

#[path = "support/program.rs"]
mod program;
#[path = "support/served.rs"]
mod served;

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use program::{Program, document, wait_for};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use served::converse;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A certificate for `localhost`, and a server's settings with it.
fn certificate() -> (String, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    (made.cert.pem(), Arc::new(config))
}

/// Serves with the certificate of the moment; a connection ends with its certificate.
async fn serve<F>(
    listener: TcpListener,
    mut shown: watch::Receiver<Arc<ServerConfig>>,
    answer: impl Fn(TlsStream<TcpStream>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = TlsAcceptor::from(shown.borrow_and_update().clone());
        let Ok(stream) = acceptor.accept(stream).await else { continue };
        let (answering, mut renewed) = (answer(stream), shown.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = answering => {}
                _ = renewed.changed() => {}
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: polls over several certificates"]
async fn carbon_and_endpoints_are_trusted_by_their_new_certificates_after_a_sighup() {
    let dir = tempfile::tempdir().unwrap();
    let (carbon_ca, own_ca) = (dir.path().join("carbon.pem"), dir.path().join("own.pem"));
    let ((carbon_pem, carbon_shown), (own_pem, own_shown)) = (certificate(), certificate());
    fs::write(&carbon_ca, carbon_pem).unwrap();
    fs::write(&own_ca, own_pem).unwrap();
    let (carbon_shows, carbon_shown) = watch::channel(carbon_shown);
    let (own_shows, own_shown) = watch::channel(own_shown);
    let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
    let [carbon, own] = listeners.map(|listener| {
        listener.set_nonblocking(true).unwrap();
        TcpListener::from_std(listener).unwrap()
    });
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = lines.clone();
    tokio::spawn(serve(carbon, carbon_shown, move |stream| {
        let kept = kept.clone();
        async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().unwrap().push(line);
            }
        }
    }));
    tokio::spawn(serve(own, own_shown, |stream| async {
        let answer = |_, mut stream: TlsStream<TcpStream>| async {
            stream.write_all(&document("{\"n\": 1}")).await.map(|()| stream)
        };
        let _ = converse(stream, answer).await;
    }));
    let config = format!(
        "Carbon = [\"tls://localhost:{}\"]\nCarbonCaFile = {carbon_ca:?}\nCaFile = {own_ca:?}\n\
         CheckInterval = 1000\nTimeout = 900\n\
         [[endpoint]]\nURL = \"https://localhost:{}/v\"\nPrefix = \"a\"\n",
        ports[0], ports[1]
    );
    let test = tokio::task::spawn_blocking(move || {
        let program = Program::start(&config);
        let count = || lines.lock().unwrap().iter().filter(|line| line.starts_with("a.n ")).count();
        wait_for("points", || (count() >= 2).then_some(()));
        // The certificates of both are renewed, and samlare knows nothing of it.
        let ((carbon_pem, carbon), (own_pem, own)) = (certificate(), certificate());
        carbon_shows.send_replace(carbon);
        own_shows.send_replace(own);
        program.wait_for_log("fetch failed");
        program.wait_for_log("destination accepts no points");
        // Read again too early: all goes on with what was there before.
        fs::write(&carbon_ca, "half").unwrap();
        fs::write(&own_ca, "half").unwrap();
        program.signal("HUP");
        wait_for("the complaints", || {
            let log = program.log();
            let named = |path: &std::path::Path| log.contains(path.to_str().unwrap());
            (named(&carbon_ca) && named(&own_ca)).then_some(())
        });
        fs::write(&carbon_ca, carbon_pem).unwrap();
        fs::write(&own_ca, own_pem).unwrap();
        program.signal("HUP");
        program.wait_for_log("destination is back");
        let before = count();
        wait_for("points again", || (count() >= before + 2).then_some(()));
        program.terminate();
    });
    tokio::time::timeout(Duration::from_secs(600), test).await.unwrap().unwrap();
}
