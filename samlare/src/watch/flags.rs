//! The command line: expvarmon's flags, and URLs.

use std::path::PathBuf;
use std::time::Duration;

use super::ports;
use super::wanted::{self, Wanted};

/// What `samlare watch -help` prints.
pub(super) const HELP: &str = "\
Shows the variables of running services in the terminal.

    samlare watch [flags] URL...
    samlare watch -ports=\"80,23000-23010,https://user:pass@host:443\"

Flags, with one dash or two, -flag=value or -flag value:
  -ports LIST       services: ports of this machine, ranges, host:port, URLs
  -vars LIST        variables: mem:memstats.Alloc,duration:Response.Mean,str:version,Counter
                    (default: the most important ones)
  -i DURATION       time between two polls, like 500ms, 5s, 1m30s (default 5s)
  -endpoint PATH    path of the variables where a service has none (default /debug/vars)
  -ca-file PATH     PEM file of certificates to trust, besides the system's
  -self             watch this program too
  -dummy            print lines instead of drawing

Credentials for services without their own: HTTP_USER and HTTP_PASSWORD in the
environment. No colour with NO_COLOR, lines as with -dummy where TERM is dumb.
Press ? for the keys.

Examples:
    samlare watch -ports=\"80\"
    samlare watch -ports=\"23000-23010,http://example.com:80-81\" -i=1m
    samlare watch -ports=\"80,remoteapp:80\" -vars=\"mem:memstats.Alloc,duration:Response.Mean,Counter\"
    samlare watch https://user:pass@host/debug/vars unix:///run/app.sock
";

const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// A valid command line.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Flags {
    /// The URLs of the services.
    pub urls: Vec<String>,
    /// The variables to show; chosen automatically if empty.
    pub wanted: Vec<Wanted>,
    /// The interval of polls.
    pub interval: Duration,
    /// Print lines instead of drawing.
    pub dummy: bool,
    /// Watch this program too.
    pub own: bool,
    /// Certificates to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
}

/// The command.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Watch.
    Watch(Flags),
    /// Print [`HELP`].
    Help,
}

/// Parses the command line after `samlare watch`.
///
/// # Errors
/// Everything that is invalid, with remedies.
pub(super) fn parse(args: &[String]) -> Result<Command, String> {
    let mut positional = Vec::new();
    let (mut lists, mut vars, mut endpoint) = (Vec::new(), None, "/debug/vars".to_owned());
    let (mut interval, mut dummy, mut own) = (Duration::from_secs(5), false, false);
    let mut ca_file = None;
    let mut bad = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            positional.extend(rest.by_ref().cloned());
            break;
        }
        let Some(flag) = arg.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
            positional.push(arg.clone());
            continue;
        };
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        let (name, mut value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        match name {
            "h" | "help" => return Ok(Command::Help),
            "ports" | "vars" | "i" | "endpoint" | "ca-file" => {
                value = value.or_else(|| rest.next().map(String::as_str));
                let Some(value) = value else {
                    bad.push(format!("-{name} needs a value"));
                    continue;
                };
                match name {
                    "ports" => lists.push(value.to_owned()),
                    "vars" => vars = Some(value),
                    "ca-file" => ca_file = Some(PathBuf::from(value)),
                    "endpoint" if value.starts_with('/') => value.clone_into(&mut endpoint),
                    "endpoint" => endpoint = format!("/{value}"),
                    _ => match duration(value) {
                        Some(time) if time >= MIN_INTERVAL => interval = time,
                        Some(_) => bad.push(format!("-i={value} is shorter than 10ms")),
                        None => bad.push(format!(
                            "-i={value} is no duration: write 500ms, 5s, 1m or 1h30m"
                        )),
                    },
                }
            }
            "self" | "dummy" => match value.unwrap_or("true").parse() {
                Ok(on) if name == "self" => own = on,
                Ok(on) => dummy = on,
                Err(_) => bad.push(format!("-{name} is true or false")),
            },
            _ => bad.push(format!(
                "-{name} is no flag; there are -ports, -vars, -i, -endpoint, \
                 -ca-file, -self, -dummy, -help"
            )),
        }
    }
    let mut urls = Vec::new();
    for list in lists.iter().chain(&positional) {
        match ports::parse(list, &endpoint) {
            Ok(found) => urls.extend(found),
            Err(error) => bad.push(error),
        }
    }
    if urls.len() > ports::MAX_SERVICES {
        bad.push(format!("more than {} services", ports::MAX_SERVICES));
    }
    let wanted = match vars.map(wanted::parse) {
        None => Vec::new(),
        Some(Ok(wanted)) => wanted,
        Some(Err(error)) => {
            bad.push(format!("-vars: {error}"));
            Vec::new()
        }
    };
    if urls.is_empty() && !own && bad.is_empty() {
        bad.push(format!("no services: name them by URL or with -ports; {}", ports::VALID));
    }
    if !bad.is_empty() {
        return Err(bad.join("\n"));
    }
    Ok(Command::Watch(Flags { urls, wanted, interval, dummy, own, ca_file }))
}

/// Parses a duration in Go's notation: `1h30m`, `1.5s`, `300ms`.
fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        rest = after;
    }
    // At most a year, so that sums of times stay in range.
    (!text.is_empty() && seconds < 365.0 * 86_400.0)
        .then(|| Duration::try_from_secs_f64(seconds).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Flags {
        let args: Vec<_> = line.split(' ').map(str::to_owned).collect();
        match parse(&args) {
            Ok(Command::Watch(flags)) => flags,
            Ok(Command::Help) => panic!("{line}: help"),
            Err(error) => panic!("{line}: {error}"),
        }
    }

    #[test]
    fn flags_are_taken_with_one_dash_or_two_and_with_or_without_equals() {
        for line in [
            "-ports=80-81 -vars=mem:a,b -i=1m -endpoint=/vars -self -dummy",
            "--ports=80-81 --vars=mem:a,b --i=1m --endpoint=/vars --self --dummy=true",
            "-ports 80-81 -vars mem:a,b -i 1m -endpoint vars -self=1 -dummy=t",
            "http://localhost:80 --vars mem:a,b -i 60s -endpoint /vars 81 -self -dummy",
        ] {
            let line =
                line.replace("=1 ", "=true ").replace("=t", "=true").replace("=truerue", "=true");
            let flags = flags(&line);
            assert_eq!(
                flags.urls,
                ["http://localhost:80/vars", "http://localhost:81/vars"],
                "{line}"
            );
            assert_eq!(flags.wanted.len(), 2);
            assert_eq!(flags.interval, Duration::from_secs(60));
            assert!(flags.own && flags.dummy);
        }
        let plain = flags("-ports=1234");
        assert_eq!(plain.interval, Duration::from_secs(5));
        assert!(plain.wanted.is_empty() && !plain.own && !plain.dummy);
        assert!(parse(&["-help".to_owned()]) == Ok(Command::Help));
    }

    #[test]
    fn durations_are_gos() {
        for (text, seconds) in [
            ("5s", 5.0),
            ("1m", 60.0),
            ("1h30m", 5400.0),
            ("1.5s", 1.5),
            ("300ms", 0.3),
            ("250us", 0.00025),
            ("250µs", 0.00025),
            ("+2s", 2.0),
        ] {
            assert_eq!(duration(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "5", "s", "5x", "-5s", "1e3s", "1..5s", "9999999h", "5 s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let args = ["-i=5", "-ports=x:y", "-vars=foo:a", "-nope", "-dummy=7", "-endpoint"];
        let Err(error) = parse(&args.map(str::to_owned)) else { panic!("accepted") };
        for said in [
            "-i=5 is no duration: write 500ms, 5s",
            "\"y\" is no port",
            "there is no modifier foo:",
            "-nope is no flag; there are -ports",
            "-dummy is true or false",
            "-endpoint needs a value",
        ] {
            assert!(error.contains(said), "{said} in {error}");
        }
        assert!(parse(&[]).err().unwrap().contains("no services"));
        assert!(parse(&["-i=1ms".to_owned(), "80".to_owned()]).err().unwrap().contains("10ms"));
    }
}
