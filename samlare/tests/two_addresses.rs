//! An endpoint whose name has two addresses, of which the first never answers.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};

use expvar_peers::{TwoAddresses, with_hosts};

#[test]
#[ignore = "needs a mount namespace: root, or a system that lets its users have them"]
fn an_endpoint_whose_first_address_is_dead_is_polled() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = dir.path().join("hosts");
    std::fs::write(&hosts, TwoAddresses::hosts("two.addresses")).unwrap();

    let server = TwoAddresses::open();
    let (port, alive) = (server.port(), server.alive().try_clone().unwrap());
    std::thread::spawn(move || {
        for stream in alive.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 8\r\n\r\n{\"a\": 1}",
            );
        }
    });

    let config = dir.path().join("config.toml");
    let text = format!(
        "Timeout = 10000\n[[endpoint]]\nURL = \"http://two.addresses:{port}/debug/vars\"\n\
         Prefix = \"two\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let output = with_hosts(&hosts, env!("CARGO_BIN_EXE_samlare"))
        .arg("once")
        .arg(&config)
        .output()
        .expect("unshare: install util-linux");
    assert_ne!(output.status.code(), Some(124), "it has not ended");
    let lines = String::from_utf8_lossy(&output.stdout);
    assert!(lines.starts_with("two.a 1 "), "{output:?}");
}
