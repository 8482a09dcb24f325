//! Whole screens of `samlare watch`, drawn from documents: exact to the cell.

use std::path::Path;

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use samlare::watch::draw::draw;
use samlare::watch::service::{MAX_SERIES, Service, State};
use samlare::watch::view::View;
use samlare::watch::wanted::Wanted;

const GO: &str = include_str!("screens/go1.27.json");

fn view(services: usize, wanted: Vec<Wanted>) -> View {
    let named = |i: usize| Service::new(&format!("host{i}:8080"), services);
    View::new((0..services).map(named).collect(), wanted, 1.0, true)
}

/// Go's document as it is after so many seconds.
fn go(second: u64) -> String {
    GO.replace("\"requests\": 42", &format!("\"requests\": {}", second * second * 10))
        .replace("\"goroutines\": 3", &format!("\"goroutines\": {}", 3 + second % 4))
        .replace("\"Mallocs\":914", &format!("\"Mallocs\":{}", 914 + second * 5))
        .replace("\"HeapAlloc\":233168", &format!("\"HeapAlloc\":{}", 233_168 + second % 7 * 9999))
}

fn screen(view: &View, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(view, frame.area(), frame.buffer_mut())).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| line(y).trim_end().to_owned() + "\n").collect()
}

/// Compares with the file of this name; `UPDATE_SCREENS=1` writes it instead,
/// to be looked at.
fn assert_screen(name: &str, drawn: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens").join(name);
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        std::fs::write(&path, drawn).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(drawn == expected, "{name} is not as it was; drawn:\n{drawn}\nexpected:\n{expected}");
}

fn press(view: &mut View, code: KeyCode) {
    view.key(KeyEvent::from(code));
}

fn type_text(view: &mut View, text: &str) {
    text.chars().for_each(|c| press(view, KeyCode::Char(c)));
}

#[test]
fn one_service_of_go() {
    let mut view = view(1, Vec::new());
    assert_screen("waiting-80x24.txt", &screen(&view, 80, 24));
    for second in 0..100 {
        view.take(0, second as f64, Ok(go(second).as_bytes()));
    }
    (0..3).for_each(|_| press(&mut view, KeyCode::Down));
    assert_screen("one-80x24.txt", &screen(&view, 80, 24));
    assert_screen("one-200x60.txt", &screen(&view, 200, 60));
    press(&mut view, KeyCode::Char('/'));
    type_text(&mut view, "MEM sys");
    assert_screen("filter-80x24.txt", &screen(&view, 80, 24));
    press(&mut view, KeyCode::Esc);
    press(&mut view, KeyCode::Char('?'));
    assert_screen("help-80x24.txt", &screen(&view, 80, 24));
}

#[test]
fn a_selected_text_is_shown_whole() {
    let mut view = view(1, Vec::new());
    let long = "a motto of eleven words that is wider than the screen is ".repeat(2);
    let document = format!(r#"{{"motto":"{long}","none":null,"hits":1}}"#);
    view.take(0, 0.0, Ok(document.as_bytes()));
    press(&mut view, KeyCode::Char('a'));
    press(&mut view, KeyCode::Down);
    assert_screen("text-80x24.txt", &screen(&view, 80, 24));
}

#[test]
fn five_services_up_down_and_restarted() {
    let mut view = view(5, Vec::new());
    for second in 0..60 {
        let now = second as f64;
        for service in [0, 1, 4] {
            view.take(service, now, Ok(go(second).as_bytes()));
        }
        let answer = if second < 40 { Ok(go(second)) } else { Err("cannot connect".to_owned()) };
        view.take(2, now, answer.as_ref().map(|text| text.as_bytes()).map_err(Clone::clone));
        let since_start = if second < 50 { second } else { second - 50 };
        view.take(3, now, Ok(go(since_start).as_bytes()));
    }
    view.now = 62.0;
    press(&mut view, KeyCode::Tab);
    assert_screen("five-80x24.txt", &screen(&view, 80, 24));
    assert_screen("five-200x60.txt", &screen(&view, 200, 60));
    press(&mut view, KeyCode::Tab);
    press(&mut view, KeyCode::Enter);
    press(&mut view, KeyCode::Char('r'));
    press(&mut view, KeyCode::Char('p'));
    assert_screen("down-80x24.txt", &screen(&view, 80, 24));
    let text = screen(&view, 80, 24);
    assert!(text.contains("DOWN 22s") && text.contains("PAUSED") && text.contains("totals"));
}

#[test]
fn every_size_is_drawn() {
    let mut one = view(1, Vec::new());
    let mut many = view(23, Vec::new());
    for second in 0..5 {
        one.take(0, second as f64, Ok(go(second).as_bytes()));
        for service in 0..23 {
            many.take(service, second as f64, Ok(go(second).as_bytes()));
        }
    }
    many.take(7, 5.0, Err("cannot connect".into()));
    many.selected = 20;
    one.help = true;
    for width in (0..24).chain([38, 39, 40, 41, 60, 79, 80, 200, 500]) {
        for height in (0..15).chain([23, 24, 100]) {
            for view in [&one, &many] {
                let area = Rect::new(0, 0, width, height);
                draw(view, area, &mut Buffer::empty(area));
            }
        }
    }
}

#[test]
fn the_selected_service_is_on_the_screen_however_many_there_are() {
    let mut view = view(100, Vec::new());
    for selected in [0, 1, 49, 98, 99] {
        view.selected = selected;
        let text = screen(&view, 80, 24);
        assert!(text.contains(&format!("host{selected}:8080")), "{selected}: {text}");
    }
}

/// `restarts` after one document, then (with an outage between) another.
fn restarts(before: &[&str], outage: bool, after: &str) -> u32 {
    let mut service = Service::new("x", 1);
    let mut now = 0.0;
    let mut take = |answer: Result<&str, String>| {
        now += 1.0;
        service.take(now, answer.map(str::as_bytes));
    };
    before.iter().for_each(|document| take(Ok(document)));
    if outage {
        take(Err("away".into()));
    }
    take(Ok(after));
    assert_eq!(service.state, State::Up);
    service.restarts
}

#[test]
fn a_restart_is_noticed_by_what_only_a_new_process_does() {
    let rising = [r#"{"a":1,"b":9}"#, r#"{"a":2,"b":9}"#, r#"{"a":3,"b":9}"#, r#"{"a":40,"b":9}"#];
    for (before, outage, after, expected, why) in [
        (&[r#"{"cmdline":["a"]}"#][..], false, r#"{"cmdline":["a","-b"]}"#, 1, "command line"),
        (&[r#"{"cmdline":["a"]}"#], true, r#"{"cmdline":["a"]}"#, 0, "the same process"),
        (&[r#"{"process":{"pid":7}}"#], false, r#"{"process":{"pid":8}}"#, 1, "process id"),
        (
            &[r#"{"process":{"start_time_seconds":1700000000.2}}"#],
            false,
            r#"{"process":{"start_time_seconds":1700000009.2}}"#,
            1,
            "start time",
        ),
        (
            &[r#"{"start_time":1700000000.2}"#],
            false,
            r#"{"start_time":1700000000.9}"#,
            0,
            "a start time that is computed wavers",
        ),
        (&[r#"{"uptime_seconds":99.5}"#], false, r#"{"uptime_seconds":0.5}"#, 1, "uptime"),
        (
            &[r#"{"memstats":{"TotalAlloc":9,"HeapAlloc":5}}"#],
            false,
            r#"{"memstats":{"TotalAlloc":3,"HeapAlloc":3}}"#,
            1,
            "Go's own counters",
        ),
        (
            &[r#"{"memstats":{"TotalAlloc":9,"HeapAlloc":5}}"#],
            false,
            r#"{"memstats":{"TotalAlloc":10,"HeapAlloc":3}}"#,
            0,
            "a collection is no restart",
        ),
        (&rising, false, r#"{"a":2,"b":9}"#, 0, "a level that falls, as far as is known"),
        (&rising, true, r#"{"a":2,"b":9}"#, 1, "what only rose fell while it was away"),
        (&[r#"{"a_total":40}"#], false, r#"{"a_total":2}"#, 1, "a counter from 40 to 2"),
        (
            &[r#"{"a_total":40,"uptime":9}"#],
            false,
            r#"{"a_total":2,"uptime":10}"#,
            0,
            "it says that it has been up",
        ),
        (&rising, false, r#"{"a":39,"b":9}"#, 0, "a gauge that rose for a while"),
        (&rising[..2], false, r#"{"a":0,"b":9}"#, 0, "rose once, fell"),
        (&rising[..2], true, r#"{"a":0,"b":9}"#, 1, "rose once, was away, fell"),
    ] {
        assert_eq!(restarts(before, outage, after), expected, "{why}");
    }
}

#[test]
fn rates_start_anew_after_a_restart() {
    let mut view = view(1, Vec::new());
    for (now, hits) in [(0, 0), (1, 100), (2, 200), (3, 300), (4, 400), (5, 3), (6, 103)] {
        let document = format!("{{\"hits_total\": {hits}}}");
        view.take(0, f64::from(now), Ok(document.as_bytes()));
    }
    assert_eq!(view.services[0].restarts, 1);
    let text = screen(&view, 80, 24);
    assert!(text.contains("hits_total  now 100/s of 103  min 100/s"), "{text}");
}

#[test]
fn nested_names_and_names_that_hold_dots_are_both_found() {
    let wanted = samlare::watch::wanted::parse("a.b.c,x.y,mem:m.n,duration:d").unwrap();
    let mut view = view(1, wanted);
    let document = br#"{"a":{"b":{"c":1}},"x.y":2,"m":{"n":2048},"d":1500000,"other":5}"#;
    view.take(0, 0.0, Ok(document));
    let shown: Vec<_> = view
        .rows(0)
        .iter()
        .map(|row| {
            let value = row.series.and_then(|series| series.latest.as_number()).unwrap();
            format!("{} {}", row.name, row.unit.show(value))
        })
        .collect();
    assert_eq!(shown, ["a.b.c 1", "x.y 2", "m.n 2KB", "d 1.5ms"]);
}

#[test]
fn short_lived_names_are_forgotten_and_their_number_is_bounded() {
    let mut service = Service::new("x", 1);
    for poll in 0..400 {
        let names: Vec<_> = (0..250).map(|i| format!("\"n{}\":{i}", poll * 250 + i)).collect();
        let document = format!("{{{}}}", names.join(","));
        service.take(f64::from(poll), Ok(document.as_bytes()));
        assert!(service.len() <= MAX_SERIES);
    }
    assert_eq!(service.len(), MAX_SERIES, "100,000 names came");
    assert!(service.left_out > 0);
    for poll in 400..700 {
        service.take(f64::from(poll), Ok(b"{\"last\": 1}"));
    }
    assert_eq!(service.len(), 1);
}

#[test]
fn a_pause_lets_the_screen_stand_still_while_the_data_goes_on() {
    let mut view = view(1, Vec::new());
    (0..5).for_each(|second| view.take(0, second as f64, Ok(go(second).as_bytes())));
    let before = screen(&view, 80, 24);
    press(&mut view, KeyCode::Char('p'));
    let paused = screen(&view, 80, 24);
    (5..9).for_each(|second| view.take(0, second as f64, Ok(go(second).as_bytes())));
    press(&mut view, KeyCode::Down);
    press(&mut view, KeyCode::Up);
    assert_eq!(screen(&view, 80, 24), paused);
    assert!(before != paused && paused.contains("PAUSED"), "{paused}");
    press(&mut view, KeyCode::Char('p'));
    assert_eq!(view.services[0].times().len(), 9);
    assert!(screen(&view, 80, 24) != before);
}

#[test]
fn a_dotted_key_and_nested_ones_of_the_same_name_are_two_variables() {
    let mut view = view(1, Vec::new());
    for second in 0..3 {
        let document = format!(r#"{{"a": {{"b": 1}}, "a.b": {}, "x": 1, "x": 2}}"#, 7 + second);
        view.take(0, second as f64, Ok(document.as_bytes()));
    }
    let service = &view.services[0];
    let values: Vec<_> = service.all().map(|(name, s)| (name, s.latest.as_number())).collect();
    assert_eq!(values, [("a.b", Some(1.0)), ("a.b #2", Some(9.0)), ("x", Some(2.0))]);
    assert_eq!(service.restarts, 0);
}
