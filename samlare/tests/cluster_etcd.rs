//! The driver for etcd against three real nodes.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use expvar_peers::EtcdCluster;
use samlare::cluster::{
    Address, Change, Changes, Engine, Entry, Etcd, Lease, Login, Membership, Settings, Start,
};
use samlare::log::Log;
use samlare::schedule::Clock;
use tokio::time::{Instant, sleep, timeout};

/// How long anything may take on a busy machine before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn settings(etcd: &EtcdCluster, group: &str) -> Settings {
    let mut settings = Settings::new(Address::parse_all(&etcd.engine()).unwrap(), "a");
    settings.group = group.to_owned();
    settings
}

fn driver(etcd: &EtcdCluster, group: &str) -> Etcd {
    Etcd::new(&settings(etcd, group)).unwrap()
}

/// The next change; skips errors.
async fn next(changes: &mut Changes) -> Change {
    let next = async {
        loop {
            if let Ok(change) = changes.next().await {
                return change;
            }
        }
    };
    timeout(PATIENCE, next).await.expect("a change")
}

async fn join(engine: &Etcd, key: &str, value: &str) -> Lease {
    let joined = async {
        loop {
            match engine.join(key, value).await {
                Ok(lease) => return lease,
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    };
    timeout(PATIENCE, joined).await.expect("a lease")
}

fn entry(key: &str, value: &str) -> Entry {
    Entry { key: key.to_owned(), value: value.to_owned() }
}

fn entered(key: &str, value: &str) -> Change {
    Change::Entered(entry(key, value))
}

fn all(entries: &[Entry], others: &[&str]) -> Change {
    let others = others.iter().map(|&other| other.to_owned()).collect();
    Change::All { entries: entries.to_vec(), others }
}

/// Waits until the lease was renewed by a request that was sent from now on.
async fn renewed(lease: &mut Lease) {
    let now = Instant::now();
    let renewed = async {
        while lease.standing().renewed < now {
            lease.changed().await;
        }
    };
    timeout(PATIENCE, renewed).await.expect("a renewal");
}

#[tokio::test]
#[ignore = "needs etcd: .ci/peers.sh installs it"]
async fn members_join_change_and_leave_in_order() {
    let etcd = EtcdCluster::start(1);
    let (a, b, other) = (driver(&etcd, "g"), driver(&etcd, "g"), driver(&etcd, "gg"));
    join(&a, "a/1", "one").await;
    join(&other, "x/1", "").await;
    let mut changes = b.members();
    assert_eq!(next(&mut changes).await, all(&[entry("a/1", "one")], &["gg"]));
    join(&b, "b/2", "ä").await;
    join(&a, "a/1", "two").await;
    other.leave().await.unwrap();
    b.leave().await.unwrap();
    b.leave().await.unwrap();
    for change in [entered("b/2", "ä"), entered("a/1", "two"), Change::Left("b/2".to_owned())] {
        assert_eq!(next(&mut changes).await, change);
    }
    // Dropped without a word: the entry goes with its lease.
    drop(a);
    assert_eq!(next(&mut changes).await, Change::Left("a/1".to_owned()));
}

#[tokio::test]
#[ignore = "needs etcd: .ci/peers.sh installs it"]
async fn nodes_that_die_or_hang_cost_neither_lease_nor_change() {
    let mut etcd = EtcdCluster::start(3);
    let (a, b) = (driver(&etcd, "g"), driver(&etcd, "g"));
    let mut lease = join(&a, "a/1", "0").await;
    let mut changes = b.members();
    assert_eq!(next(&mut changes).await, all(&[entry("a/1", "0")], &[]));
    for round in 1..=3 {
        let node = etcd.leader();
        let hangs = round == 2;
        if hangs {
            etcd.hang(node)
        } else {
            etcd.kill(node)
        }
        renewed(&mut lease).await;
        let value = round.to_string();
        join(&a, "a/1", &value).await;
        let change = next(&mut changes).await;
        // Compared with a fresh reading meanwhile, or watched on.
        let (watched, read) = (entered("a/1", &value), all(&[entry("a/1", &value)], &[]));
        assert!(change == watched || change == read, "{round}: {change:?}");
        if hangs {
            etcd.resume(node)
        } else {
            etcd.launch(node)
        }
        renewed(&mut lease).await;
    }
    assert!(!lease.standing().is_lost);
}

#[tokio::test]
#[ignore = "needs etcd: .ci/peers.sh installs it"]
async fn without_quorum_the_lease_outlives_its_ttl_and_nothing_is_missed() {
    let mut etcd = EtcdCluster::start(3);
    let (a, b) = (driver(&etcd, "g"), driver(&etcd, "g"));
    let mut lease = join(&a, "a/1", "0").await;
    let mut changes = b.members();
    next(&mut changes).await;
    let down: Vec<usize> = (0..3).filter(|&node| node != etcd.leader()).collect();
    down.iter().for_each(|&node| etcd.kill(node));
    sleep(Duration::from_secs(5)).await;
    assert!(lease.standing().trouble.is_some());
    assert!(a.join("a/1", "1").await.is_err());
    down.iter().for_each(|&node| etcd.launch(node));
    renewed(&mut lease).await;
    assert!(lease.standing().trouble.is_none() && !lease.standing().is_lost);
    join(&a, "a/1", "2").await;
    let change = async {
        loop {
            let change = next(&mut changes).await;
            if change == entered("a/1", "2") || change == all(&[entry("a/1", "2")], &[]) {
                return;
            }
        }
    };
    timeout(PATIENCE, change).await.unwrap();
}

#[tokio::test]
#[ignore = "needs etcd: .ci/peers.sh installs it"]
async fn a_lease_that_is_revoked_is_known_to_be_lost_and_granted_anew() {
    let etcd = EtcdCluster::start(1);
    let (a, b) = (driver(&etcd, "g"), driver(&etcd, "g"));
    let mut lease = join(&a, "a/1", "0").await;
    let mut changes = b.members();
    next(&mut changes).await;
    let leases = etcd.post(0, "/v3/lease/leases", "{}").unwrap();
    let id = leases.rsplit("\"ID\":\"").next().unwrap().split('"').next().unwrap().to_owned();
    etcd.post(0, "/v3/lease/revoke", &format!("{{\"ID\": {id}}}")).unwrap();
    let lost = async {
        while !lease.standing().is_lost {
            lease.changed().await;
        }
    };
    timeout(PATIENCE, lost).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Left("a/1".to_owned()));
    assert!(!join(&a, "a/1", "1").await.standing().is_lost);
    assert_eq!(next(&mut changes).await, entered("a/1", "1"));
}

#[tokio::test]
#[ignore = "needs etcd: .ci/peers.sh installs it"]
async fn what_was_compacted_meanwhile_is_read_anew() {
    let mut etcd = EtcdCluster::start(3);
    let (a, b) = (driver(&etcd, "g"), driver(&etcd, "g"));
    join(&a, "a/1", "0").await;
    let mut changes = b.members();
    next(&mut changes).await;
    // A watch cannot be resumed without a node; then the missed events are compacted.
    (0..3).for_each(|node| etcd.kill(node));
    timeout(PATIENCE, async { while changes.next().await.is_ok() {} }).await.unwrap();
    (0..3).for_each(|node| etcd.launch(node));
    etcd.leader();
    let mut revision = String::new();
    for value in ["MQ==", "Mg==", "Mw=="] {
        let put = format!("{{\"key\": \"c2FtbGFyZS9nL2IvMg==\", \"value\": \"{value}\"}}");
        let answer = etcd.post(0, "/v3/kv/put", &put).unwrap();
        let (_, rest) = answer.split_once("\"revision\":\"").unwrap();
        revision = rest.split('"').next().unwrap().to_owned();
    }
    etcd.post(0, "/v3/kv/compaction", &format!("{{\"revision\": {revision}}}")).unwrap();
    let found = async {
        loop {
            match next(&mut changes).await {
                Change::Entered(entry) if entry.value == "3" => return,
                Change::All { entries, .. } if entries.iter().any(|e| e.value == "3") => return,
                _ => {}
            }
        }
    };
    timeout(PATIENCE, found).await.unwrap();
}

#[tokio::test]
#[ignore = "needs etcd: .ci/peers.sh installs it"]
async fn a_user_logs_in_with_a_password() {
    let etcd = EtcdCluster::start_at(1, "127.0.0.1", &["--auth-token-ttl", "2"]);
    let post =
        |path: &str, body: &str| etcd.post(0, path, body).unwrap_or_else(|| panic!("{path}"));
    let role = "{\"name\": \"samlare\", \"perm\": {\"permType\": \"READWRITE\", \
                \"key\": \"c2FtbGFyZS9nLw==\", \"range_end\": \"c2FtbGFyZS9nMA==\"}}";
    post("/v3/auth/role/add", "{\"name\": \"samlare\"}");
    post("/v3/auth/role/grant", role);
    for (user, role) in [("samlare", "samlare"), ("root", "root")] {
        if user == "root" {
            post("/v3/auth/role/add", "{\"name\": \"root\"}");
        }
        post("/v3/auth/user/add", &format!("{{\"name\": \"{user}\", \"password\": \"s3cret\"}}"));
        post("/v3/auth/user/grant", &format!("{{\"user\": \"{user}\", \"role\": \"{role}\"}}"));
    }
    post("/v3/auth/enable", "{}");
    let login = |password: &str| {
        let mut settings = settings(&etcd, "g");
        // A login takes etcd its time, which a busy machine has not got in one TTL of 3 s.
        settings.ttl = Duration::from_secs(15);
        let (user, password) = ("samlare".to_owned(), password.to_owned());
        settings.login = Some(Login { user, password, password_file: None });
        settings
    };
    let error = driver(&etcd, "g").join("a/1", "").await.unwrap_err();
    assert!(error.contains("etcd refuses"), "{error}");
    let error = Etcd::new(&login("wrong")).unwrap().join("a/1", "").await.unwrap_err();
    assert!(error.contains("authentication failed") && !error.contains("wrong"), "{error}");
    let other = Settings { group: "h".to_owned(), ..login("s3cret") };
    let error = Etcd::new(&other).unwrap().join("a/1", "").await.unwrap_err();
    assert!(error.contains("give the user a role"), "{error}");
    let engine = Etcd::new(&login("s3cret")).unwrap();
    let mut lease = join(&engine, "a/1", "0").await;
    let mut changes = engine.members();
    assert_eq!(next(&mut changes).await, all(&[entry("a/1", "0")], &[]));
    // The token expires; a new one is requested.
    sleep(Duration::from_secs(4)).await;
    renewed(&mut lease).await;
    join(&engine, "a/1", "1").await;
    assert_eq!(next(&mut changes).await, entered("a/1", "1"));
}

/// A CA, and a certificate that both sides show, as PEM files.
fn certificates(dir: &Path) {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa,
        KeyPair,
    };
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(dir.join("ca.pem"), ca.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    fs::write(dir.join("node.pem"), params.signed_by(&key, &ca).unwrap().pem()).unwrap();
    fs::write(dir.join("node.key"), key.serialize_pem()).unwrap();
}

#[tokio::test]
#[ignore = "needs etcd: .ci/peers.sh installs it"]
async fn nodes_are_spoken_to_over_tls_with_a_client_certificate() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let path = |name: &str| dir.path().join(name);
    let text = |name: &str| path(name).display().to_string();
    let (ca, certificate, key) = (text("ca.pem"), text("node.pem"), text("node.key"));
    let etcd = EtcdCluster::start_secured(&[
        "--client-cert-auth",
        "--trusted-ca-file",
        &ca,
        "--cert-file",
        &certificate,
        "--key-file",
        &key,
    ]);
    let mut settings = settings(&etcd, "g");
    settings.tls = true;
    settings.ca_file = Some(path("ca.pem"));
    settings.client_certificate = Some((path("node.pem"), path("node.key")));
    let engine = Etcd::new(&settings).unwrap();
    let mut lease = join(&engine, "a/1", "0").await;
    let mut changes = engine.members();
    assert_eq!(next(&mut changes).await, all(&[entry("a/1", "0")], &[]));
    join(&engine, "a/1", "1").await;
    assert_eq!(next(&mut changes).await, entered("a/1", "1"));
    renewed(&mut lease).await;
    // Without a certificate, or with another name, the connection fails.
    let nameless = Settings { client_certificate: None, ..settings.clone() };
    Etcd::new(&nameless).unwrap().join("b/1", "").await.unwrap_err();
    let other = Settings { server_name: Some("etcd.example".to_owned()), ..settings.clone() };
    let error = Etcd::new(&other).unwrap().join("b/1", "").await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    // What the files hold later counts from the next connection on.
    certificates(dir.path());
    engine.reread().unwrap();
    fs::remove_file(path("node.key")).unwrap();
    assert!(engine.reread().is_err());
    renewed(&mut lease).await;
}

/// Ten members at rest, and what they ask of etcd together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs etcd: .ci/peers.sh installs it"]
async fn ten_members_cost_at_most_twenty_requests_a_second() {
    let etcd = EtcdCluster::start(3);
    let member = |n: usize| {
        let mut settings = settings(&etcd, "g");
        settings.name = format!("m{n}");
        Membership::start(Start {
            engine: Arc::new(Etcd::new(&settings).unwrap()),
            settings,
            config: String::new(),
            slot: Duration::from_secs(10),
            counted: Arc::new(|| (0, 0)),
            news: Arc::default(),
            clock: Clock::System,
            log: Log::to(Default::default(), std::io::sink()),
        })
    };
    let members: Vec<Membership> = (0..10).map(member).collect();
    let joined = async {
        for member in &members {
            while member.status().report().members.len() < 10 {
                sleep(Duration::from_millis(50)).await;
            }
        }
    };
    timeout(PATIENCE, joined).await.unwrap();
    let asked = || members.iter().map(|member| member.status().report().requests).sum::<u64>();
    let served = || etcd.counted("grpc_server_started_total");
    let (asked_before, served_before, began) = (asked(), served(), Instant::now());
    sleep(Duration::from_secs(20)).await;
    let secs = began.elapsed().as_secs_f64();
    let (asked, served) = (asked() - asked_before, served() - served_before);
    println!("{:.1} a second sent, {:.1} served", asked as f64 / secs, served / secs);
    assert!(asked as f64 / secs <= 20.0, "{asked} in {secs} s");
    assert!(served / secs <= 20.0, "{served} in {secs} s");
}
