//! What the original samlare sends for each document and configuration, we send too; but for
//! the differences listed here, each with its reason.

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use program::{Service, data, document, once, point};
use serde_json::Value;

/// Deliberate differences: the case, what we send, why.
const DIFFERENT: &[(&str, &[&str], &str)] = &[
    (
        "odd_keys",
        &[
            "p 5",
            "p.a.b 4",
            "p.a_b_806c5cd3 1",
            "p.a_b_07f4401c 2",
            "p.failure 0",
            "p.hé 3",
            "p.q__a29d1bac 7",
            "p.x_y_7695c1e8 6",
        ],
        "names are made safe for Carbon",
    ),
    ("invalid_utf8_key", &["p.a__d6eda5a1 1", "p.failure 0"], "names are made safe for Carbon"),
    ("http_404", &["p.failure 1"], "any status but 2xx is a failure"),
    ("http_204", &["p.failure 1"], "what is not JSON is a failure, nothing at all too"),
    ("http_200_no_reason", &["p.a 1", "p.failure 0"], "a reason phrase means nothing"),
    ("empty_prefix", &["a 1", "p.failure 0"], "a name does not begin with a dot"),
    ("top_null", &["p.failure 1"], "the endpoint's failure, no crash"),
    ("top_number", &["p.failure 1"], "the endpoint's failure, no crash"),
];

#[test]
fn every_case_gives_the_same_points_or_a_listed_difference() {
    let cases: Value = serde_json::from_slice(&fs::read(data("cases.json")).unwrap()).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    let mut seen = Vec::new();
    for case in cases {
        let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
        let name = text("name");
        let mut expected: Vec<String> = case["lines_sorted"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| comparable(&line.as_str().unwrap().replace(" T", " 1")))
            .collect();
        if let Some((_, lines, _)) = DIFFERENT.iter().find(|(case, ..)| *case == name) {
            expected = lines.iter().map(|line| comparable(&format!("{line} 1"))).collect();
            seen.push(name.clone());
        }
        expected.sort();

        let response = match (case["doc"].as_str(), case["response_b64"].as_str()) {
            (Some(body), _) => document(body),
            (_, Some(base64)) => STANDARD.decode(base64).unwrap(),
            _ => document("{\"a\": 1}"),
        };
        let scenario = name.clone();
        let service = Service::start(move |path, stream| {
            if scenario == "slow" {
                thread::sleep(Duration::from_secs(1));
            }
            if scenario == "redirect" && path == "/v" {
                let head = "HTTP/1.1 302 Found\r\nLocation: /w\r\nContent-Length: 0\r\n\r\n";
                let _ = stream.write_all(head.as_bytes());
                return;
            }
            let _ = stream.write_all(&response);
            if !response.starts_with(b"HTTP/1.1 200 OK\r\nContent-Type") || scenario == "short_body"
            {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        });
        let metric = text("failure_metric");
        let metric =
            if metric.is_empty() { String::new() } else { format!("FailureMetric = {metric:?}\n") };
        let config = format!(
            "{}[[endpoint]]\nURL = \"{}\"\nPrefix = {:?}\n{metric}{}",
            text("config_global"),
            service.url("/v"),
            text("prefix"),
            text("config_endpoint"),
        );
        let output = once(&config);
        let printed = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<String> = printed.lines().map(comparable).collect();
        lines.sort();
        assert_eq!(lines, expected, "{name}: {}", text("why"));
        let failed = expected.iter().any(|line| line == "p.failure 1.000000");
        // Of two points of one name Graphite keeps one: that is named too.
        let is_named = failed || name == "rename_collision";
        // An unknown key, Prefix2, is named with its line.
        let is_warned = name == "empty_prefix";
        assert_eq!(output.status.success(), !is_named && !is_warned, "{name}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(errors.contains(&service.url("/v")), is_named, "{name}: {errors}");
    }
    assert_eq!(cases.len(), 28);
    let listed: Vec<&str> = DIFFERENT.iter().map(|(case, ..)| *case).collect();
    assert!(listed.iter().all(|case| seen.iter().any(|seen| seen == case)), "{seen:?}");
}

/// Name and value, to six decimals.
fn comparable(line: &str) -> String {
    let (name, value, _) = point(line);
    format!("{name} {value:.6}")
}
