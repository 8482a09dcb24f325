//! Templates with labels: `apps.{service}.{host}_{port}`.

use std::fmt;

use super::Labels;

/// A template; `{{` and `}}` are literal braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Label(String),
}

/// The error of a template, or of a target's labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A `{` without its `}`, at this byte.
    Unclosed(usize),
    /// A `}` without its `{`, at this byte.
    Unopened(usize),
    /// `{}`, or a name with other characters than letters, digits, `_`, `-`,
    /// `.`, `/`, at this byte.
    Name(usize, String),
    /// An unknown label.
    Unknown(String),
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// Braces are unbalanced or do not contain the name of a label.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            match c {
                '{' | '}' if rest.next_if(|&(_, next)| next == c).is_some() => plain.push(c),
                '}' => return Err(TemplateError::Unopened(at)),
                '{' => {
                    let end = text[at..].find('}').ok_or(TemplateError::Unclosed(at))? + at;
                    let name = &text[at + 1..end];
                    let fits = |c: char| c.is_alphanumeric() || "_-./".contains(c);
                    if name.is_empty() || !name.chars().all(fits) {
                        return Err(TemplateError::Name(at, name.to_owned()));
                    }
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Label(name.to_owned()));
                    while rest.next_if(|&(i, _)| i <= end).is_some() {}
                }
                c => plain.push(c),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Template { parts })
    }

    /// The names of its labels.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Label(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Expands to a metric's name. Dots and colons in a value become `_`, so that a value is one
    /// node; other characters follow the rules of [`expvar_carbon::Path`].
    ///
    /// # Errors
    /// A label is missing or empty: two targets would share a name.
    pub fn metric(&self, labels: &Labels) -> Result<String, TemplateError> {
        self.fill(labels, |value, out| {
            let mut node = expvar_carbon::Path::new();
            node.push(&value.replace(['.', ':'], "_"));
            out.push_str(node.as_str());
        })
    }

    /// Expands to a URL: values are inserted unchanged, an IPv6 `host` in brackets.
    ///
    /// # Errors
    /// A label is missing or empty.
    pub fn url(&self, labels: &Labels) -> Result<String, TemplateError> {
        self.fill(labels, |value, out| {
            if value.parse::<std::net::Ipv6Addr>().is_ok() {
                out.push('[');
                out.push_str(value);
                out.push(']');
            } else {
                out.push_str(value);
            }
        })
    }

    fn fill(
        &self,
        labels: &Labels,
        put: impl Fn(&str, &mut String),
    ) -> Result<String, TemplateError> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Label(name) => match labels.get(name) {
                    Some(value) if !value.is_empty() => put(value, &mut out),
                    _ => return Err(TemplateError::Unknown(name.clone())),
                },
            }
        }
        Ok(out)
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::Unclosed(at) => {
                write!(f, "the {{ at byte {at} has no }}: write {{host}}, or {{{{ for a brace")
            }
            TemplateError::Unopened(at) => {
                write!(f, "the }} at byte {at} has no {{: write {{host}}, or }}}} for a brace")
            }
            TemplateError::Name(at, name) => write!(
                f,
                "{{{name}}} at byte {at} names no label: write one like {{host}} or {{service}}"
            ),
            TemplateError::Unknown(name) => write!(f, "there is no label {{{name}}}"),
        }
    }
}

impl std::error::Error for TemplateError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        [("service", "pay.api"), ("host", "10.0.0.1"), ("port", "8080"), ("none", "")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into()
    }

    #[test]
    fn metrics_get_one_node_a_value() {
        let template = Template::parse("apps.{service}.{host}_{port}.{{x}}").unwrap();
        assert_eq!(template.metric(&labels()).unwrap(), "apps.pay_api.10_0_0_1_8080.{x}");
        assert_eq!(template.labels().collect::<Vec<_>>(), ["service", "host", "port"]);
        let odd: Labels = [("a".to_owned(), "é b\n.c-d_E".to_owned())].into();
        assert_eq!(Template::parse("{a}").unwrap().metric(&odd).unwrap(), "é_b__c-d_E_b797f789");
    }

    #[test]
    fn urls_get_values_as_they_are() {
        let template = Template::parse("https://{host}:{port}/x").unwrap();
        assert_eq!(template.url(&labels()).unwrap(), "https://10.0.0.1:8080/x");
        let mut six = labels();
        six.insert("host".into(), "::1".into());
        assert_eq!(template.url(&six).unwrap(), "https://[::1]:8080/x");
    }

    #[test]
    fn what_is_wrong_is_said() {
        use TemplateError::*;
        for (text, error) in [
            ("a.{host", Unclosed(2)),
            ("a.host}", Unopened(6)),
            ("{}", Name(0, String::new())),
            ("é{ho st}", Name(2, "ho st".into())),
            ("{a{b}}", Name(0, "a{b".into())),
        ] {
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
        for (text, name) in [("{dc}", "dc"), ("{none}", "none")] {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.metric(&labels()), Err(Unknown(name.into())));
        }
    }
}
