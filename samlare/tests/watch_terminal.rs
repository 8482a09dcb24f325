//! `samlare watch` in a real pseudo-terminal: keys go in, the screen is read.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use expvar_peers::free_port;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

const LONG: Duration = Duration::from_secs(60);
const GO: &str = include_str!("screens/go1.27.json");

/// A service that answers a document that the test may change.
struct Server {
    address: SocketAddr,
    document: Arc<Mutex<String>>,
}

impl Server {
    fn start(document: &str) -> Server {
        Server::on(TcpListener::bind("127.0.0.1:0").unwrap(), document)
    }

    fn on(listener: TcpListener, document: &str) -> Server {
        let address = listener.local_addr().unwrap();
        let document = Arc::new(Mutex::new(document.to_owned()));
        let shown = document.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let body = shown.lock().unwrap().clone();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Server { address, document }
    }

    fn set(&self, document: impl Into<String>) {
        *self.document.lock().unwrap() = document.into();
    }
}

/// A program in a terminal.
struct Session {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    screen: Arc<Mutex<vt100::Parser>>,
    /// Every byte that the program wrote.
    written: Arc<Mutex<Vec<u8>>>,
    drained: Option<std::thread::JoinHandle<()>>,
}

impl Session {
    fn watch(size: (u16, u16), arguments: &[&str]) -> Session {
        Session::start(size, arguments, |_| {})
    }

    fn start(
        (columns, rows): (u16, u16),
        arguments: &[&str],
        change: impl Fn(&mut CommandBuilder),
    ) -> Session {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_samlare"));
        command.arg("watch");
        command.args(arguments);
        change(&mut command);
        Session::run((columns, rows), command)
    }

    fn run((columns, rows): (u16, u16), mut command: CommandBuilder) -> Session {
        command.env("TERM", "xterm-256color");
        if command.get_env("NO_COLOR").is_none() {
            command.env("NO_COLOR", "");
        }
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).unwrap();
        let child = pty.slave.spawn_command(command).unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(cells(rows), cells(columns), 0)));
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut output = pty.master.try_clone_reader().unwrap();
        let drained = std::thread::spawn({
            let (screen, written) = (screen.clone(), written.clone());
            move || {
                let mut buffer = [0; 65536];
                let mut pending = Vec::new();
                while let Ok(count @ 1..) = output.read(&mut buffer) {
                    written.lock().unwrap().extend_from_slice(&buffer[..count]);
                    pending.extend_from_slice(&buffer[..count]);
                    // Only whole frames are seen.
                    if !is_within_frame(&pending) {
                        screen.lock().unwrap().process(&pending);
                        pending.clear();
                    }
                }
                screen.lock().unwrap().process(&pending);
            }
        });
        let keys = pty.master.take_writer().unwrap();
        Session { master: pty.master, keys, child, screen, written, drained: Some(drained) }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until the screen matches.
    fn until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + LONG;
        loop {
            let text = self.text();
            if is(&text) {
                return text;
            }
            assert!(Instant::now() < end, "never: {what}\n{text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn shows(&self, words: &str) -> String {
        self.until(words, |text| text.contains(words))
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.screen.lock().unwrap().screen_mut().set_size(cells(rows), cells(columns));
        self.master
            .resize(PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 })
            .unwrap();
    }

    /// The exit code, once the program has ended and everything is read.
    fn ends(&mut self) -> u32 {
        let end = Instant::now() + LONG;
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.exit_code();
            }
            assert!(Instant::now() < end, "does not end\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        };
        self.drained.take().unwrap().join().unwrap();
        code
    }

    /// Asserts that the terminal is as it was before the program.
    fn is_restored(&self) {
        let parser = self.screen.lock().unwrap();
        assert!(!parser.screen().alternate_screen(), "still on the other screen");
        assert!(!parser.screen().hide_cursor(), "the cursor is still hidden");
        drop(parser);
        let termios = self.master.get_termios().expect("a terminal has settings");
        let flags = format!("{:?}", termios.local_flags);
        for flag in ["ECHO", "ICANON", "ISIG"] {
            assert!(flags.contains(flag), "{flag} is still off: {flags}");
        }
    }

    fn is_taken(&self) {
        assert!(self.screen.lock().unwrap().screen().alternate_screen());
        let flags = format!("{:?}", self.master.get_termios().unwrap().local_flags);
        assert!(!flags.contains("ICANON"), "{flags}");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the bytes end within a synchronized update.
fn is_within_frame(bytes: &[u8]) -> bool {
    let last = |mark: &[u8]| bytes.windows(mark.len()).rposition(|window| window == mark);
    last(b"\x1b[?2026h") > last(b"\x1b[?2026l")
}

fn cells(count: u16) -> std::num::NonZero<u16> {
    count.try_into().expect("a size")
}

/// The line of the screen that starts with the variable's name.
fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let found = text.lines().rfind(|line| line.trim_start().starts_with(name));
    found.unwrap_or_else(|| panic!("no line of {name} in\n{text}"))
}

fn plain(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_samlare")).arg("watch").args(arguments).output().unwrap()
}

#[test]
fn gos_document_at_80x24_with_every_key() {
    let go = Server::start(GO);
    let url = format!("http://{}", go.address);
    let mut session = Session::watch((80, 24), &[&url, "-i=50ms"]);
    let text = session.shows("memstats.HeapAlloc");
    session.is_taken();
    assert!(text.starts_with("samlare watch  1 service, every 50ms, rates"), "{text}");
    assert!(text.contains(&format!("● refserver_127 {}", go.address)), "{text}");
    assert!(text.contains("254 of 255 variables"), "without the mean of PauseEnd: {text}");
    assert!(line(&text, "memstats.Sys").ends_with("7.71MB    7.71MB"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80));

    session.press("/requ");
    session.until("the filter's line", |t| t.contains("/ requ█") && t.contains("1 of 255"));
    session.press("\r");
    session.shows("/ requ  / change  Esc clear");
    // A level or a counter: it has not moved.
    session.shows("requests  now 42  min 42");
    go.set(GO.replace("\"requests\": 42", "\"requests\": 4242"));
    session.shows("requests  now 4242  min ");
    session.press("r");
    let text = session.until("totals", |t| t.contains("every 50ms, totals"));
    assert!(line(&text, "requests  ").contains("4242"), "{text}");
    session.press("\x1b");
    session.until("no filter", |text| text.contains("254 of 255"));

    session.press("a");
    let text = session.until("all by name", |text| text.contains("a fewer"));
    assert!(line(&text, "build.dirty").contains("false"), "{text}");
    assert!(line(&text, "cmdline").ends_with("127.0.0.1:0"), "{text}");
    assert!(line(&text, "counters.dotted.key").contains('2'), "{text}");
    session.press("G");
    session.until("the last variable", |text| text.contains("memstats.BySize.9."));
    session.press("gjj");
    session.until("the third variable's chart", |text| text.contains("build.go"));
    session.press("a?");
    session.shows("this help; any key closes it");
    session.press("x");
    session.until("no help", |text| !text.contains("this help"));

    session.press("p");
    session.shows("PAUSED");
    go.set(GO.replace("\"requests\": 42", "\"requests\": 999777"));
    session.press("/requests\r");
    session.until("the filter", |text| text.contains("1 of 255"));
    assert!(!session.text().contains("1M") && !session.text().contains("1000k"));
    session.press(" ");
    session.until("the value that came when it went on", |text| {
        !text.contains("PAUSED") && line(text, "requests  ").contains("1M")
    });
    session.press("q");
    assert_eq!(session.ends(), 0);
    session.is_restored();
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again() {
    let go = Server::start(GO);
    let mut shell = CommandBuilder::new("bash");
    shell.args(["--norc", "--noprofile", "-i"]);
    let mut session = Session::run((100, 24), shell);
    session.press(&format!("{} watch {}\r", env!("CARGO_BIN_EXE_samlare"), go.address));
    session.shows("memstats.HeapAlloc");
    session.is_taken();
    session.press("\x1a");
    session.shows("Stopped");
    assert!(!session.screen.lock().unwrap().screen().alternate_screen());
    session.press("fg\r");
    session.shows("memstats.HeapAlloc");
    session.is_taken();
    session.press("q");
    session.until("the shell", |text| !text.contains("memstats.HeapAlloc"));
    session.press("exit\r");
    assert_eq!(session.ends(), 0);
    session.is_restored();
}

#[test]
fn several_services_side_by_side_at_200x60_and_after_a_resize() {
    let servers: Vec<_> = (0..3).map(|_| Server::start(GO)).collect();
    let mut ports: Vec<_> =
        servers.iter().map(|s| format!("127.0.0.1:{}", s.address.port())).collect();
    ports.push(format!("127.0.0.1:{}", free_port()));
    let ports = format!("-ports={}", ports.join(","));
    let vars = "-vars=mem:memstats.Alloc,requests,str:greeting,duration:memstats.PauseTotalNs,\
                counters.dotted.key,nope";
    let mut session = Session::watch((200, 60), &[&ports, vars, "--i", "100ms"]);
    let text = session.until("all four", |text| {
        text.matches("228KB").count() == 6 && text.contains("Connection refused")
    });
    assert!(text.contains("4 services, every 100ms, totals  1 down"), "{text}");
    let first = text.lines().nth(1).unwrap();
    assert!(first.matches("refserver_127").count() >= 2, "side by side: {first}");
    assert!(text.contains("cannot connect: Connection refused"), "{text}");
    assert_eq!(text.lines().nth(2).unwrap().matches("228KB").count(), 4, "{text}");
    assert!(line(&text, "greeting").contains("hello"), "{text}");
    assert!(line(&text, "requests").contains("42"), "{text}");
    assert!(line(&text, "counters.dotted.key").contains('2'), "{text}");
    assert!(line(&text, "nope").contains("n/a"), "{text}");

    // The selected service alone, the next one, and back.
    session.press("\t\r");
    session.shows(&format!("● refserver_127 {}", servers[1].address));
    session.press("\t");
    session.shows(&format!("● refserver_127 {}", servers[2].address));
    session.press("\x1b[Z\x1b");
    session.until("all again", |text| text.matches("● refserver_127").count() == 3);

    for (columns, rows) in [(80, 24), (40, 12), (21, 4), (10, 2), (200, 60)] {
        session.resize(columns, rows);
        let text = session.until("what fits", |text| match (columns, rows) {
            (10, 2) => text.contains("too small"),
            (200, 60) => text.contains("Connection refused"),
            _ => text.starts_with("samlare watch") && text.contains("q quit"),
        });
        assert!(text.lines().all(|line| line.chars().count() <= columns.into()), "{text}");
    }
    session.press("\x03");
    assert_eq!(session.ends(), 0);
    session.is_restored();
}

#[test]
fn our_own_service_moves_goes_down_and_is_seen_to_restart() {
    let start = |port: u16| {
        let registry = expvar::Registry::new();
        let hits = registry.publish("http.hits", expvar::Counter::new()).unwrap();
        let mode = registry.publish("mode", expvar::Text::new()).unwrap();
        mode.set("running");
        let server = expvar_http::Server::builder()
            .registry(&registry)
            .spawn(("127.0.0.1", port))
            .expect("the port is free");
        (server, hits)
    };
    let port = free_port();
    let (server, hits) = start(port);
    hits.add(1_000_000);
    let url = format!("http://127.0.0.1:{port}/debug/vars");
    let mut session = Session::watch((80, 24), &["-i=50ms", "-vars=http.hits,mode", &url]);
    session.until("the count", |text| text.contains("1M") && text.contains("running"));
    hits.add(500_000);
    session.shows("1.5M");
    server.shutdown();
    let text = session.shows("DOWN");
    assert!(text.contains("1 down"), "{text}");
    assert!(line(&text, "http.hits").contains("1.5M"), "the last value stays: {text}");
    let (_server, hits) = start(port);
    hits.add(7);
    let text = session.until("the restart", |text| text.contains("↻ restarted"));
    assert!(text.contains(&format!("● 127.0.0.1:{port}")), "{text}");
    assert!(!text.contains("DOWN"), "{text}");
    session.press("q");
    assert_eq!(session.ends(), 0);
}

#[test]
fn signals_give_the_terminal_back() {
    let go = Server::start(GO);
    for signal in ["TERM", "HUP", "INT"] {
        let mut session = Session::watch((80, 24), &[&go.address.to_string()]);
        session.shows("memstats.HeapAlloc");
        session.is_taken();
        let process = session.child.process_id().unwrap().to_string();
        let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {process}")]).status();
        assert!(sent.unwrap().success());
        assert_eq!(session.ends(), 0, "{signal}");
        session.is_restored();
    }
}

/// Run by the test below in a terminal of its own.
#[test]
fn panicking_child() {
    if std::env::var_os("SAMLARE_TEST_PANIC").is_none() {
        return;
    }
    let mut terminal = samlare::watch::terminal::Terminal::enter().unwrap();
    let view = samlare::watch::view::View::new(Vec::new(), Vec::new(), 1.0, false);
    terminal.draw(&view).unwrap();
    panic!("on purpose");
}

#[test]
fn a_panic_gives_the_terminal_back_before_its_message() {
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.args(["--exact", "panicking_child", "--nocapture"]);
    command.env("SAMLARE_TEST_PANIC", "1");
    command.env("RUST_BACKTRACE", "0");
    let mut session = Session::run((80, 24), command);
    assert_ne!(session.ends(), 0);
    session.is_restored();
    let written = String::from_utf8_lossy(&session.written.lock().unwrap()).into_owned();
    let entered = written.find("\x1b[?1049h").expect("it was drawn");
    let left = written.find("\x1b[?1049l").expect("it was given back");
    let said = written.find("on purpose").expect("it is said");
    assert!(entered < left && left < said, "{written:?}");
    assert!(session.text().contains("on purpose"), "readable: {}", session.text());
}

/// The colours that were set: `ESC [ … 3x m` and their like.
fn colours(written: &[u8]) -> usize {
    let text = String::from_utf8_lossy(written);
    let sequences = text.split("\x1b[").skip(1).filter_map(|rest| rest.split_once('m'));
    let parameters = sequences.filter(|(p, _)| p.chars().all(|c| c.is_ascii_digit() || c == ';'));
    let coloured = parameters.filter(|(p, _)| {
        p.split(';')
            .filter_map(|p| p.parse::<u32>().ok())
            .any(|p| matches!(p, 30..=38 | 40..=48 | 90..=97 | 100..=107))
    });
    coloured.count()
}

#[test]
fn no_color_means_none() {
    let go = Server::start(GO);
    for (no_color, any) in [("", true), ("1", false)] {
        let arguments = [&*go.address.to_string(), "127.0.0.1:1", "-i=50ms"];
        let mut session =
            Session::start((80, 24), &arguments, |command| command.env("NO_COLOR", no_color));
        session.until("up and down", |text| text.contains("●") && text.contains("DOWN"));
        session.press("\r?");
        session.shows("this help");
        session.press("q");
        assert_eq!(session.ends(), 0);
        assert_eq!(colours(&session.written.lock().unwrap()) > 0, any, "NO_COLOR={no_color}");
    }
}

#[test]
fn hostile_names_and_values_do_nothing() {
    let long = "n".repeat(10_000);
    let hostile = format!(
        r#"{{"\u001b[31mred\u001b]0;title\u0007": 1, "a\u202egnp.exe\u2066": 2, "{long}": 3,
            "t": "\u001b[2J\u009b6n\r\n\t\u0000\u007f", "wide漢字\u200b😀": 4,
            "cmdline": ["/bin/\u001b[5mevil\u202e"], "v": "{long}", "e\u0301\u0301\u0301": 5}}"#
    );
    let server = Server::start(&hostile);
    let mut session =
        Session::start((80, 24), &[&server.address.to_string(), "-i=50ms"], |command| {
            command.env("NO_COLOR", "1");
        });
    session.shows("8 of 8 variables");
    session.press("a");
    let text = session.shows("a fewer");
    assert!(text.contains("?[31mred?]0;title?"), "{text}");
    assert!(text.contains("a?gnp.exe?"), "{text}");
    assert!(text.contains("wide漢字?😀"), "{text}");
    assert!(line(&text, "t ").contains("?[2J?6n?????"), "{text}");
    assert!(text.contains("● ?[5mevil?"), "{text}");
    assert!(text.contains("n…"), "{text}");
    for row in ["q quit", "samlare watch"] {
        assert!(text.contains(row), "the screen is whole: {text}");
    }
    session.press("G");
    session.press("q");
    assert_eq!(session.ends(), 0);
    let written = session.written.lock().unwrap().clone();
    let written = String::from_utf8(written).expect("UTF-8");
    for bad in
        ["\x1b[31m", "\x1b]0", "\x1b[5m", "\u{9b}", "\u{202e}", "\u{2066}", "\u{200b}", "\x07"]
    {
        assert!(!written.contains(bad), "{bad:?} was written");
    }
}

#[test]
fn what_is_wrong_with_the_arguments_is_said_and_nothing_is_drawn() {
    for (arguments, said) in [
        (&["-ports=host:80-x"][..], "is no port from 1 to 65535"),
        (&["-ports=ftp://x"], "valid are 80 (a port of this machine), 23000-23010"),
        (&["80", "-vars=nope:x"], "there is no modifier nope:"),
        (&[], "no services"),
        (&["80", "-i=1"], "write 500ms, 5s"),
        (&["80", "-colour"], "-colour is no flag"),
    ] {
        let output = plain(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(said), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty());
    }
    let output = plain(&["127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no terminal; use -dummy"));
    let output = plain(&["-help"]);
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for flag in ["-ports", "-vars", "-i", "-endpoint", "-self", "-dummy", "NO_COLOR", "HTTP_USER"] {
        assert!(help.contains(flag), "{flag} in {help}");
    }
}

#[test]
fn dummy_prints_lines_of_this_program_too() {
    let go = Server::start(GO);
    let mut child = Command::new(env!("CARGO_BIN_EXE_samlare"))
        .args([
            "watch",
            "-dummy",
            "-self",
            "-i=50ms",
            "-vars=mem:memstats.Alloc,requests,str:greeting",
        ])
        .args([go.address.to_string(), "127.0.0.1:1".to_owned()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    // On a busy machine a service may answer later than its first line is due.
    let service =
        format!("refserver_127 {}: Alloc: 228KB, requests: 42, greeting: hello\n", go.address);
    let dead = "127.0.0.1:1: ERROR: cannot connect: Connection refused\n";
    let own = |line: &str| line.starts_with("samlare 127.0.0.1:") && line.contains("Alloc: ");
    let mut lines: Vec<String> = Vec::new();
    let end = Instant::now() + LONG;
    while ![service.as_str(), dead].iter().all(|said| lines.iter().any(|line| line == said))
        || !lines.iter().any(|line| own(line))
    {
        let mut line = String::new();
        assert!(output.read_line(&mut line).unwrap() > 0, "it goes on: {lines:?}");
        lines.push(line);
        assert!(Instant::now() < end, "{lines:?}");
    }
    // It ends when its output is closed.
    drop(output);
    let end = Instant::now() + LONG;
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    // A time, then a line a service in the order of the command line.
    let times: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].ends_with("Z\n")).collect();
    assert_eq!(times[0], 0, "{lines:?}");
    for &at in times.iter().filter(|&at| at + 3 < lines.len()) {
        assert!(lines[at + 1].contains(&go.address.to_string()), "{lines:?}");
        assert!(lines[at + 2].starts_with("127.0.0.1:1: "), "{lines:?}");
    }
}

#[test]
fn credentials_of_the_environment_go_to_services_without_their_own_and_are_never_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_samlare"))
        .args(["watch", "-dummy", "-i=1s"])
        .args([format!("http://{address}/a"), format!("http://me:mine@{address}/b")])
        .envs([("HTTP_USER", "user"), ("HTTP_PASSWORD", "s3cret")])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let count = stream.read(&mut request).unwrap();
        seen.push(String::from_utf8_lossy(&request[..count]).to_lowercase());
        write!(stream, "HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
    }
    seen.sort();
    assert!(
        seen[0].starts_with("get /a ") && seen[0].contains("basic dxnlcjpzm2nyzxq="),
        "{seen:?}"
    );
    assert!(seen[1].starts_with("get /b ") && seen[1].contains("basic bwu6bwluzq=="), "{seen:?}");
    let mut output = child.stdout.take().unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    // On a busy machine the first lines come before the answers.
    while text.matches("status 401").count() < 2 {
        let count = output.read(&mut buffer).unwrap();
        assert!(count > 0, "it goes on: {text}");
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!text.contains("s3cret") && !text.contains("mine"), "{text}");
}
