//! A Carbon that hangs: its kernel takes points for a while, the program none.

use std::io::Read;
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use expvar_carbon::{Event, Lines, Sender, Unsent};

const NOW: u64 = 1_700_000_000;
const SOON: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_millis(500);

#[test]
fn points_go_to_another_server_once_the_kernel_of_the_preferred_one_takes_no_more() {
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let well = TcpListener::bind("127.0.0.1:0").unwrap();
    let [first, second] = [&hung, &well].map(|l| l.local_addr().unwrap().to_string());
    let (texts, received) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in well.incoming() {
            let mut text = String::new();
            stream.unwrap().read_to_string(&mut text).unwrap();
            texts.send(text).unwrap();
        }
    });
    let (tell, told) = mpsc::channel();
    let sender = Sender::builder().to(&first).to(&second).timeout(TIMEOUT).resend_window(SOON * 60);
    let sender = sender.on_event(move |event: &Event| tell.send(event.to_string()).unwrap());
    let sender = sender.spawn().unwrap();
    let mut points = 0;
    let failed_over = loop {
        let mut lines = Lines::new();
        (points..points + 1_000).for_each(|n| assert!(lines.point("hung.series", n, NOW + n)));
        points += 1_000;
        sender.send(&mut lines);
        if let Ok(event) = told.recv_timeout(TIMEOUT / 20) {
            break event;
        }
    };
    assert!(failed_over.starts_with(&format!("points go to tcp://{second}, because ")));
    assert!(failed_over.contains(&format!("tcp://{first}: ")), "{failed_over}");
    assert_eq!(sender.close(SOON), Unsent::default());
    let text = received.recv_timeout(SOON).unwrap();
    let mut expected = Lines::new();
    (0..points).for_each(|n| assert!(expected.point("hung.series", n, NOW + n)));
    assert!(text.as_bytes() == expected.as_bytes(), "every point once, in order");
    let stats = sender.stats();
    assert_eq!((stats.points_dropped, stats.failures), (0, 1), "{stats:?}");
    println!("{} points of {points} went to the one that hangs", stats.points_resent);
    drop(hung);
}
