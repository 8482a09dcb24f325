//! The sample configuration and the README tell of every key there is, and of no other.

use std::collections::BTreeSet;
use std::fs;

use samlare::cluster::Settings;
use samlare::config::Config;

fn read(name: &str) -> String {
    fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The sample with what is commented out; comments in words begin with `# `.
fn uncommented() -> String {
    let sample = read("sample-config.toml");
    let lines = sample.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_is_a_good_configuration() {
    let (config, warnings) = Config::parse(&read("sample-config.toml")).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.endpoints.len(), 2);
    assert_eq!(config.carbon.unwrap().routing.urls, ["tcp://graphite.example.com:2003"]);
}

#[test]
fn the_sample_shows_every_key_and_its_default() {
    // The files that it names are not there; everything else must be right.
    let text = uncommented();
    let is_right = |line: &&str| {
        // A shard and a cluster exclude each other.
        !line.contains(".pem") && !line.starts_with("Shard") && !line.starts_with("ServerName")
    };
    let text: Vec<&str> = text.lines().filter(is_right).collect();
    let text = text.join("\n").replace("CarbonKeyFile = \"/etc/samlare/carbon-client.key\"", "");
    let (shown, warnings) = Config::parse(&text).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(shown.discover.len(), 4);
    let (plain, _) =
        Config::parse("CarbonHost = \"h\"\n[[endpoint]]\nURL = \"http://h/\"\n").unwrap();
    let (shown_carbon, carbon) = (shown.carbon.unwrap(), plain.carbon.unwrap());
    assert_eq!(shown_carbon.queue_bytes, carbon.queue_bytes);
    assert_eq!(shown_carbon.routing.route, carbon.routing.route);
    assert_eq!(shown_carbon.routing.replication, carbon.routing.replication);
    assert_eq!(shown_carbon.routing.dialect, carbon.routing.dialect);
    let (shown_cluster, cluster) = (shown.cluster.unwrap(), Settings::new(Vec::new(), ""));
    assert_eq!(
        (shown_cluster.group, shown_cluster.ttl, shown_cluster.replicas),
        (cluster.group, cluster.ttl, cluster.replicas)
    );
    assert_eq!(
        (shown_cluster.overlap, shown_cluster.required),
        (cluster.overlap, cluster.required)
    );
    assert_eq!(shown.flush_timeout, plain.flush_timeout);
    assert_eq!(shown.log_format, plain.log_format);
    let (first, default) = (&shown.endpoints[0].polling, &plain.endpoints[0].polling);
    assert_eq!(first.interval, default.interval);
    assert_eq!(first.timeout, default.timeout);
    assert_eq!(first.rules.limits, default.rules.limits);
    assert_eq!(first.rules.booleans, default.rules.booleans);
    assert_eq!(first.rules.arrays, default.rules.arrays);
}

#[test]
fn every_key_is_in_the_sample_and_in_the_readme() {
    let (sample, readme) = (uncommented(), read("README.md"));
    let mut missing = BTreeSet::new();
    for (_, key) in Config::keys() {
        let pair = format!("{key} = ");
        let table = match key {
            "cluster" => "[cluster]".to_owned(),
            key => format!("[[{}]]", key.to_lowercase()),
        };
        let below = format!("[[endpoint.{}]]", key.to_lowercase());
        let shown =
            sample.lines().any(|line| line.starts_with(&pair) || line == table || line == below);
        // A token is better kept in a file; the sample shows only that.
        if !shown && !matches!(key, "Token" | "Password") {
            missing.insert(format!("{key} in the sample"));
        }
        let word = readme.contains(key) || readme.contains(&table);
        if !word {
            missing.insert(format!("{key} in the README"));
        }
    }
    assert_eq!(missing, BTreeSet::new());
}

#[test]
fn the_migration_page_shows_good_configurations() {
    let page = read("../docs/migrations/samlare.md");
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        let text = block.split("```").next().unwrap();
        let (_, warnings) = Config::parse(text).unwrap_or_else(|err| panic!("{err:?}: {text}"));
        assert_eq!(warnings, [], "{text}");
    }
}
