//! Random registries, as strict readers take them: not one text may be refused.

#![forbid(unsafe_code)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use expvar::{Counter, FloatGauge, Func, Gauge, Histogram, Info, Map, Registry, Text, Unit};
use expvar_http::{Format, Mapping, Prometheus};
use expvar_peers::python;
use fastrand::Rng;
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::MetricFamily;
use prost::Message;
use serde_json::Value;

/// How many registries are made.
const SEEDS: u64 = 4000;

const WORDS: [&str; 30] = [
    "a",
    "b",
    "bytes",
    "seconds",
    "ratio",
    "total",
    "count",
    "sum",
    "bucket",
    "info",
    "created",
    "le",
    "quantile",
    "index",
    "key",
    "key2",
    "route",
    "__name__",
    "größe",
    "x-y",
    "x.y",
    "x_y",
    "2xx",
    "_",
    "…",
    "ms",
    "ns",
    "queue",
    "cache.hit",
    "cache_hit",
];

fn word(rng: &mut Rng) -> &'static str {
    WORDS[rng.usize(..WORDS.len())]
}

fn name(rng: &mut Rng) -> String {
    let words: Vec<&str> = (0..rng.usize(1..=3)).map(|_| word(rng)).collect();
    words.join(if rng.bool() { "." } else { "_" })
}

fn unit(rng: &mut Rng) -> Unit {
    let units = [
        Unit::None,
        Unit::Bytes,
        Unit::Nanoseconds,
        Unit::Microseconds,
        Unit::Milliseconds,
        Unit::Seconds,
        Unit::Ratio,
        Unit::Percent,
        Unit::Other("requests"),
        Unit::Other("m/s"),
        Unit::Other("total"),
        Unit::Other("count"),
        Unit::Other("info"),
    ];
    units[rng.usize(..units.len())]
}

fn info(rng: &mut Rng) -> Info {
    let mut info = Info::new().unit(unit(rng));
    if rng.bool() {
        info = info.help(["Help.", "Two\nlines \"quoted\" \\ back.", " ", "…"][rng.usize(..4)]);
    }
    if rng.bool() {
        info = info.labels((0..rng.usize(1..=3)).map(|_| word(rng)));
    }
    if rng.u8(..4) == 0 { info.counter() } else { info }
}

fn number(rng: &mut Rng) -> f64 {
    let odd = [0.0, -1.0, 1e300, -1e-300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1, 5e-324];
    if rng.bool() { odd[rng.usize(..odd.len())] } else { rng.f64() * 1e6 }
}

fn json(rng: &mut Rng, depth: usize) -> Value {
    match rng.u8(..if depth > 3 { 5 } else { 8 }) {
        0 => Value::Null,
        1 => rng.bool().into(),
        2 => rng.i64(..).into(),
        3 => serde_json::Number::from_f64(number(rng)).map_or(Value::Null, Value::Number),
        4 => word(rng).into(),
        5 => (0..rng.usize(..3)).map(|_| json(rng, depth + 1)).collect(),
        _ => (0..rng.usize(..4))
            .map(|_| (word(rng).to_owned(), json(rng, depth + 1)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

fn histogram(rng: &mut Rng) -> Histogram {
    let histogram = if rng.bool() { Histogram::floats() } else { Histogram::new() };
    for _ in 0..rng.usize(..5) {
        match rng.bool() {
            true => histogram.record_float(number(rng)),
            false => histogram.record(rng.u64(..)),
        }
    }
    histogram
}

/// Puts a random variable into a map.
fn fill(rng: &mut Rng, map: &Map, depth: usize) {
    for _ in 0..rng.usize(..4) {
        let key = if rng.u8(..8) == 0 { "" } else { word(rng) };
        match rng.u8(..if depth > 4 { 6 } else { 8 }) {
            0 => map.set(key, Counter::new()).add(rng.u64(..)),
            1 => map.set(key, Gauge::new()).set(rng.i64(..)),
            2 => map.set(key, FloatGauge::new()).set(number(rng)),
            3 => map.set(key, Text::new()).set(["", "a\"b\\c\nd", "é…"][rng.usize(..3)]),
            4 => drop(map.set(key, histogram(rng))),
            5 => {
                let value = json(rng, 0);
                map.set(key, Func::new(move || value.clone()));
            }
            _ => fill(rng, &map.set(key, Map::new()), depth + 1),
        }
    }
}

fn registry(rng: &mut Rng) -> Registry {
    let registry = Registry::new();
    for _ in 0..rng.usize(1..12) {
        let (name, info) = (name(rng), info(rng));
        let name = &name;
        match rng.u8(..8) {
            0 => {
                drop(registry.publish_with(name, Counter::new(), info).map(|v| v.add(rng.u64(..))))
            }
            1 => drop(registry.publish_with(name, Gauge::new(), info).map(|v| v.set(rng.i64(..)))),
            2 => {
                let _ = registry
                    .publish_with(name, FloatGauge::new(), info)
                    .map(|gauge| gauge.set(number(rng)));
            }
            3 => drop(registry.publish_with(name, Text::new(), info).map(|text| text.set("x y"))),
            4 => drop(registry.publish_with(name, histogram(rng), info)),
            5 => {
                let value = json(rng, 0);
                drop(registry.publish_with(name, Func::new(move || value.clone()), info));
            }
            _ => {
                if let Ok(map) = registry.publish_with(name, Map::new(), info) {
                    fill(rng, &map, 0);
                }
            }
        }
    }
    let recorder = expvar_metrics::Recorder::new(&registry);
    metrics::with_local_recorder(&recorder, || {
        for _ in 0..rng.usize(..3) {
            let labels: Vec<(String, String)> =
                (0..rng.usize(..4)).map(|_| (word(rng).to_owned(), word(rng).to_owned())).collect();
            let (name, unit) = (name(rng), metrics::Unit::Bytes);
            match rng.u8(..3) {
                0 => metrics::counter!(name, &labels).increment(rng.u64(..9)),
                1 => metrics::gauge!(name, &labels).set(number(rng)),
                _ => {
                    metrics::describe_histogram!(name.clone(), unit, "Described.");
                    metrics::histogram!(name, &labels).record(number(rng));
                }
            }
        }
    });
    registry
}

fn prometheus(rng: &mut Rng, registry: &Registry) -> Prometheus {
    let mut prometheus = Prometheus::new();
    let mut names = Vec::new();
    registry.for_each(|name, _| names.push(name.to_owned()));
    for variable in names {
        if rng.u8(..4) != 0 {
            continue;
        }
        let mut mapping = Mapping::new(variable);
        if rng.bool() {
            mapping = mapping.constant(word(rng), "a\"b");
        }
        if rng.bool() {
            mapping = mapping.labels((0..rng.usize(1..=3)).map(|_| word(rng)));
        }
        mapping = match rng.u8(..8) {
            0 => mapping.family(word(rng)),
            1 => mapping.name(name(rng)),
            2 => mapping.counter(),
            3 => mapping.gauge(),
            4 => mapping.unit(unit(rng)),
            5 => mapping.buckets([0.0, 0.1, 5.0]),
            6 => mapping.hide(),
            _ => mapping,
        };
        // What is refused is refused at start-up.
        prometheus = prometheus.clone().map(mapping).unwrap_or(prometheus);
    }
    if rng.u8(..6) == 0 {
        prometheus = prometheus.names_as_recorded();
    }
    if rng.u8(..6) == 0 {
        prometheus = prometheus.quantiles([0.5, 1.0]);
    }
    if rng.u8(..6) == 0 {
        prometheus = prometheus.clone().constant(word(rng), "all").unwrap_or(prometheus);
    }
    prometheus
}

/// Reads every text: OpenMetrics strictly, the older text with a look for series that are there
/// twice and for families that are split.
const READER: &str = r#"
import pathlib, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict
from prometheus_client.parser import text_string_to_metric_families as lax
refused = 0
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    text = path.read_text()
    try:
        if path.suffix == '.om':
            for family in strict(text): pass
        else:
            seen, types = set(), set()
            for family in lax(text):
                for s in family.samples:
                    series = (s.name, tuple(sorted(s.labels.items())))
                    assert series not in seen, f'{series} twice'
                    seen.add(series)
            for line in text.splitlines():
                if line.startswith('# TYPE '):
                    name = line.split(' ')[2]
                    assert name not in types, f'{name} twice'
                    types.add(name)
    except Exception as error:
        refused += 1
        if refused <= 20: print(path.name, repr(error))
print(refused, 'refused')
"#;

fn tmp(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

/// How many families the protobuf holds, all of which must be whole.
fn families(registry: &Registry, prometheus: &Prometheus) -> usize {
    let (mut bytes, mut again, mut count) = (Vec::new(), Vec::new(), 0);
    prometheus.render(registry, Format::Protobuf, &mut bytes);
    prometheus.render(registry, Format::Protobuf, &mut again);
    assert!(bytes == again, "the second time");
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut rest).unwrap();
        assert!(!family.name.is_empty() && !family.metric.is_empty(), "{family:?}");
        count += 1;
    }
    count
}

#[test]
#[ignore = "needs prometheus"]
fn four_thousand_registries_are_read_strictly() {
    let dir = tmp("prometheus-random");
    for old in fs::read_dir(&dir).unwrap() {
        fs::remove_file(old.unwrap().path()).unwrap();
    }
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        let registry = registry(&mut rng);
        let prometheus = prometheus(&mut rng, &registry);
        for (format, ending) in [(Format::Text, "txt"), (Format::OpenMetrics, "om")] {
            let text = prometheus.to_text(&registry, format);
            fs::write(dir.join(format!("{seed:04}.{ending}")), &text).unwrap();
            assert_eq!(prometheus.to_text(&registry, format), text, "{seed}: the second time");
            if format == Format::Text {
                let types = text.lines().filter(|line| line.starts_with("# TYPE "));
                assert_eq!(families(&registry, &prometheus), types.count(), "{seed}: protobuf");
            }
        }
    }
    let python = python("prometheus-client", &["prometheus_client==0.22.1"]).join("bin/python");
    let read = Command::new(python).args(["-c", READER]).arg(&dir).output().unwrap();
    let said = String::from_utf8_lossy(&read.stdout).into_owned();
    assert_eq!(said, "0 refused\n", "{}", String::from_utf8_lossy(&read.stderr));

    let (next, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= SEEDS {
                        return;
                    }
                    let text = fs::read(dir.join(format!("{seed:04}.txt"))).unwrap();
                    // Random names are not in good style, which ends it with 3.
                    let (code, said) = promtool(&text);
                    if !matches!(code, Some(0 | 3)) && refused.fetch_add(1, Relaxed) < 20 {
                        eprintln!("{seed}: {code:?}: {said}");
                    }
                }
            });
        }
    });
    assert_eq!(refused.load(Relaxed), 0, "texts that promtool refuses");
    fs::remove_dir_all(dir).unwrap();
}

fn promtool(text: &[u8]) -> (Option<i32>, String) {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs promtool: apt-get install prometheus");
    // It stops reading at the first line that it refuses.
    let _ = child.stdin.take().unwrap().write_all(text);
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}
