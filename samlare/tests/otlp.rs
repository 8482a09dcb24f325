//! Numbers to an OpenTelemetry collector: each endpoint is a resource.

#[path = "support/program.rs"]
mod program;

use expvar_peers::collector;

use program::{PATIENCE, Program, Service, Sink, free_port, wait_for};

/// A field of a message: number, integer, bytes.
type Field<'b> = (u64, u64, &'b [u8]);

fn fields(mut message: &[u8]) -> Vec<Field<'_>> {
    let varint = |message: &mut &[u8]| {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = message[0];
            *message = &message[1..];
            value |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return value;
            }
        }
    };
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        match key & 7 {
            0 => found.push((key >> 3, varint(&mut message), &message[..0])),
            1 => {
                let (number, rest) = message.split_at(8);
                let number = u64::from_le_bytes(number.try_into().unwrap());
                found.push((key >> 3, number, &message[..0]));
                message = rest;
            }
            2 => {
                let len = varint(&mut message) as usize;
                found.push((key >> 3, 0, &message[..len]));
                message = &message[len..];
            }
            other => panic!("wire type {other}"),
        }
    }
    found
}

fn within(message: &[u8], number: u64) -> Vec<&[u8]> {
    fields(message).into_iter().filter(|field| field.0 == number).map(|field| field.2).collect()
}

/// Resource, name and value of each gauge of a request.
fn gauges(request: &[u8]) -> Vec<(String, String, u64)> {
    let mut found = Vec::new();
    for of_resource in within(request, 1) {
        let resource = String::from_utf8_lossy(within(of_resource, 1)[0]).into_owned();
        for metric in within(within(of_resource, 2)[0], 2) {
            let name = String::from_utf8(within(metric, 1)[0].to_vec()).unwrap();
            let point = within(within(metric, 5)[0], 1)[0];
            let value = fields(point).into_iter().find(|field| field.0 == 6).unwrap().1;
            found.push((resource.clone(), name, value));
        }
    }
    found
}

fn config(keys: &str, service: &Service) -> String {
    format!(
        "{keys}\nCheckInterval = 1000\nTimeout = 20000\n\
         [[endpoint]]\nURL = \"{}\"\nPrefix = \"shop\"\nFailureMetric = \"shop.failed\"\n",
        service.url("/a")
    )
}

#[test]
fn endpoints_are_resources_and_their_numbers_gauges() {
    let (service, (url, received)) = (Service::counting(), collector());
    let program = Program::start(&config(&format!("Otlp = \"{url}\""), &service));
    let mut values = Vec::new();
    while values.len() < 3 {
        let request = received.recv_timeout(PATIENCE).unwrap();
        for (resource, name, value) in gauges(&request) {
            assert!(resource.contains("service.name") && resource.contains("shop"), "{resource}");
            assert!(resource.contains(&service.url("/a")), "{resource}");
            match name.as_str() {
                "n" => values.push(value),
                "shop.failed" => assert_eq!(value, 0),
                other => panic!("{other}"),
            }
        }
    }
    assert_eq!(values[..3], [1, 2, 3]);
    program.terminate();
    // What waited when it ended came too.
    let rest = received.try_iter().flat_map(|request| gauges(&request));
    values.extend(rest.filter(|(_, name, _)| name == "n").map(|(.., value)| value));
    assert_eq!(values, (1..=values.len() as u64).collect::<Vec<_>>());
}

#[test]
fn it_goes_beside_carbon_and_comes_and_goes_with_a_reload() {
    let (service, (url, received), sink) = (Service::counting(), collector(), Sink::start());
    let carbon = format!("CarbonHost = \"127.0.0.1\"\nCarbonPort = {}", sink.port);
    let program = Program::start(&config(&carbon, &service));
    sink.wait_for("shop.n", 1);
    assert!(received.try_recv().is_err());
    program.reload(&config(&format!("{carbon}\nOtlp = \"{url}\""), &service));
    let request = received.recv_timeout(PATIENCE).unwrap();
    assert!(gauges(&request).iter().any(|(_, name, _)| name == "n"));
    sink.wait_for("shop.n", 3);
    program.reload(&config(&carbon, &service));
    program.terminate();
}

#[test]
fn what_waits_for_a_collector_goes_to_another_one_in_order() {
    let (service, (url, received), away) = (Service::counting(), collector(), free_port());
    let with = |url: &str| config(&format!("Otlp = {url:?}\nFlushTimeout = 20000"), &service);
    let program = Program::start(&with(&format!("http://127.0.0.1:{away}")));
    program.wait_for_log("destination accepts no points");
    service.wait_for_answers(4);
    program.reload(&with(&url));
    let mut values = Vec::new();
    while values.len() < 5 {
        let request = received.recv_timeout(PATIENCE).unwrap();
        let found = gauges(&request).into_iter();
        values.extend(found.filter(|(_, name, _)| name == "n").map(|(.., value)| value));
    }
    assert_eq!(values, (1..=values.len() as u64).collect::<Vec<_>>());
    let log = program.terminate();
    assert!(!log.contains("are lost"), "{log}");
}

#[test]
fn a_collector_that_cannot_be_one_is_a_mistake_in_the_file() {
    for (url, words) in [("collector:4318", "http://collector:4318"), ("http://c:4317", "4318")] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let service = Service::counting();
        std::fs::write(&path, config(&format!("Otlp = \"{url}\""), &service)).unwrap();
        let output = program::samlare(&["check", path.to_str().unwrap()]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success());
        assert!(text.contains("Otlp") && text.contains(words), "{text}");
    }
}

#[test]
fn a_collector_that_is_away_is_told_in_the_log() {
    let (service, port) = (Service::counting(), free_port());
    let keys = format!("Otlp = \"http://127.0.0.1:{port}\"\nFlushTimeout = 100");
    let program = Program::start(&config(&keys, &service));
    wait_for("the outage", || {
        program.log().contains("destination accepts no points").then_some(())
    });
    program.terminate();
}
