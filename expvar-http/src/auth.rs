//! Authentication: basic or bearer credentials, compared in constant time.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use subtle::{Choice, ConstantTimeEq};

/// The credentials of which a client must send one in `Authorization`; without any, all clients are
/// admitted.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    accepted: Vec<Credential>,
    invalid: Option<&'static str>,
}

#[derive(Clone)]
struct Credential {
    scheme: Scheme,
    secret: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Scheme {
    Basic,
    Bearer,
}

impl Credentials {
    pub(crate) fn basic(&mut self, user: &str, password: &str) {
        if password.is_empty() {
            self.invalid = Some("an empty password protects nothing; give one that is not empty");
        } else if user.contains(':') {
            self.invalid = Some("a user name for basic authentication cannot hold a colon");
        }
        let secret = BASE64_STANDARD.encode(format!("{user}:{password}")).into_bytes();
        self.accepted.push(Credential { scheme: Scheme::Basic, secret });
    }

    pub(crate) fn bearer(&mut self, token: &str) {
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            self.invalid =
                Some("a bearer token is one or more visible ASCII characters without spaces");
        }
        let secret = token.as_bytes().to_vec();
        self.accepted.push(Credential { scheme: Scheme::Bearer, secret });
    }

    /// Why the configured credentials are invalid, with a remedy.
    pub(crate) fn invalid(&self) -> Option<&'static str> {
        self.invalid
    }

    /// Whether a request is authenticated. Invalid credentials admit no request.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        if self.accepted.is_empty() {
            return true;
        }
        let Some((scheme, given)) = headers.get(AUTHORIZATION).and_then(parse) else {
            return false;
        };
        let mut admitted = Choice::from(0);
        for credential in self.accepted.iter().filter(|c| c.scheme == scheme) {
            admitted |= equal(given, &credential.secret);
        }
        self.invalid.is_none() && admitted.into()
    }

    /// The values of `WWW-Authenticate`, one for each configured scheme.
    pub(crate) fn challenges(&self) -> impl Iterator<Item = HeaderValue> {
        let uses = |scheme| self.accepted.iter().any(|c| c.scheme == scheme);
        let basic = uses(Scheme::Basic).then_some(r#"Basic realm="expvar", charset="UTF-8""#);
        let bearer = uses(Scheme::Bearer).then_some(r#"Bearer realm="expvar""#);
        [basic, bearer].into_iter().flatten().map(HeaderValue::from_static)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} hidden)", self.accepted.len())
    }
}

fn parse(value: &HeaderValue) -> Option<(Scheme, &[u8])> {
    let bytes = value.as_bytes();
    let (scheme, rest) = bytes.split_at(bytes.iter().position(|&b| b == b' ')?);
    let scheme = if scheme.eq_ignore_ascii_case(b"basic") {
        Scheme::Basic
    } else if scheme.eq_ignore_ascii_case(b"bearer") {
        Scheme::Bearer
    } else {
        return None;
    };
    Some((scheme, rest.trim_ascii()))
}

/// Compares in a time that depends only on the length of `given`, which the client knows.
fn equal(given: &[u8], secret: &[u8]) -> Choice {
    let mut same = given.len().ct_eq(&secret.len());
    for (i, byte) in given.iter().enumerate() {
        same &= byte.ct_eq(secret.get(i % secret.len().max(1)).unwrap_or(&0));
    }
    same
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(credentials: &Credentials, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        credentials.admit(&headers)
    }

    #[test]
    fn basic_credentials() {
        let mut credentials = Credentials::default();
        credentials.basic("Aladdin", "open sesame");
        // RFC 7617, 2.
        assert!(admits(&credentials, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert!(admits(&credentials, "basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        for wrong in [
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZR==",
            "Basic ",
            "Basic",
            "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ] {
            assert!(!admits(&credentials, wrong), "{wrong}");
        }
        assert!(!credentials.admit(&HeaderMap::new()));
    }

    #[test]
    fn either_of_two_kinds() {
        let mut credentials = Credentials::default();
        credentials.bearer("t0ken");
        credentials.basic("a", "b");
        assert!(admits(&credentials, "Bearer t0ken"));
        assert!(admits(&credentials, "Basic YTpi"));
        assert!(!admits(&credentials, "Bearer YTpi"));
        assert_eq!(credentials.challenges().count(), 2);
    }

    #[test]
    fn an_empty_secret_lets_nobody_in() {
        let mut credentials = Credentials::default();
        credentials.bearer("");
        assert!(credentials.invalid().is_some());
        assert!(!admits(&credentials, "Bearer "));
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut credentials = Credentials::default();
        credentials.bearer("t0ken");
        assert_eq!(format!("{credentials:?}"), "Credentials(1 hidden)");
    }
}
