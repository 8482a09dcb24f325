//! Finds secrets among a program's arguments.

mod name;

use name::Meaning;

const REDACTED: &str = "[redacted]";

/// Processes arguments in order, because a value can follow its name as the next argument.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    /// What the previous word announced.
    awaited: Option<Awaited>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Awaited {
    /// The next word, or the whole next argument, is a secret.
    Secret,
    /// The next is a user's name; after a colon, the password.
    User,
}

/// Authentication schemes that precede the secret in a header.
const SCHEMES: [&str; 6] = ["basic", "bearer", "digest", "negotiate", "token", "apikey"];

impl Redactor {
    pub(super) fn argument(&mut self, argument: &str) -> String {
        let awaited = self.awaited.take();
        // This looks like a long option, so the previous option was a switch without a value.
        if awaited == Some(Awaited::Secret) && !argument.starts_with("--") {
            if !is_scheme(argument) {
                return keep_scheme(argument);
            }
            self.awaited = awaited;
            return argument.to_owned();
        }
        if awaited == Some(Awaited::User) && !argument.starts_with('-') {
            return credentials(argument);
        }
        // An option's value may contain spaces; elsewhere they separate words, as in `sh -c "…"`.
        if let Some((name, _)) = argument.split_once('=')
            && name.starts_with('-')
            && !name.contains(char::is_whitespace)
        {
            match name::meaning(name) {
                Meaning::Secret => return format!("{name}={REDACTED}"),
                Meaning::User => {
                    return format!("{name}={}", credentials(&argument[name.len() + 1..]));
                }
                Meaning::Plain => {}
            }
        }
        let mut shown = String::with_capacity(argument.len());
        let mut single = true;
        for piece in argument.split_inclusive(char::is_whitespace) {
            let word = piece.trim_end_matches(char::is_whitespace);
            shown.push_str(&self.word(word));
            shown.push_str(&piece[word.len()..]);
            single &= word.len() == piece.len();
        }
        // A name at the end of a phrase announces nothing for the next argument.
        if !single && !argument.starts_with('-') && !argument.trim_end().ends_with(':') {
            self.awaited = None;
        }
        shown
    }

    /// A run of characters without whitespace.
    fn word(&mut self, word: &str) -> String {
        if word.is_empty() {
            return String::new();
        }
        match self.awaited.take() {
            Some(Awaited::Secret) if is_scheme(word) => {
                self.awaited = Some(Awaited::Secret);
                return word.to_owned();
            }
            Some(Awaited::Secret) if !word.starts_with("--") => return redact_to_quote(word),
            Some(Awaited::User) if !word.starts_with('-') => return credentials(word),
            _ => {}
        }
        if word.starts_with('-') && !word.contains(['=', ':']) {
            self.awaited = match name::meaning(word) {
                Meaning::Secret => Some(Awaited::Secret),
                Meaning::User => Some(Awaited::User),
                Meaning::Plain => None,
            };
        }
        let shown = url_passwords(word);
        let shown = self.assignments(&shown);
        known_forms(&shown)
    }

    /// `name=value` and `name:value`, alone or in a list separated by `&`, `;`, `,` and the like.
    fn assignments(&mut self, word: &str) -> String {
        let mut shown = String::with_capacity(word.len());
        let mut rest = word;
        while let Some(at) = rest.find(['=', ':']) {
            let (before, after) = rest.split_at(at);
            let opened = after[1..].len() - after[1..].trim_start_matches(['"', '\'', '\\']).len();
            let (sign, value) = after.split_at(1 + opened);
            shown.push_str(before);
            shown.push_str(sign);
            let name = before.rsplit(|c: char| !name::may_hold(c)).find(|name| !name.is_empty());
            let is_url = value.starts_with("//");
            if !is_url && name.is_some_and(|name| name::meaning(name) == Meaning::Secret) {
                let end = value_end(value, &sign[1..]);
                if end == 0 {
                    // `Authorization: Bearer …`: the value is in the following words.
                    self.awaited = Some(Awaited::Secret);
                } else if is_scheme(&value[..end]) {
                    self.awaited = Some(Awaited::Secret);
                    shown.push_str(&value[..end]);
                } else if value.starts_with(REDACTED) {
                    shown.push_str(&value[..end]);
                } else {
                    shown.push_str(REDACTED);
                }
                rest = &value[end..];
            } else {
                rest = value;
            }
        }
        shown.push_str(rest);
        shown
    }
}

/// The end of a value: the quote that opened it, or the next place for a name.
fn value_end(value: &str, quote: &str) -> usize {
    let end = match quote.chars().last() {
        Some(quote) => value.find(quote),
        None => value.find(['&', ';', ',', '"', '\'', '}']),
    };
    let end = end.unwrap_or(value.len());
    end - (value[..end].len() - value[..end].trim_end_matches('\\').len())
}

fn is_scheme(word: &str) -> bool {
    let word = word.trim_matches(['"', '\'']);
    SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// Redacts a whole argument, except for a leading authentication scheme.
fn keep_scheme(argument: &str) -> String {
    match argument.split_once(' ') {
        Some((scheme, _)) if is_scheme(scheme) => format!("{scheme} {REDACTED}"),
        _ => REDACTED.to_owned(),
    }
}

/// Keeps the closing quote after a secret.
fn redact_to_quote(word: &str) -> String {
    const QUOTES: [char; 2] = ['"', '\''];
    const BEHIND: [char; 5] = ['"', '\'', '}', ';', ')'];
    let opened = word.len() - word.trim_start_matches(QUOTES).len();
    let end = word.trim_end_matches(BEHIND).len().max(opened);
    format!("{}{REDACTED}{}", &word[..opened], &word[end..])
}

/// `user:password` with the password redacted.
fn credentials(word: &str) -> String {
    match word.split_once(':') {
        Some((user, password)) if !password.is_empty() => format!("{user}:{REDACTED}"),
        _ => word.to_owned(),
    }
}

/// Redacts passwords in `scheme://user:password@host`, any number in a word.
fn url_passwords(word: &str) -> String {
    let mut shown = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        // A password with a bare slash makes the URL invalid, but is common. So the last `@` before
        // the next URL counts, unless a query or another word begins before it.
        let url = &after[..after.find("://").unwrap_or(after.len())];
        let authority = &url[..url.find(['?', '"', '\'', ',', '|', '<', '>']).unwrap_or(url.len())];
        let end = match authority.find('/').filter(|slash| !authority[..*slash].contains('@')) {
            // No `@` before the slash: with a port, this is a host followed by a path.
            Some(slash) if is_host(&authority[..slash]) => slash,
            _ => authority.len(),
        };
        rest = after;
        let Some(sign) = authority[..end].rfind('@') else { continue };
        match authority[..sign].split_once(':') {
            Some((user, password)) if !password.is_empty() => {
                shown.push_str(user);
                shown.push(':');
                shown.push_str(REDACTED);
            }
            // A single long word before `@` is a token.
            None if sign >= 20 => shown.push_str(REDACTED),
            _ => shown.push_str(&authority[..sign]),
        }
        rest = &after[sign..];
    }
    shown.push_str(rest);
    shown
}

/// `host`, `host:80`, `[::1]:80`: whether a password can be excluded.
fn is_host(text: &str) -> bool {
    match text.rsplit_once(':') {
        None => true,
        Some((host, port)) => {
            port.bytes().all(|byte| byte.is_ascii_digit())
                && (!host.contains(':') || host.starts_with('['))
        }
    }
}

/// Prefixes of recognizable secrets, and their minimum lengths.
const FORMS: [(&str, usize); 17] = [
    ("AKIA", 20),
    ("ASIA", 20),
    ("ghp_", 30),
    ("gho_", 30),
    ("ghu_", 30),
    ("ghs_", 30),
    ("ghr_", 30),
    ("github_pat_", 30),
    ("glpat-", 20),
    ("xoxa-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("sk_live_", 20),
    ("sk_test_", 20),
    ("rk_live_", 20),
    ("sk-", 24),
    ("AIza", 35),
];

fn known_forms(word: &str) -> String {
    let mut shown = String::with_capacity(word.len());
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    for piece in word.split_inclusive(|c| !inside(c)) {
        let body = piece.trim_end_matches(|c| !inside(c));
        let form =
            FORMS.iter().any(|(start, length)| body.starts_with(start) && body.len() >= *length);
        // A JSON web token: three parts, the first of which is `{"` in base 64.
        let web_token = body.starts_with("eyJ") && body.split('.').count() == 3;
        shown.push_str(if form || web_token { REDACTED } else { body });
        shown.push_str(&piece[body.len()..]);
    }
    shown
}

#[cfg(test)]
mod tests;
