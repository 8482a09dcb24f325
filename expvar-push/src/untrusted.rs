//! Remedies for certificates that are not trusted.

use std::io;

use rustls::{CertificateError, Error};

/// The error of a TLS handshake, with a remedy for the most common problems of a server's
/// certificate.
pub(crate) fn untrusted(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
    let Some(Error::InvalidCertificate(problem)) = cause else { return error };
    let remedy = match problem {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "give the CA file of its issuer"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "renew it, or set the clock"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "use a name that it is for, or configure the server name"
        }
        // `openssl req -x509` makes such certificates by default.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "it is a CA's own: give the server one with CA:FALSE"
        }
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{error}: {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_issuer_has_a_remedy() {
        let error = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let error = untrusted(io::Error::other(error));
        assert!(error.to_string().ends_with("UnknownIssuer: give the CA file of its issuer"));
    }
}
