//! Trust in https servers: the system's roots and the user's own.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The TLS settings that trust the system's roots and, if given, the certificates in `own_ca`
/// (PEM). Made once for each file, as it is then, and shared from then on.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub fn trust(own_ca: Option<&Path>) -> io::Result<Arc<ClientConfig>> {
    type Key = Option<(PathBuf, Option<SystemTime>)>;
    type Made = Mutex<HashMap<Key, Arc<ClientConfig>>>;
    static MADE: OnceLock<Made> = OnceLock::new();
    let made = MADE.get_or_init(Made::default);
    let key: Key =
        own_ca.map(|path| (path.to_owned(), path.metadata().and_then(|file| file.modified()).ok()));
    if let Some(config) = made.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(config.clone());
    }
    let config = Arc::new(build(own_ca)?);
    made.lock().unwrap_or_else(PoisonError::into_inner).insert(key, config.clone());
    Ok(config)
}

fn build(own_ca: Option<&Path>) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    // A system without roots can still be asked over http, or with an own CA.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = own_ca {
        let mut found = 0;
        for certificate in CertificateDer::pem_file_iter(path).map_err(io::Error::other)? {
            roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
            found += 1;
        }
        if found == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it holds no PEM certificate"));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
