//! Where real relays send names: `tests/routes.json` was made by running carbon-c-relay 3.7.3 and
//! carbon-relay 1.1.7.

use super::*;

#[derive(Debug)]
struct Row {
    dialect: Dialect,
    route: Route,
    replication: usize,
    diverse: bool,
    servers: Vec<Address>,
    /// Names with the places of their servers; none where the relay refuses or never answers.
    chosen: Option<Vec<(String, Vec<u16>)>>,
}

impl Row {
    fn router(&self) -> Result<Router, ConfigError> {
        let Row { dialect, route, replication, diverse, .. } = *self;
        Router::new(Hashing { route, dialect, replication, diverse }, &self.servers)
    }
}

fn rows() -> Vec<Row> {
    let data: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/routes.json")).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let row = |row: &serde_json::Value| Row {
        dialect: text(&row["relay"]).parse().unwrap(),
        route: text(&row["route"]).parse().unwrap(),
        replication: row["copies"].as_u64().unwrap() as usize,
        diverse: row["diverse"].as_bool().unwrap_or(false),
        servers: row["servers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| text(s).parse().unwrap())
            .collect(),
        chosen: row["chosen"].as_str().map(|chosen| {
            let names = data["names"][text(&row["names"])].as_array().unwrap();
            let chosen = chosen
                .split(' ')
                .map(|servers| servers.chars().map(|c| c.to_digit(36).unwrap() as u16).collect());
            names.iter().map(text).zip(chosen).collect()
        }),
    };
    data["rows"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn every_name_goes_where_the_relays_send_it() {
    let (mut names, mut by_relay) = (0, [0, 0]);
    for row in rows() {
        by_relay[usize::from(row.dialect == Dialect::Carbon)] += 1;
        let Some(chosen) = &row.chosen else { continue };
        let mut router = row.router().unwrap_or_else(|error| panic!("{error}: {row:?}"));
        // The second time it is remembered.
        for _ in 0..2 {
            for (name, servers) in chosen {
                assert_eq!(router.route(name.as_bytes()), servers, "{name}: {row:?}");
                names += 1;
            }
        }
    }
    assert_eq!(by_relay, [72, 87]);
    assert!(names > 30_000, "{names}");
}

#[test]
fn what_no_relay_can_do_is_refused_with_the_reason() {
    let refused: Vec<Row> = rows().into_iter().filter(|row| row.chosen.is_none()).collect();
    assert_eq!(refused.len(), 6);
    for row in refused {
        let error = row.router().unwrap_err().to_string();
        match row.dialect {
            Dialect::CRelay => assert!(error.contains("copies cannot go to"), "{error}"),
            Dialect::Carbon => assert!(error.contains("are one server to carbon-relay"), "{error}"),
        }
        assert!(error.contains("give each") && error.contains("host:2003=a"), "{error}");
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let servers: Vec<Address> = ["a:1", "b:1"].map(|s| s.parse().unwrap()).into();
    let of = |route, dialect, replication, diverse| {
        let error = Router::new(Hashing { route, dialect, replication, diverse }, &servers);
        error.map(drop).unwrap_err().field().to_owned()
    };
    assert_eq!(of(Route::JumpFnv1aCh, Dialect::Carbon, 1, false), "route");
    assert_eq!(of(Route::Mmh3Ch, Dialect::CRelay, 1, false), "route");
    assert_eq!(of(Route::CarbonCh, Dialect::CRelay, 1, true), "diverse");
    assert_eq!(of(Route::CarbonCh, Dialect::CRelay, 0, false), "replication");
    assert_eq!(of(Route::JumpFnv1aCh, Dialect::CRelay, 3, false), "replication");
    assert_eq!("rendezvous".parse::<Route>().unwrap_err().field(), "route");
    assert_eq!("c".parse::<Dialect>().unwrap_err().field(), "dialect");
    for route in Route::EVERY {
        assert_eq!(route.to_string().parse(), Ok(route));
    }
}
