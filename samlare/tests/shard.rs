//! Which shard polls what: the same everywhere, and moving no more than it must.

use samlare::shard::{Shard, owner};

/// Computed by another implementation of XXH64: the heaviest of
/// `xxh64(url, seed = number)`.
const ASSIGNMENT: &[(&str, [u32; 3])] = &[
    ("http://127.0.0.1:8080/debug/vars", [1, 3, 6]),
    ("https://api.example.com/debug/vars", [2, 4, 4]),
    ("http://[::1]:6060/debug/vars", [1, 1, 1]),
    ("unix:/run/app.sock:/debug/vars", [1, 4, 4]),
    ("", [1, 4, 4]),
    ("http://10.0.0.1:9000/debug/vars", [1, 3, 6]),
    ("http://10.0.0.2:9000/debug/vars", [2, 2, 6]),
    ("http://10.0.0.3:9000/debug/vars", [1, 4, 4]),
    ("http://10.0.0.4:9000/debug/vars", [1, 1, 1]),
    ("http://10.0.0.5:9000/debug/vars", [2, 3, 3]),
];

#[test]
fn assignment_is_fixed_for_good() {
    for (url, of_2_5_6) in ASSIGNMENT {
        assert_eq!([2, 5, 6].map(|of| owner(url, of)), *of_2_5_6, "{url}");
    }
}

#[test]
fn each_url_has_one_owner_and_a_sixth_shard_moves_only_a_sixth() {
    let urls: Vec<_> =
        (0..6000).map(|i| format!("http://10.{}.{}.1:8080/debug/vars", i / 250, i % 250)).collect();
    let shards: Vec<_> = (1..=5).map(|n| Shard::new(n, 5).unwrap()).collect();
    let shares: Vec<usize> =
        shards.iter().map(|shard| urls.iter().filter(|url| shard.owns(url)).count()).collect();
    assert_eq!(shares, [1175, 1230, 1167, 1199, 1229]);
    assert_eq!(shares.iter().sum::<usize>(), urls.len());
    let moved: Vec<_> = urls.iter().filter(|url| owner(url, 5) != owner(url, 6)).collect();
    assert_eq!(moved.len(), 960);
    assert!(moved.iter().all(|url| owner(url, 6) == 6));
}

#[test]
fn a_shard_is_written_as_a_fraction_or_taken_from_the_host() {
    let parse = |text, host| Shard::parse(text, host).map(|shard| shard.to_string());
    assert_eq!(parse("2/5", "").unwrap(), "2/5");
    assert_eq!(parse(" 1 / 1 ", "").unwrap(), "1/1");
    assert_eq!("5/5".parse::<Shard>().unwrap().to_string(), "5/5");
    for (host, shard) in [
        ("samlare-0", "1/5"),
        ("samlare-4", "5/5"),
        ("samlare-3.samlare.monitoring.svc", "4/5"),
        ("node01", "2/5"),
    ] {
        assert_eq!(parse("ordinal/5", host).unwrap(), shard, "{host}");
    }
    for (text, host, said) in [
        ("", "", "write \"2/5\""),
        ("2", "", "write \"2/5\""),
        ("two/5", "", "write \"2/5\""),
        ("2/five", "", "write \"2/5\""),
        ("-1/5", "", "write \"2/5\""),
        ("0/5", "", "the first is 1/5, the last 5/5"),
        ("6/5", "", "the first is 1/5, the last 5/5"),
        ("1/0", "", "1 to 10000"),
        ("1/10001", "", "1 to 10000"),
        ("ordinal/5", "samlare", "ends in no number"),
        ("ordinal/5", "samlare-5", "the last is 4"),
        ("ordinal/5", "samlare-99999999999", "ends in no number"),
    ] {
        let error = parse(text, host).unwrap_err().to_string();
        assert!(error.contains(said), "{text} on {host}: {error}");
    }
}

#[test]
fn one_shard_holds_everything() {
    let all = Shard::new(1, 1).unwrap();
    assert!(ASSIGNMENT.iter().all(|(url, _)| all.owns(url)));
}
