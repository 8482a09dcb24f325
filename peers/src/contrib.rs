//! Metric names in the dashboards and alert rules of `contrib/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Labels that a scrape adds, and `le`, which every histogram has.
const SCRAPE_LABELS: [&str; 5] = ["instance", "job", "le", "namespace", "pod"];

/// Words of PromQL that are followed by a list of labels.
const LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// The other words of PromQL that are no metric.
const WORDS: [&str; 9] = ["and", "or", "unless", "offset", "bool", "inf", "nan", "start", "end"];

/// A file below `contrib/`.
pub fn contrib(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib").join(name)
}

/// What a query asks for.
#[derive(Debug, Default, PartialEq)]
pub struct Names {
    /// Names of samples.
    pub metrics: BTreeSet<String>,
    /// Labels that it selects or groups by; `label="value"` where it selects one value.
    pub labels: BTreeSet<String>,
}

impl Names {
    /// Takes a PromQL expression apart.
    pub fn of(expression: &str) -> Names {
        let mut names = Names::default();
        let mut rest = expression;
        // What the word before was, where it decides what a parenthesis means.
        let mut list = false;
        while let Some(first) = rest.chars().next() {
            if first == '"' || first == '\'' {
                rest = after(&rest[1..], first);
            } else if first == '{' || (first == '(' && list) {
                let close = if first == '{' { '}' } else { ')' };
                let (inside, end) = enclosed(&rest[1..], close);
                names.labels.extend(labels(inside));
                (rest, list) = (end, false);
            } else if first == '[' {
                rest = after(&rest[1..], ']');
            } else if first.is_ascii_digit() || first == '$' {
                rest = rest[1..].trim_start_matches(word);
            } else if word(first) {
                let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
                let name;
                (name, rest) = rest.split_at(end);
                let lower = name.to_ascii_lowercase();
                let called = rest.trim_start().starts_with('(');
                // `sum by (route) (…)`: a function may have its list before its arguments.
                let grouped =
                    LISTS.iter().any(|it| rest.trim_start().starts_with(&format!("{it} ")));
                list = LISTS.contains(&lower.as_str());
                let reserved = list || WORDS.contains(&lower.as_str());
                let aggregation = grouped && ["sum", "max", "min", "avg", "count"].contains(&name);
                if !called && !reserved && !aggregation {
                    names.metrics.insert(name.to_owned());
                }
            } else {
                rest = &rest[first.len_utf8()..];
            }
        }
        names
    }

    /// Whatever is not in a Prometheus exposition.
    pub fn missing(&self, exposition: &str) -> Vec<String> {
        let shown = samples(exposition);
        let metrics = self.metrics.iter().filter(|name| !shown.contains_key(*name)).cloned();
        let known: BTreeSet<&String> =
            self.metrics.iter().filter_map(|name| shown.get(name)).flatten().collect();
        let labels = self
            .labels
            .iter()
            .filter(|label| !known.contains(label) && !SCRAPE_LABELS.contains(&label.as_str()));
        let labels = labels.map(|label| format!("{label} of {:?}", self.metrics));
        metrics.chain(labels).collect()
    }
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// What follows the first `end`, which no backslash precedes.
fn after(text: &str, end: char) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == end && !escaped {
            return &text[at + c.len_utf8()..];
        }
        escaped = c == '\\' && !escaped;
    }
    ""
}

/// What comes before `close`, strings aside, and what follows it.
fn enclosed(text: &str, close: char) -> (&str, &str) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let at = text.len() - rest.len();
        rest = match c {
            '"' => after(&rest[1..], '"'),
            _ if c == close => return (&text[..at], &rest[1..]),
            _ => &rest[c.len_utf8()..],
        };
    }
    (text, "")
}

/// Label names of a selector's or a list's inside, each with its value where `=` says one.
fn labels(inside: &str) -> BTreeSet<String> {
    let mut labels = BTreeSet::new();
    let mut rest = inside;
    while let Some(c) = rest.chars().next() {
        if !word(c) {
            rest = if c == '"' { after(&rest[1..], '"') } else { &rest[c.len_utf8()..] };
            continue;
        }
        let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
        let label = &rest[..end];
        if let Some(value) = rest[end..].strip_prefix("=\"") {
            let quoted = value.len() - after(value, '"').len();
            if !SCRAPE_LABELS.contains(&label) {
                labels.insert(format!("{label}=\"{}", &value[..quoted]));
            }
        }
        labels.insert(label.to_owned());
        rest = &rest[end..];
    }
    labels
}

/// The samples of a Prometheus exposition, with all labels that each name has.
pub fn samples(exposition: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut samples = BTreeMap::<String, BTreeSet<String>>::new();
    for line in exposition.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let end = line.find(|c| !word(c)).unwrap_or(line.len());
        let shown = samples.entry(line[..end].to_owned()).or_default();
        if let Some(inside) = line[end..].strip_prefix('{') {
            shown.extend(labels(enclosed(inside, '}').0));
        }
    }
    samples
}

/// The values of all `key`s of a dashboard or of rules, at any depth.
pub fn texts(file: &Path, key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|err| panic!("{file:?}: {err}"));
    let value: Value = if file.extension().is_some_and(|it| it == "json") {
        serde_json::from_str(&text).unwrap_or_else(|err| panic!("{file:?}: {err}"))
    } else {
        serde_yaml_ng::from_str(&text).unwrap_or_else(|err| panic!("{file:?}: {err}"))
    };
    let mut found = Vec::new();
    collect(&value, key, &mut found);
    found
}

fn collect(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::String(text) if name == key => found.push(text.clone()),
                    _ => collect(value, key, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, key, found)),
        _ => {}
    }
}

/// The paths below `prefix` that a Graphite target names, as segments with wildcards.
pub fn graphite_paths(target: &str, prefix: &str) -> Vec<String> {
    let paths = target.split(prefix).skip(1);
    let paths = paths.filter_map(|rest| rest.strip_prefix('.'));
    paths.map(|rest| rest.split([',', ')', ' ']).next().unwrap_or_default().to_owned()).collect()
}

/// Whether a Graphite path names a series: `*` is within a segment, `{a,b}` is not understood.
pub fn graphite_match(path: &str, series: &str) -> bool {
    let (path, series): (Vec<_>, Vec<_>) = (path.split('.').collect(), series.split('.').collect());
    let segment = |pattern: &str, name: &str| match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
    };
    path.len() == series.len() && path.iter().zip(&series).all(|(path, name)| segment(path, name))
}

#[test]
fn a_query_is_taken_apart() {
    let names = Names::of(
        r#"histogram_quantile(0.99, sum by (le, route) (rate(took_bucket{route!="a}b",job="$job"}[$__rate_interval]))) > 1e3 and on (job) up offset 5m"#,
    );
    assert_eq!(names.metrics.into_iter().collect::<Vec<_>>(), ["took_bucket", "up"]);
    assert_eq!(names.labels.into_iter().collect::<Vec<_>>(), ["job", "le", "route"]);
}

#[test]
fn what_is_not_exposed_is_missing() {
    let text =
        "# TYPE took histogram\ntook_bucket{route=\"a} b\",le=\"1\"} 3\ntook_sum{route=\"x\"} 1\n";
    let missing = |query| Names::of(query).missing(text);
    assert_eq!(missing("rate(took_bucket{le=\"1\"}[5m])"), [""; 0]);
    assert_eq!(missing("sum by (method) (took_sum)"), ["method of {\"took_sum\"}"]);
    assert_eq!(missing("took_count"), ["took_count"]);
}

#[test]
fn a_path_names_a_series() {
    let paths = graphite_paths("alias(scale($p.a.*.p99, 1), 'x')", "$p");
    assert_eq!(paths, ["a.*.p99"]);
    assert!(graphite_match("a.*.p99", "a.b.p99") && !graphite_match("a.*.p99", "a.b.c.p99"));
}
