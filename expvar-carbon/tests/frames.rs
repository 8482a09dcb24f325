//! Pickles byte for byte, as they go over the wire.

use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use expvar_carbon::{Left, Lines, Sender};

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
];

#[test]
fn pickles_are_the_smallest_that_every_server_takes() {
    for (points, hex) in FRAMES {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("pickle://{}", listener.local_addr().unwrap());
        let sender = Sender::builder().to(url).spawn().unwrap();
        let mut lines = Lines::new();
        for (name, timestamp, value) in *points {
            assert!(lines.point(name, *value, *timestamp));
        }
        sender.send(&mut lines);
        let mut frame = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| listener.accept().unwrap().0.read_to_end(&mut frame).unwrap());
            assert_eq!(sender.close(Duration::from_secs(10)), Left::default());
        });
        let got: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(got, *hex);
    }
}
