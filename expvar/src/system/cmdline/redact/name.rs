//! Classifies names of options and fields.

/// What to expect of a name's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Meaning {
    Secret,
    /// A user name, possibly followed by a colon and a password.
    User,
    Plain,
}

/// Words that mark a name as a secret's.
const SECRET: [&str; 27] = [
    "accesskey",
    "apikey",
    "apitoken",
    "auth",
    "authkey",
    "authorization",
    "authtoken",
    "bearer",
    "cookie",
    "credential",
    "credentials",
    "creds",
    "jwt",
    "key",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "pat",
    "privatekey",
    "psk",
    "pwd",
    "secret",
    "secretkey",
    "secrets",
    "token",
    "tokens",
];

/// Suffixes that do, for words run together: `dbpassword`, `requirepass`.
const SECRET_ENDS: [&str; 8] =
    ["password", "passwd", "passphrase", "secret", "token", "apikey", "pass", "pwd"];

/// Last words of names that refer to a secret or describe it.
const POINTER: [&str; 40] = [
    "age",
    "algorithm",
    "alg",
    "audience",
    "bits",
    "command",
    "count",
    "dir",
    "directory",
    "env",
    "endpoint",
    "expiry",
    "file",
    "filename",
    "format",
    "header",
    "issuer",
    "length",
    "lifetime",
    "method",
    "mode",
    "name",
    "path",
    "policy",
    "prefix",
    "provider",
    "refresh",
    "rotation",
    "size",
    "source",
    "stdin",
    "store",
    "timeout",
    "ttl",
    "type",
    "uri",
    "url",
    "version",
    "enabled",
    "disabled",
];

/// Whether a name can contain this character.
pub(super) fn may_hold(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

pub(super) fn meaning(name: &str) -> Meaning {
    if matches!(name, "-u" | "-U" | "--user" | "--proxy-user" | "--userpwd" | "--basic-auth") {
        return Meaning::User;
    }
    let words = words(name);
    let Some(last) = words.last() else { return Meaning::Plain };
    let is_public = words.iter().any(|word| word == "public");
    if is_public || POINTER.contains(&&last[..]) {
        return Meaning::Plain;
    }
    let speaks = |word: &String| {
        let ends = |end: &&str| word.ends_with(*end) && !matches!(&word[..], "bypass" | "compass");
        SECRET.contains(&&word[..]) || SECRET_ENDS.iter().any(ends)
    };
    // `-pass` and `--pass` are passwords; single letters cannot be known to be.
    if words.iter().any(speaks) { Meaning::Secret } else { Meaning::Plain }
}

/// The lower-case words of `db-password`, `DB_PASSWORD`, `db.password` and `dbPassword`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut previous = '-';
    for c in name.chars() {
        if c.is_alphanumeric() {
            let begins = !previous.is_alphanumeric() || previous.is_lowercase() && c.is_uppercase();
            if begins {
                words.push(String::new());
            }
            words.last_mut().expect("the first letter begins a word").extend(c.to_lowercase());
        }
        previous = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for name in [
            "--password",
            "-password",
            "PASSWORD",
            "db_password",
            "dbPassword",
            "spring.db.password",
            "--pass",
            "-pass",
            "--dbpass",
            "requirepass",
            "--token",
            "ACCESS_TOKEN",
            "X-Api-Key",
            "apikey",
            "apiKey",
            "--secret",
            "client_secret",
            "AWS_SECRET_ACCESS_KEY",
            "--key",
            "signing-key",
            "Authorization",
            "Cookie",
            "--credentials",
            "PGPASSWORD",
            "--pwd",
        ] {
            assert_eq!(meaning(name), Meaning::Secret, "{name}");
        }
    }

    #[test]
    fn names_that_are_not() {
        for name in [
            "",
            "-",
            "--",
            "--port",
            "--token-file",
            "--password-file",
            "--tls-key-path",
            "--key-file",
            "--token-ttl",
            "--public-key",
            "--password-stdin",
            "--bypass",
            "--compass",
            "--keyboard",
            "--monkey",
            "--passthrough",
            "--author",
            "--tokenizer",
            "--auth-url",
            "--secret-name",
        ] {
            assert_eq!(meaning(name), Meaning::Plain, "{name}");
        }
    }
}
