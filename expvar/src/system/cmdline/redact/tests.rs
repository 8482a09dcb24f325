//! Realistic command lines, and what is shown of them.

use super::*;

fn shown(arguments: &[&str]) -> Vec<String> {
    let mut redactor = Redactor::default();
    arguments.iter().map(|argument| redactor.argument(argument)).collect()
}

#[track_caller]
fn redacts(arguments: &[&str], expected: &[&str]) {
    assert_eq!(shown(arguments), expected);
}

#[track_caller]
fn keeps(arguments: &[&str]) {
    assert_eq!(shown(arguments), arguments);
}

#[test]
fn options() {
    redacts(&["a", "--password=hunter2"], &["a", "--password=[redacted]"]);
    redacts(&["a", "-password=a b c"], &["a", "-password=[redacted]"]);
    redacts(&["a", "--password", "hunter2", "x"], &["a", "--password", "[redacted]", "x"]);
    redacts(&["a", "--password", "two words"], &["a", "--password", "[redacted]"]);
    redacts(&["a", "--token", "-dash"], &["a", "--token", "[redacted]"]);
    redacts(&["a", "--token=--dash=x"], &["a", "--token=[redacted]"]);
    redacts(&["a", "--password="], &["a", "--password=[redacted]"]);
    redacts(&["--dbPassword", "x"], &["--dbPassword", "[redacted]"]);
    redacts(&["-Dspring.datasource.password=x"], &["-Dspring.datasource.password=[redacted]"]);
    redacts(&["--set=db.password=x"], &["--set=db.password=[redacted]"]);
    redacts(&["--set", "db.password=x,db.port=1"], &["--set", "db.password=[redacted],db.port=1"]);
}

#[test]
fn an_option_that_is_a_switch_takes_nothing_with_it() {
    keeps(&["a", "--password-stdin", "user"]);
    redacts(&["a", "--token", "--port", "80"], &["a", "--token", "--port", "80"]);
    redacts(&["a", "--token"], &["a", "--token"]);
}

#[test]
fn environment_and_connection_strings() {
    redacts(&["env", "PGPASSWORD=x", "psql"], &["env", "PGPASSWORD=[redacted]", "psql"]);
    redacts(&["host=db password=x port=5"], &["host=db password=[redacted] port=5"]);
    redacts(
        &["Server=db;User=me;Password=x;Port=5"],
        &["Server=db;User=me;Password=[redacted];Port=5"],
    );
}

#[test]
fn urls() {
    redacts(&["postgres://me:x@db:5432/a"], &["postgres://me:[redacted]@db:5432/a"]);
    redacts(&["--db=redis://:x@db/0"], &["--db=redis://:[redacted]@db/0"]);
    redacts(&["http://me:p@ss/word@h/p"], &["http://me:[redacted]@h/p"]);
    redacts(&["http://a:x@h/,http://b:y@h/"], &["http://a:[redacted]@h/,http://b:[redacted]@h/"]);
    redacts(&["https://h/a?token=x&b=1"], &["https://h/a?token=[redacted]&b=1"]);
    redacts(&["https://0123456789abcdef0123@h/"], &["https://[redacted]@h/"]);
    keeps(&[
        "https://h:80/a@b",
        "ssh://git@h/x",
        "http://[::1]:80/a",
        "http://h/?q=a@b",
        "://",
        "a://@",
    ]);
}

#[test]
fn users_with_passwords() {
    redacts(&["curl", "-u", "me:x", "h"], &["curl", "-u", "me:[redacted]", "h"]);
    redacts(&["--user=me:x"], &["--user=me:[redacted]"]);
    keeps(&["--user", "me", "--user=me", "-u", "-v", "a:b"]);
}

#[test]
fn headers_and_json() {
    redacts(
        &["-H", "Authorization: Bearer abc", "x"],
        &["-H", "Authorization: Bearer [redacted]", "x"],
    );
    redacts(&["-H", "X-Api-Key:abc"], &["-H", "X-Api-Key:[redacted]"]);
    redacts(&["--header=Authorization: Basic abc"], &["--header=Authorization: Basic [redacted]"]);
    redacts(&["--authorization", "Bearer abc"], &["--authorization", "Bearer [redacted]"]);
    redacts(
        &[r#"{"user":"me","password":"x,y","port":1}"#],
        &[r#"{"user":"me","password":"[redacted]","port":1}"#],
    );
    redacts(&[r#"{"password": "x"}"#], &[r#"{"password": "[redacted]"}"#]);
}

#[test]
fn a_command_in_a_command() {
    redacts(
        &["sh", "-c", "curl --token abc 'http://me:x@h/' -v"],
        &["sh", "-c", "curl --token [redacted] 'http://me:[redacted]@h/' -v"],
    );
    redacts(&["sh", "-c", "PASSWORD=x run"], &["sh", "-c", "PASSWORD=[redacted] run"]);
}

#[test]
fn well_known_forms() {
    let github = format!("ghp_{}", "a".repeat(36));
    redacts(&["x", &github], &["x", "[redacted]"]);
    redacts(&[&format!("--x={github},y")], &["--x=[redacted],y"]);
    redacts(&["AKIAABCDEFGHIJKLMNOP"], &["[redacted]"]);
    redacts(&["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc"], &["[redacted]"]);
    keeps(&["sk-learn", "eyJ", "AKIA", "ghp_short"]);
}

#[test]
fn everything_else_stays_as_it_is() {
    keeps(&[
        "/usr/bin/service",
        "--listen=127.0.0.1:8080",
        "-v",
        "",
        " ",
        "a  b",
        "--key-file=/a.pem",
        "é=ü",
        "--token-ttl=5m",
        "--",
        "-",
        "=",
        ":",
        "a=b=c",
        "C:\\x",
        "--verbose",
        "--name",
        "tokenizer",
        "12:30",
    ]);
}

mod arbitrary {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Nothing panics, and a named secret is redacted whatever surrounds it.
        #[test]
        fn a_named_secret_never_shows(
            before in prop::collection::vec("\\PC{0,12}", 0..3),
            name in "(--)?[a-z]{0,5}[-_]?(password|token|secret|api-key)",
            after in "\\PC{0,12}",
        ) {
            let mut arguments = before.clone();
            arguments.push(format!("{name}=Sesame77"));
            arguments.push(after);
            let mut redactor = Redactor::default();
            let shown: Vec<String> = arguments.iter().map(|one| redactor.argument(one)).collect();
            prop_assert!(!shown.concat().contains("Sesame77"), "{shown:?}");
        }

        #[test]
        fn nothing_panics(arguments in prop::collection::vec("[-=:@/\"'\\\\ a-zß{}&;?]{0,24}", 0..6)) {
            shown(&arguments.iter().map(|one| &one[..]).collect::<Vec<_>>());
        }
    }
}
