//! Which members own an endpoint: the same everywhere, evenly, and moving no more than it must.

use std::collections::HashMap;

use proptest::prelude::*;
use samlare::cluster::Owners;
use samlare::shard::owner;

fn urls(count: usize) -> Vec<String> {
    let url = |n: usize| {
        format!("http://10.{}.{}.{}:8080/debug/vars", n / 62_500, n / 250 % 250, n % 250)
    };
    (0..count).map(url).collect()
}

/// Computed by another implementation of XXH64: the members by weight, the heaviest first, where
/// the weight is `xxh64(url, seed = xxh64(name, 0))`.
const ASSIGNMENT: &[(&str, [&str; 3])] = &[
    ("http://127.0.0.1:8080/debug/vars", ["a", "c", "b"]),
    ("https://api.example.com/debug/vars", ["c", "b", "a"]),
    ("unix:/run/app.sock:/debug/vars", ["c", "b", "a"]),
    ("http://10.0.0.1:9000/debug/vars", ["b", "c", "a"]),
    ("http://10.0.0.2:9000/debug/vars", ["c", "a", "b"]),
    ("http://10.0.0.3:9000/debug/vars", ["c", "a", "b"]),
];

#[test]
fn assignment_is_fixed_for_good() {
    let owners = Owners::new(["c", "a", "b", "a"], 3);
    assert_eq!(owners.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    for (url, by_weight) in ASSIGNMENT {
        assert_eq!(owners.of(url), by_weight, "{url}");
        assert_eq!(Owners::new(["a", "b", "c"], 1).of(url), by_weight[..1], "{url}");
    }
}

#[test]
fn ten_members_share_a_hundred_thousand_endpoints_evenly() {
    let names: Vec<String> = (0..10).map(|n| format!("samlare-{n}")).collect();
    let owners = Owners::new(names.iter().map(String::as_str), 1);
    let mut shares: HashMap<&str, usize> = HashMap::new();
    let urls = urls(100_000);
    for url in &urls {
        *shares.entry(owners.of(url)[0]).or_default() += 1;
    }
    let most = shares.values().max().unwrap();
    assert!(*most <= 11_000, "{shares:?}");
    assert_eq!(shares.len(), 10);
}

#[test]
fn shards_are_weighed_by_the_same_hash() {
    // A member whose seed is the number of a shard would own just what that shard does.
    let by_number =
        |url: &str| (1..=5).max_by_key(|n| xxhash_rust::xxh64::xxh64(url.as_bytes(), *n));
    for url in urls(500) {
        assert_eq!(u64::from(owner(&url, 5)), by_number(&url).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn one_of_n_that_comes_or_goes_moves_an_nth_and_only_to_or_from_itself(
        names in proptest::collection::btree_set("[a-z0-9.-]{1,20}", 2..12),
        replicas in 1usize..4,
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let (new, old) = names.split_last().unwrap();
        let before = Owners::new(old.iter().map(String::as_str), replicas);
        let after = Owners::new(names.iter().map(String::as_str), replicas);
        let urls = urls(4_000);
        let mut moved = 0;
        for url in &urls {
            let (was, is) = (before.of(url), after.of(url));
            prop_assert_eq!(is.len(), replicas.min(names.len()));
            for name in &names {
                prop_assert_eq!(after.owns(name, url), is.contains(&name.as_str()));
            }
            if is.contains(&new.as_str()) {
                moved += 1;
                let stay = is.iter().filter(|name| **name != new);
                prop_assert!(stay.clone().all(|name| was.contains(name)), "{:?} {:?}", was, is);
            } else {
                prop_assert_eq!(was, is);
            }
        }
        let most = replicas as f64 / names.len() as f64 + 0.05;
        prop_assert!(moved as f64 / urls.len() as f64 <= most, "{} of {}", moved, names.len());
    }
}
