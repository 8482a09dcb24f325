//! Real producers, polled into a real carbon-cache and read back from its whisper files.

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use expvar_peers::{CarbonCache, python};
use program::{Program, Service, data, document, free_port, shown, wait_for};

/// A process that ends with the test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A project of one file, with variables of every kind.
const DJANGO: &str = r#"
import sys
from django.conf import settings
settings.configure(DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="test",
                   INSTALLED_APPS=["expvar", "app"])
import django
django.setup()
from django.urls import path
from expvar.views import ExpVarView
urlpatterns = [path("debug/vars", ExpVarView.as_view())]
from wsgiref.simple_server import make_server
from django.core.wsgi import get_wsgi_application
server = make_server("127.0.0.1", 0, get_wsgi_application())
print(server.server_port, flush=True)
server.serve_forever()
"#;

const VARIABLES: &str = r#"
from expvar import ExpVar

class Requests(ExpVar):
    name = "requests"
    count = 0
    def value(self):
        Requests.count += 1
        return Requests.count

class Users(ExpVar):
    name = "users"
    def value(self):
        return {"active": 3, "ratio": 0.25, "huge": 2 ** 70, "label": "none", "on": True}
"#;

fn start_django(dir: &std::path::Path) -> (Ending, u16) {
    let python = python("django", &["django==5.2.*", "django-expvar==0.2.1"]);
    fs::create_dir(dir.join("app")).unwrap();
    fs::write(dir.join("app/__init__.py"), "").unwrap();
    fs::write(dir.join("app/vars.py"), VARIABLES).unwrap();
    fs::write(dir.join("run.py"), DJANGO).unwrap();
    start(Command::new(python.join("bin/python")).arg("run.py").current_dir(dir))
}

/// Starts a producer that prints its port.
fn start(command: &mut Command) -> (Ending, u16) {
    use std::io::{BufRead, BufReader};
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (Ending(child), line.trim().parse().expect("the producer prints its port"))
}

#[test]
fn django_our_own_service_and_go_documents_arrive_in_whisper() {
    let carbon = CarbonCache::start();
    let dir = tempfile::tempdir().unwrap();
    let (_django, django) = start_django(dir.path());
    let golden = fs::read_to_string(data("producers/go1.27-reference.json")).unwrap();
    let go = Service::start(move |_, stream| drop(stream.write_all(&document(&golden))));
    let registry = expvar::Registry::new();
    let orders = registry.publish("orders", std::sync::Arc::new(expvar::Counter::new())).unwrap();
    orders.add(17);
    let own = expvar_http::Server::builder().registry(&registry).spawn("127.0.0.1:0").unwrap();
    let listen = free_port();
    let program = Program::start(&format!(
        "CarbonHost = \"127.0.0.1\"\nCarbonPort = {}\nCheckInterval = 1000\nTimeout = 20000\n\
         Listen = \"127.0.0.1:{listen}\"\n\
         [[endpoint]]\nURL = \"http://127.0.0.1:{django}/debug/vars\"\nPrefix = \"t.django\"\n\
         FailureMetric = \"t.django.failure\"\n\
         [[endpoint]]\nURL = \"{}\"\nPrefix = \"t.go\"\n\
         [[endpoint]]\nURL = \"{}/debug/vars\"\nPrefix = \"t.own\"\n\
         [[endpoint]]\nURL = \"http://127.0.0.1:{listen}/debug/vars\"\nPrefix = \"t.samlare\"\n",
        carbon.line_port,
        go.url("/debug/vars"),
        own.url(),
    ));
    let requests = carbon.await_points("t.django.requests", 4);
    let last = |name: &str| *carbon.await_points(name, 3).values().next_back().unwrap();
    assert_eq!(last("t.django.users.active"), 3.0);
    assert_eq!(last("t.django.users.ratio"), 0.25);
    assert_eq!(last("t.django.users.huge"), 2f64.powi(70));
    assert_eq!(last("t.django.failure"), 0.0);
    assert_eq!(last("t.own.orders"), 17.0);
    assert_eq!(last("t.go.counters.sub.deep.leaf"), 1.0);
    assert_eq!(last("t.go.float_million"), 1e6);
    assert_eq!(last("t.go.int_min"), i64::MIN as f64);
    assert_eq!(last("t.go.memstats.Alloc"), 178_776.0);
    assert!(last("t.samlare.samlare.sender.points_sent") > 0.0);
    assert!(last("t.samlare.samlare.polls") > 0.0);
    let skipped = shown(listen, "samlare.skipped").as_u64().unwrap();
    program.terminate();
    let names = carbon.names();
    for absent in ["t.django.users.label", "t.django.users.on", "t.go.func_bool", "t.go.greeting"] {
        assert!(!names.iter().any(|name| name == absent), "{absent}");
    }
    let requests: Vec<_> = requests.into_iter().collect();
    assert_each_second(&requests, skipped);
}

/// One point a second, each from a poll of its own. On a busy machine a slot may pass unused: then it
/// is counted.
fn assert_each_second(points: &[(u64, f64)], skipped: u64) {
    for pair in points.windows(2) {
        assert_eq!(pair[1].1, pair[0].1 + 1.0, "no poll is lost: {points:?}");
    }
    let slots = points[points.len() - 1].0 - points[0].0 + 1;
    let unused = slots - points.len() as u64;
    assert!(unused <= skipped, "{unused} slots without a point, {skipped} skipped: {points:?}");
}

#[test]
#[ignore = "needs Go: .ci/peers.sh installs it"]
fn a_go_service_is_polled() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("main.go"),
        r#"package main

import (
	"expvar"
	"fmt"
	"net"
	"net/http"
)

func main() {
	hits := expvar.NewMap("hits")
	hits.Add("index", 7)
	expvar.NewFloat("load").Set(1e6)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	http.Serve(listener, nil)
}
"#,
    )
    .unwrap();
    let built = Command::new("go")
        .args(["build", "-o", "service", "main.go"])
        .env("GOCACHE", dir.path().join("cache"))
        .env("GO111MODULE", "off")
        .current_dir(dir.path())
        .status()
        .expect("this test needs Go: .ci/peers.sh installs it");
    assert!(built.success());
    let (_service, port) = start(&mut Command::new(dir.path().join("service")));
    let carbon = CarbonCache::start();
    let program = Program::start(&format!(
        "CarbonHost = \"127.0.0.1\"\nCarbonPort = {}\nCheckInterval = 1000\n\
         [[endpoint]]\nURL = \"http://127.0.0.1:{port}/debug/vars\"\nPrefix = \"t.go\"\n",
        carbon.line_port,
    ));
    let last = |name: &str| *carbon.await_points(name, 3).values().next_back().unwrap();
    assert_eq!(last("t.go.hits.index"), 7.0);
    assert_eq!(last("t.go.load"), 1e6);
    assert!(last("t.go.memstats.Sys") > 0.0);
    program.terminate();
}

#[test]
#[ignore = "slow: restarts a Carbon"]
fn a_restart_of_carbon_loses_nothing() {
    let mut carbon = CarbonCache::start();
    let (service, page) = (Service::counting(), free_port());
    let program = Program::start(&format!(
        "Listen = \"127.0.0.1:{page}\"\n\
         CarbonHost = \"127.0.0.1\"\nCarbonPort = {}\nCheckInterval = 1000\nTimeout = 20000\n\
         [[endpoint]]\nURL = \"{}\"\nPrefix = \"t\"\n",
        carbon.line_port,
        service.url("/v"),
    ));
    carbon.await_points("t.n", 3);
    carbon.kill();
    std::thread::sleep(Duration::from_secs(2));
    carbon.launch();
    let points = wait_for("points after the restart", || {
        Some(carbon.points("t.n")).filter(|points| points.values().any(|value| *value >= 10.0))
    });
    let skipped = shown(page, "samlare.skipped").as_u64().unwrap();
    program.terminate();
    let points: Vec<_> = points.into_iter().collect();
    assert_eq!(points[0].1, 1.0, "{points:?}");
    assert_each_second(&points, skipped);
}
