//! Follows the members of a group: reads them once, then watches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::gateway::{Gateway, Trouble};
use super::{ROOT, wire};
use crate::cluster::engine::{Change, Entry, Reporter};

/// After the first failure in a row, and after many.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_millis(1000);
/// The most keys of other groups that are read.
const MAX_OTHERS: u32 = 1000;

/// The known keys of the group with their revisions.
struct Known {
    revision: i64,
    keys: BTreeMap<String, i64>,
}

/// Why a watch ended.
enum End {
    /// It can be resumed from the known revision.
    Broken(Trouble),
    /// The known state differs from etcd's: read again.
    Stale,
}

/// Reports changes, forever.
pub(super) async fn follow(
    mut gateway: Gateway,
    prefix: String,
    every: Duration,
    reporter: Reporter,
) {
    let mut retry = FIRST_RETRY;
    loop {
        let read = read(&mut gateway, &prefix).await;
        let (mut known, entries) = match read {
            Ok(read) => read,
            Err(trouble) => {
                reporter.tell(Err(trouble.to_string())).await;
                sleep(retry.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                retry = (retry * 2).min(LAST_RETRY);
                continue;
            }
        };
        retry = FIRST_RETRY;
        let others = others(&mut gateway, &prefix).await;
        reporter.tell(Ok(Change::All { entries, others })).await;
        loop {
            let began = known.revision;
            match watch(&mut gateway, &prefix, &mut known, every, &reporter).await {
                End::Stale => break,
                End::Broken(trouble) => reporter.tell(Err(trouble.to_string())).await,
            }
            if known.revision > began {
                retry = FIRST_RETRY;
            }
            sleep(retry.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            retry = (retry * 2).min(LAST_RETRY);
        }
    }
}

/// Reads the group's entries and their common revision.
async fn read(gateway: &mut Gateway, prefix: &str) -> Result<(Known, Vec<Entry>), Trouble> {
    let range =
        json!({"key": wire::encode(prefix), "range_end": wire::encode(wire::range_end(prefix))});
    let answer = gateway.call("/v3/kv/range", &range).await?;
    let revision = wire::number(&answer["header"]["revision"]);
    if revision == 0 {
        return Err(Trouble::strange("it has no revision"));
    }
    let (mut keys, mut entries) = (BTreeMap::new(), Vec::new());
    for pair in answer["kvs"].as_array().into_iter().flatten() {
        let Some(key) = key_of(pair, prefix) else { continue };
        keys.insert(key.clone(), wire::number(&pair["mod_revision"]));
        entries.push(Entry { key, value: wire::decode(&pair["value"]) });
    }
    Ok((Known { revision, keys }, entries))
}

/// Other groups with members; empty if the user may not read them.
async fn others(gateway: &mut Gateway, prefix: &str) -> Vec<String> {
    let range = json!({
        "key": wire::encode(ROOT),
        "range_end": wire::encode(wire::range_end(ROOT)),
        "keys_only": true,
        "limit": MAX_OTHERS,
    });
    let Ok(answer) = gateway.call("/v3/kv/range", &range).await else { return Vec::new() };
    let keys = answer["kvs"].as_array().into_iter().flatten();
    let keys = keys.map(|pair| wire::decode(&pair["key"])).filter(|key| !key.starts_with(prefix));
    let group = |key: String| {
        let group = key.strip_prefix(ROOT)?.split('/').next()?;
        Some(percent_encoding::percent_decode_str(group).decode_utf8_lossy().into_owned())
    };
    keys.filter_map(group).collect::<BTreeSet<_>>().into_iter().collect()
}

/// A key without the prefix.
fn key_of(pair: &Value, prefix: &str) -> Option<String> {
    Some(wire::decode(&pair["key"]).strip_prefix(prefix)?.to_owned())
}

/// Watches from the revision after the known one, and compares with a fresh read at intervals: a
/// watch may be silent because its node is partitioned.
async fn watch(
    gateway: &mut Gateway,
    prefix: &str,
    known: &mut Known,
    every: Duration,
    reporter: &Reporter,
) -> End {
    let create = json!({"create_request": {
        "key": wire::encode(prefix),
        "range_end": wire::encode(wire::range_end(prefix)),
        "start_revision": known.revision + 1,
    }});
    let mut stream = match gateway.listen("/v3/watch", &create).await {
        Ok(stream) => stream,
        Err(trouble) => return End::Broken(trouble),
    };
    let mut compare = Instant::now() + every;
    loop {
        let told = tokio::select! {
            told = stream.next() => told,
            () = sleep_until(compare) => {
                compare = Instant::now() + every;
                match read(gateway, prefix).await {
                    // Events already in the stream were read, too.
                    Ok((now, _)) if now.keys != known.keys || now.revision < known.revision => {
                        return End::Stale;
                    }
                    Ok(_) => {}
                    Err(trouble) => return End::Broken(trouble),
                }
                continue;
            }
        };
        let told = match told {
            Ok(told) => told,
            Err(trouble) => {
                gateway.broken(&stream);
                return End::Broken(trouble);
            }
        };
        let result = &told["result"];
        if wire::number(&result["compact_revision"]) > 0 {
            return End::Stale;
        }
        if result["canceled"] == true || !told["error"].is_null() {
            gateway.broken(&stream);
            let why = result["cancel_reason"].as_str().or(told["error"]["message"].as_str());
            return End::Broken(Trouble::Away(why.unwrap_or("the watch was ended").to_owned()));
        }
        for event in result["events"].as_array().into_iter().flatten() {
            let pair = &event["kv"];
            let Some(key) = key_of(pair, prefix) else { continue };
            let change = if event["type"] == "DELETE" {
                known.keys.remove(&key);
                Change::Left(key)
            } else {
                known.keys.insert(key.clone(), wire::number(&pair["mod_revision"]));
                Change::Entered(Entry { key, value: wire::decode(&pair["value"]) })
            };
            known.revision = known.revision.max(wire::number(&pair["mod_revision"]));
            reporter.tell(Ok(change)).await;
        }
    }
}
