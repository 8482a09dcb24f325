//! Pickles byte for byte, as they go over the wire.
//!
//! Two frames that others send are never ours: one with a letter outside ASCII in a name, which not
//! every server takes, and one without points.

use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use expvar_carbon::{Lines, Sender, Tags, Unsent};

/// How long anything may take on a busy machine before a test fails.
const SOON: Duration = Duration::from_secs(60);

type Point = (&'static str, u64, f64);

/// Frames of the smallest pickle of protocol 2 that every server takes, each with its points.
const FRAMES: &[(&[Point], &str)] = &[
    (
        &[("a.b", 1_700_000_000, 1.5)],
        "0000001e80025d285803000000612e624a00f15365473ff80000000000008686652e",
    ),
    (
        &[("a.b", 1_700_000_000, 1.5), ("a.b", 1_700_000_010, 2.5)],
        "0000003680025d285803000000612e624a00f15365473ff800000000000086865803000000612e624a0af1536547\
         40040000000000008686652e",
    ),
    (
        &[("int", 1_700_000_000, 42.0)],
        "0000001e80025d285803000000696e744a00f153654740450000000000008686652e",
    ),
    (
        &[("big", 1_700_000_000, 1_099_511_627_776.0)],
        "0000001e80025d2858030000006269674a00f153654742700000000000008686652e",
    ),
    (
        &[("small", 1_700_000_000, -1e-300)],
        "0000002080025d285805000000736d616c6c4a00f153654781a56e1fc2f8f3598686652e",
    ),
];

/// The bytes that arrive when these lines are sent.
fn sent(mut lines: Lines) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("pickle://{}", listener.local_addr().unwrap());
    let sender = Sender::builder().to(url).timeout(SOON).spawn().unwrap();
    sender.send(&mut lines);
    let mut frame = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| listener.accept().unwrap().0.read_to_end(&mut frame).unwrap());
        assert_eq!(sender.close(SOON), Unsent::default());
    });
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn pickles_are_the_smallest_that_every_server_takes() {
    for (points, hex) in FRAMES {
        let mut lines = Lines::new();
        for (name, timestamp, value) in *points {
            assert!(lines.point(name, *value, *timestamp));
        }
        assert_eq!(sent(lines), *hex);
    }
}

#[test]
fn tags_are_part_of_a_pickles_name() {
    let tags = Tags::new().with("host", "h1").unwrap().with("dc", "ams").unwrap();
    let mut lines = Lines::tagged(tags);
    assert!(lines.point("disk.used", 0.0, 1_700_000_000));
    assert_eq!(
        sent(lines),
        "0000003380025d2858180000006469736b2e757365643b64633d616d733b686f73743d68314a00f1536547\
         00000000000000008686652e"
    );
}
