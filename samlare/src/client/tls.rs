//! Trust for https: the system's roots and the user's own.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use xxhash_rust::xxh64::Xxh64;

/// A trust setting; clones follow [`reread_trust`].
#[derive(Clone, Debug)]
pub struct Trust(Arc<RwLock<Made>>);

/// The TLS settings of new connections, and a hash of their certificates.
#[derive(Clone, Debug)]
struct Made {
    config: Arc<ClientConfig>,
    of: u64,
}

impl Trust {
    /// The settings of new connections.
    pub(super) fn current(&self) -> Arc<ClientConfig> {
        self.made().config
    }

    fn made(&self) -> Made {
        self.0.read().clone()
    }
}

/// By the file of additional certificates.
type Known = Mutex<HashMap<Option<PathBuf>, Trust>>;

fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(Known::default)
}

/// Trusts the system's roots and, if given, the certificates in `own_ca` (PEM). There is one value
/// for each file.
///
/// # Errors
/// The file cannot be read or has no certificate.
pub fn trust(own_ca: Option<&Path>) -> io::Result<Trust> {
    let mut known = known().lock();
    let key = own_ca.map(Path::to_owned);
    if let Some(trust) = known.get(&key) {
        return Ok(trust.clone());
    }
    let trust = Trust(Arc::new(RwLock::new(build(own_ca)?)));
    known.insert(key, trust.clone());
    Ok(trust)
}

/// Reloads all certificates in use, for new connections. Returns the files that are invalid, with
/// the reason; their previous content stays trusted.
pub fn reread_trust() -> Vec<(PathBuf, io::Error)> {
    let mut known = known().lock();
    known.retain(|_, trust| Arc::strong_count(&trust.0) > 1);
    let mut failed = Vec::new();
    for (path, trust) in known.iter() {
        match build(path.as_deref()) {
            Ok(fresh) if fresh.of == trust.made().of => {}
            Ok(fresh) => *trust.0.write() = fresh,
            Err(error) => failed.extend(path.clone().map(|path| (path, error))),
        }
    }
    failed
}

fn build(own_ca: Option<&Path>) -> io::Result<Made> {
    let mut roots = RootCertStore::empty();
    let mut of = Xxh64::new(0);
    // A system without roots can still use http, or its own CA.
    let native = rustls_native_certs::load_native_certs().certs;
    native.iter().for_each(|certificate| of.update(certificate));
    roots.add_parsable_certificates(native);
    if let Some(path) = own_ca {
        let mut found = 0;
        for certificate in CertificateDer::pem_file_iter(path).map_err(io::Error::other)? {
            let certificate = certificate.map_err(io::Error::other)?;
            of.update(&certificate);
            roots.add(certificate).map_err(io::Error::other)?;
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
    Ok(Made { config: Arc::new(config), of: of.digest() })
}
