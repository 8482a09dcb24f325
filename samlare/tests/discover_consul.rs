//! Targets from Consul, whose API the test plays in the shapes of its
//! documentation.

#[path = "support/discovery.rs"]
mod discovery;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use discovery::{changed, until};
use samlare::discover::Settings;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// What one path answers: status, index, body.
type Page = (u16, u64, String);

/// Path with query, and token, of each request.
type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

struct Agent {
    address: String,
    pages: watch::Sender<BTreeMap<String, Page>>,
    asked: Asked,
}

impl Agent {
    async fn start() -> Agent {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (pages, receiver) = watch::channel(BTreeMap::new());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let agent = Agent {
            address: format!("http://{}", listener.local_addr().unwrap()),
            pages,
            asked: asked.clone(),
        };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, receiver.clone(), asked.clone()));
            }
        });
        agent
    }

    fn set(&self, path: &str, status: u16, index: u64, body: &str) {
        self.pages.send_modify(|pages| {
            pages.insert(path.to_owned(), (status, index, body.to_owned()));
        });
    }

    fn asked(&self) -> Vec<(String, Option<String>)> {
        self.asked.lock().unwrap().clone()
    }

    fn settings(&self) -> Settings {
        Settings {
            consul: Some(self.address.clone()),
            prefix: Some("apps.{service}.{node}.{host}_{port}".into()),
            ..Settings::default()
        }
    }
}

/// Answers one request, as a blocking query where it has an index.
async fn serve(
    stream: TcpStream,
    mut pages: watch::Receiver<BTreeMap<String, Page>>,
    asked: Asked,
) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    let url = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut token = None;
    loop {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap();
        if name.eq_ignore_ascii_case("x-consul-token") {
            token = Some(value.trim().to_owned());
        }
    }
    asked.lock().unwrap().push((url.clone(), token));
    let (path, query) = url.split_once('?').unwrap();
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    let index: u64 = parameter("index").unwrap().parse().unwrap();
    let wait = parameter("wait").unwrap();
    let wait = Duration::from_millis(wait.strip_suffix("ms").unwrap().parse().unwrap());
    let changed = pages.wait_for(|pages| {
        pages.get(path).is_none_or(|page| index == 0 || page.1 != index || page.0 != 200)
    });
    let _ = timeout(wait, changed).await;
    let page = pages.borrow().get(path).cloned();
    let (status, index, body) = page.unwrap_or((404, 0, "unknown".into()));
    let answer = format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nX-Consul-Index: {index}\r\n\
         X-Consul-Knownleader: true\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// An instance in the shape of `/v1/health/service/:service`.
fn instance(service: &str, node: &str, address: &str, port: u16, tags: &str) -> String {
    format!(
        r#"{{"Node": {{"ID": "40e4a748-2192-161a-0510-9bf59fe950b5", "Node": "{node}",
            "Address": "10.1.10.12", "Datacenter": "dc1",
            "TaggedAddresses": {{"lan": "10.1.10.12"}}, "Meta": {{"rack": "r1"}}}},
           "Service": {{"ID": "{service}-{node}", "Service": "{service}", "Tags": {tags},
            "Address": "{address}", "Meta": {{"version": "7"}}, "Port": {port},
            "Weights": {{"Passing": 10, "Warning": 1}}, "Namespace": "default"}},
           "Checks": [{{"Node": "{node}", "CheckID": "serfHealth", "Status": "passing"}}]}}"#
    )
}

#[tokio::test]
async fn instances_of_a_named_service_come_and_go_by_blocking_queries() {
    let agent = Agent::start().await;
    let path = "/v1/health/service/pay%2Eapi";
    let one = instance("pay.api", "n1", "", 8080, "null");
    let two = instance("pay.api", "n2", "10.9.9.9", 8081, r#"["prod", "v1"]"#);
    agent.set(path, 200, 10, &format!("[{one}]"));
    let mut settings = agent.settings();
    settings.services = vec!["pay.api".into()];
    settings.datacenter = Some("dc1".into());
    let mut discovery = settings.check().unwrap().spawn();
    assert_eq!(
        changed(&mut discovery).await,
        ["http://10.1.10.12:8080/debug/vars apps.pay_api.n1.10_1_10_12_8080"]
    );
    agent.set(path, 200, 11, &format!("[{one},{two}]"));
    assert_eq!(
        changed(&mut discovery).await,
        [
            "http://10.1.10.12:8080/debug/vars apps.pay_api.n1.10_1_10_12_8080",
            "http://10.9.9.9:8081/debug/vars apps.pay_api.n2.10_9_9_9_8081",
        ]
    );
    let labels = discovery.targets.borrow()[1].labels.clone();
    for (name, value) in
        [("rack", "r1"), ("version", "7"), ("dc", "dc1"), ("tag", "prod"), ("id", "pay.api-n2")]
    {
        assert_eq!(labels[name], value);
    }
    agent.set(path, 200, 12, "[]");
    assert_eq!(changed(&mut discovery).await, [""; 0]);
    // The index went back, as after the loss of Consul's state: the query restarts.
    agent.set(path, 200, 3, &format!("[{two}]"));
    assert_eq!(changed(&mut discovery).await.len(), 1);
    agent.set(path, 200, 4, &format!("[{one}]"));
    assert_eq!(
        changed(&mut discovery).await,
        ["http://10.1.10.12:8080/debug/vars apps.pay_api.n1.10_1_10_12_8080"]
    );
    let urls: Vec<_> = agent.asked().into_iter().map(|(url, _)| url).collect();
    let expected = |index| format!("{path}?passing=1&dc=dc1&index={index}&wait=300000ms");
    assert_eq!(urls[..4], [0, 10, 11, 12].map(expected));
    assert_eq!(urls[4], expected(0), "index 3 came after 12: {urls:?}");
}

#[tokio::test]
async fn the_catalog_is_followed_where_no_service_is_named() {
    let agent = Agent::start().await;
    let list = "/v1/catalog/services";
    agent.set(list, 200, 5, r#"{"consul": [], "api": ["vars", "prod"], "web": ["vars"]}"#);
    let api = instance("api", "n1", "10.0.0.1", 1, r#"["vars", "prod"]"#);
    let other = instance("api", "n2", "10.0.0.2", 1, r#"["test"]"#);
    let web = instance("web", "n1", "10.0.0.3", 2, r#"["vars"]"#);
    agent.set("/v1/health/service/api", 200, 6, &format!("[{api},{other}]"));
    agent.set("/v1/health/service/web", 200, 7, &format!("[{web}]"));
    let mut settings = agent.settings();
    settings.tags = vec!["vars".into()];
    let mut discovery = settings.check().unwrap().spawn();
    while changed(&mut discovery).await.len() < 2 {}
    let targets: Vec<_> = discovery.targets.borrow().iter().map(|t| t.url.clone()).collect();
    assert_eq!(targets, ["http://10.0.0.1:1/debug/vars", "http://10.0.0.3:2/debug/vars"]);
    assert!(!agent.asked().iter().any(|(url, _)| url.contains("service/consul")));

    // A service leaves the catalog, and takes its targets with it.
    agent.set(list, 200, 8, r#"{"consul": [], "web": ["vars"]}"#);
    assert_eq!(
        changed(&mut discovery).await,
        ["http://10.0.0.3:2/debug/vars apps.web.n1.10_0_0_3_2"]
    );
}

#[tokio::test]
async fn a_failing_agent_changes_nothing_and_shows_no_token() {
    let agent = Agent::start().await;
    let path = "/v1/health/service/api";
    agent.set(path, 200, 1, &format!("[{}]", instance("api", "n1", "10.0.0.1", 1, "[]")));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "s3cret-one\n").unwrap();
    let mut settings = agent.settings();
    settings.services = vec!["api".into()];
    settings.token_file = Some(file.display().to_string());
    let discover = settings.check().unwrap();
    let shown = format!("{settings:?} {discover:?} {}", discover.source.name());
    let mut discovery = discover.spawn();
    assert_eq!(changed(&mut discovery).await.len(), 1);
    // A new token is used with the next request.
    std::fs::write(&file, "s3cret-two\n").unwrap();
    for (status, body, said) in [
        (500, "rpc error", "status 500"),
        (403, "Permission denied", "the token may not read it"),
        (200, "<html>", "not Consul's"),
    ] {
        agent.set(path, status, 2, body);
        until(&discovery, |report| report.failing && report.last_error.contains(said)).await;
        let report = discovery.status.report();
        assert_eq!(report.targets, 1);
        assert!(!format!("{report:?} {shown}").contains("s3cret"), "{report:?}");
    }
    assert!(!discovery.targets.has_changed().unwrap());
    agent.set(path, 200, 3, "[]");
    assert_eq!(changed(&mut discovery).await.len(), 0);
    assert!(!discovery.status.report().failing);
    let tokens: Vec<_> = agent.asked().into_iter().map(|(_, token)| token.unwrap()).collect();
    assert_eq!(tokens.first().unwrap(), "s3cret-one");
    assert_eq!(tokens.last().unwrap(), "s3cret-two");
}

#[tokio::test]
async fn an_answer_without_an_index_is_not_consuls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]";
            stream.write_all(answer).await.unwrap();
        }
    });
    let settings = Settings {
        consul: Some(address.to_string()),
        services: vec!["api".into()],
        prefix: Some("a.{host}".into()),
        ..Settings::default()
    };
    let discovery = settings.check().unwrap().spawn();
    until(&discovery, |report| report.last_error.contains("X-Consul-Index")).await;
    assert!(!discovery.status.answered());
}

#[test]
fn a_bad_address_is_named_without_what_it_holds() {
    for consul in ["", "ftp://x", "http://user:s3cret@x:8500", "http://", "http://x/v1"] {
        let settings = Settings {
            consul: Some(consul.into()),
            prefix: Some("a".into()),
            ..Settings::default()
        };
        let problems = settings.check().unwrap_err();
        assert_eq!(problems[0].key, "Consul", "{consul}");
        assert!(!problems[0].message.contains("s3cret"));
    }
}
