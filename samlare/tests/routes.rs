//! Points to many Carbons by the configuration's keys.

#[path = "support/program.rs"]
mod program;

use std::io::Write;

use expvar_carbon::{Cluster, Dialect, Route};
use program::{Program, Service, Sink, document, wait_for};
use samlare::config::Config;

const NUMBERS: usize = 60;

/// A service of many numbers, and two of tests.
fn service() -> Service {
    let numbers: Vec<String> = (0..NUMBERS).map(|n| format!("\"n{n}\": {n}")).collect();
    let body = format!("{{\"app\": {{{}}}, \"test\": {{\"a\": 1, \"b\": 2}}}}", numbers.join(", "));
    Service::start(move |_, stream| drop(stream.write_all(&document(&body))))
}

#[test]
fn each_name_goes_where_the_hash_or_its_rule_says() {
    let sinks: Vec<Sink> = (0..4).map(|_| Sink::start()).collect();
    let service = service();
    let at = |n: usize| format!("127.0.0.1:{}={}", sinks[n].port, ["a", "b", "c", "d"][n]);
    let program = Program::start(&format!(
        "Carbon = [\"{}\", \"{}\", \"{}\"]\nRoute = \"carbon_ch\"\nReplication = 2\nDialect = \
         \"carbon\"\nCheckInterval = 1000\n\
         [[rule]]\nMatch = \"t.test.**\"\nCarbon = \"127.0.0.1:{}\"\n\
         [[endpoint]]\nURL = \"{}\"\nPrefix = \"t\"\n",
        at(0),
        at(1),
        at(2),
        sinks[3].port,
        service.url("/v"),
    ));
    let cluster = (1..3).fold(Cluster::to(at(0)), |cluster, n| cluster.and(at(n)));
    let cluster = cluster.route(Route::CarbonCh).dialect(Dialect::Carbon).replication(2);
    let mut router = cluster.router().unwrap();
    let got = |sink: usize, name: &str| !sinks[sink].named(name).is_empty();
    let mut used = [0; 3];
    for n in 0..NUMBERS {
        let name = format!("t.app.n{n}");
        let servers: Vec<usize> =
            router.route(name.as_bytes()).iter().map(|&at| at.into()).collect();
        assert_eq!(servers.len(), 2);
        for &server in &servers {
            used[server] += 1;
            wait_for(&name, || got(server, &name).then_some(()));
        }
        let other = (0..3).find(|server| !servers.contains(server)).unwrap();
        assert!(!got(other, &name) && !got(3, &name), "{name}");
    }
    assert!(used.iter().all(|count| *count > 0), "{used:?}");
    for name in ["t.test.a", "t.test.b"] {
        wait_for(name, || got(3, name).then_some(()));
        assert!((0..3).all(|sink| !got(sink, name)), "{name}");
    }
    program.terminate();
}

#[test]
fn what_no_relay_could_do_is_refused_with_the_line_and_the_remedy() {
    let endpoint = "[[endpoint]]\nURL = \"http://h/\"\nPrefix = \"h\"\n";
    for (text, said) in [
        (
            "Carbon = [\"a:1\"]\nRoute = \"ring\"\n",
            "line 2: Route: \"ring\" is unknown: write one of",
        ),
        (
            "Carbon = [\"a:1\"]\nDialect = \"go\"\n",
            "line 2: Dialect: \"go\" is unknown: write c-relay",
        ),
        (
            "Carbon = [\"a:1\", \"b:1\"]\nReplication = 2\n",
            "line 2: Replication: the route failover has none",
        ),
        (
            "Carbon = [\"a:1\", \"b:1\"]\nRoute = \"carbon_ch\"\nReplication = 3\n",
            "line 3: Replication: ",
        ),
        (
            "Carbon = [\"a:1\", \"b:1\"]\nRoute = \"jump_fnv1a_ch\"\nDialect = \"carbon\"\n",
            "line 2: Route: ",
        ),
        (
            "Carbon = [\"a:1\"]\nRoute = \"any\"\nCarbonMode = \"copy\"\n",
            "line 3: CarbonMode: Route says",
        ),
        ("Carbon = [\"a:1\", \"a:1\"]\nRoute = \"any\"\n", "line 1: Carbon: "),
        ("Carbon = [\"a:1\"]\n[[rule]]\nCarbon = \"b:1\"\n", "line 2: rule.Match: it is missing"),
        ("Carbon = [\"a:1\"]\n[[rule]]\nMatch = \"x.*\"\n", "line 2: rule.Carbon: it is missing"),
        (
            "Carbon = [\"a:1\"]\n[[rule]]\nMatch = \"x.[\"\nCarbon = \"b:1\"\n",
            "line 3: rule.Match: ",
        ),
        (
            "Carbon = [\"a:1\"]\n[[rule]]\nMatch = \"x.*\"\nCarbon = \"b\"\n",
            "line 4: rule.Carbon: ",
        ),
        (
            "Carbon = [\"a:1\"]\n[[rule]]\nMatch = \"x\"\nCarbon = [\"b:1\"]\nReplication = 2\n",
            "line 5: rule.Replication: ",
        ),
        ("[[rule]]\nMatch = \"x.*\"\nCarbon = \"b:1\"\n", "Carbon: it is missing: names that no"),
        ("Match = \"x\"\n", "line 1: Match: it belongs to a rule: move it below [[rule]]"),
    ] {
        let errors = Config::parse(&format!("{text}{endpoint}")).unwrap_err();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(errors.iter().any(|error| error.contains(said)), "{text}: {errors:?}");
    }
    let (config, warnings) = Config::parse(&format!(
        "Carbon = [\"a:1\", \"b:1\"]\nRoute = \"copy\"\nCarbonMode = \"copy\"\n{endpoint}"
    ))
    .unwrap();
    assert_eq!((config.carbon.unwrap().routing.route, warnings), (Route::Copy, Vec::new()));
    // As a real carbon-relay does it, and hardly as it is meant.
    let lopsided = "Carbon = [\"a:1\", \"b:1\"]\nRoute = \"fnv1a_ch\"\nDialect = \"carbon\"\n";
    let (_, warnings) = Config::parse(&format!("{lopsided}{endpoint}")).unwrap();
    assert!(warnings[0].to_string().contains("line 2: Route: carbon-relay's fnv1a_ch"));
}
