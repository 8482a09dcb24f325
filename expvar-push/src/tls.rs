//! TLS: trust and client identity.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::ConfigError;
use crate::untrusted::untrusted;

/// Trust and client identity for TLS connections.
///
/// Default: trusts the system's CA certificates and presents no client certificate.
///
/// ```
/// use expvar_push::Tls;
///
/// let tls = Tls::new().ca_file("/etc/ssl/carbon.pem").server_name("graphite.example.org");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Tls {
    ca: Option<PathBuf>,
    client: Option<(PathBuf, PathBuf)>,
    server_name: Option<String>,
}

impl Tls {
    /// Creates the default settings: the system's roots, no client certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts only the certificates in this PEM file.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca = Some(path.into());
        self
    }

    /// Presents this certificate chain with its private key; both are PEM files.
    pub fn client_certificate(
        mut self,
        chain: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client = Some((chain.into(), key.into()));
        self
    }

    /// Sets the name that the server's certificate must have. Default: the address's host.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    fn connector(&self) -> Result<Connector, ConfigError> {
        let name = match &self.server_name {
            None => None,
            Some(name) => Some(ServerName::try_from(name.clone()).map_err(|_| {
                ConfigError::new(
                    "tls.server_name",
                    format!("{name:?} is neither a host name nor an IP address"),
                    "write it as in the server's certificate, such as graphite.example.org",
                )
            })?),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| ConfigError::new("tls", e.to_string(), "report this"))?
            .with_root_certificates(self.roots()?);
        let config = match &self.client {
            None => builder.with_no_client_auth(),
            Some((chain, key_file)) => {
                let key = PrivateKeyDer::from_pem_file(key_file)
                    .map_err(|e| unreadable("tls.client_certificate", key_file, &e))?;
                builder
                    .with_client_auth_cert(certificates("tls.client_certificate", chain)?, key)
                    .map_err(|e| {
                    ConfigError::new(
                        "tls.client_certificate",
                        format!("{} and {}: {e}", chain.display(), key_file.display()),
                        "give a certificate chain and the private key of its first",
                    )
                })?
            }
        };
        Ok(Connector { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// A hash of the files' content; an unreadable file hashes as such.
    fn content(&self) -> u64 {
        let client = self.client.iter().flat_map(|(chain, key)| [chain, key]);
        let mut hasher = DefaultHasher::new();
        for path in self.ca.iter().chain(client) {
            std::fs::read(path).ok().hash(&mut hasher);
        }
        hasher.finish()
    }

    fn roots(&self) -> Result<RootCertStore, ConfigError> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(path) => {
                for certificate in certificates("tls.ca_file", path)? {
                    roots.add(certificate).map_err(|e| unreadable("tls.ca_file", path, &e))?;
                }
                if roots.is_empty() {
                    return Err(unreadable("tls.ca_file", path, &"it holds no certificate"));
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        if roots.is_empty() {
            return Err(ConfigError::new(
                "tls",
                "there is no root certificate to trust",
                "install the system's CA certificates or set tls.ca_file",
            ));
        }
        Ok(roots)
    }
}

fn certificates(
    field: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.collect())
        .map_err(|e| unreadable(field, path, &e))
}

fn unreadable(field: &'static str, path: &Path, error: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::new(
        field,
        format!("{}: {error}", path.display()),
        "give a PEM file that this process may read",
    )
}

/// What a `tls://` connection is made with.
///
/// ```no_run
/// use expvar_push::{Identity, Tls};
///
/// let connector = Identity::new(Tls::new())?.connector();
/// assert!(connector.name.is_none());
/// # Ok::<(), expvar_push::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Connector {
    /// Trusts and presents the files' content.
    pub connector: TlsConnector,
    /// The name that the server's certificate must have; `None` for the address's host.
    pub name: Option<ServerName<'static>>,
}

impl Connector {
    /// Makes a TLS connection over a stream to this host. Errors of the most common problems of a
    /// server's certificate name their remedy.
    ///
    /// # Errors
    /// The host is no name for a certificate, or the handshake fails.
    pub async fn connect<S>(&self, host: &str, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
        };
        self.connector.connect(name, stream).await.map_err(untrusted)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The settings with the files' content when they were last read. Clones share it.
///
/// ```no_run
/// use expvar_push::{Identity, Tls};
///
/// let identity = Identity::new(Tls::new().ca_file("/etc/ssl/carbon.pem"))?;
/// // After the file was renewed:
/// identity.reload()?;
/// # Ok::<(), expvar_push::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Identity(Arc<Read>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.0.settings).finish()
    }
}

struct Read {
    settings: Tls,
    connector: Mutex<Connector>,
    /// A hash of the files' content.
    content: AtomicU64,
    generation: AtomicU64,
}

/// Generations are unique over all settings.
static NEXT_GENERATION: AtomicU64 = AtomicU64::new(1);

impl Identity {
    /// Reads the files.
    ///
    /// # Errors
    /// A file is invalid.
    pub fn new(settings: Tls) -> Result<Self, ConfigError> {
        let content = AtomicU64::new(settings.content());
        let connector = Mutex::new(settings.connector()?);
        let generation = AtomicU64::new(NEXT_GENERATION.fetch_add(1, Relaxed));
        Ok(Self(Arc::new(Read { settings, connector, content, generation })))
    }

    /// Whether the other has the same content of the same files. The system's roots count as the
    /// same.
    pub fn is_same(&self, other: &Identity) -> bool {
        let contents = [self, other].map(|read| read.0.content.load(Relaxed));
        self.0.settings == other.0.settings && contents[0] == contents[1]
    }

    /// What to make a connection with now.
    pub fn connector(&self) -> Connector {
        self.0.connector.lock().clone()
    }

    /// A number that changes each time the files are read, unique over all settings.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Relaxed)
    }

    /// Reloads the files.
    ///
    /// # Errors
    /// A file is invalid; the previous content stays in use.
    pub fn reload(&self) -> Result<(), ConfigError> {
        let content = self.0.settings.content();
        let fresh = self.0.settings.connector()?;
        *self.0.connector.lock() = fresh;
        self.0.content.store(content, Relaxed);
        self.0.generation.store(NEXT_GENERATION.fetch_add(1, Relaxed), Relaxed);
        Ok(())
    }
}
