//! Names, values and timestamps that servers are known to mishandle, against a real carbon-cache:
//! each is either never sent or stored rightly, and none spoils another.

use std::time::Duration;

use expvar_carbon::{Lines, Number, Path, Sender, Unsent};
use expvar_peers::CarbonCache;

/// How long anything may take on a busy machine before the test fails.
const SOON: Duration = Duration::from_secs(60);

/// Lines that were sent to carbon-cache, go-carbon and carbon-c-relay to see what they do; T is
/// the present second.
const SENT: &[(&str, &str)] = &[
    ("plain", "x.plain 1 T"),
    ("crlf", "x.crlf 1 T"),
    ("cr_only", "x.cr1 1 T\rx.cr2 1 T"),
    ("tabs", "x.tab\t1\tT"),
    ("many_spaces", "   x.sp    1    T"),
    ("no_final_newline_then_close", "x.nonl 1 T"),
    ("two_fields", "x.two 1"),
    ("four_fields", "x.four 1 T extra"),
    ("name_with_space", "x.a b 1 T"),
    ("empty_line", ""),
    ("empty_name", " 1 T"),
    ("nan", "x.nan nan T"),
    ("inf", "x.inf inf T"),
    ("neg_inf", "x.ninf -Infinity T"),
    ("value_text", "x.txt hello T"),
    ("exp", "x.exp 1.5e-3 T"),
    ("exp_big", "x.expbig 1e308 T"),
    ("overflow_to_inf", "x.ovf 1e309 T"),
    ("denormal", "x.den 5e-324 T"),
    ("plus_sign", "x.plus +1 T"),
    ("underscore_digits", "x.und 1_000 T"),
    ("hex", "x.hex 0x10 T"),
    ("comma", "x.comma 1,5 T"),
    ("fullwidth_digits", "x.fw \u{ff11}\u{ff12} T"),
    ("int_2_53_plus_1", "x.i53 9007199254740993 T"),
    ("int_u64max", "x.u64 18446744073709551615 T"),
    ("17_digits", "x.d17 0.1000000000000000055511151231257827 T"),
    ("neg_zero", "x.nz -0.0 T"),
    ("ts_minus1", "x.tsm1 1 -1"),
    ("ts_minus1_frac", "x.tsm1f 1 -1.5"),
    ("ts_N", "x.tsN 1 N"),
    ("ts_zero", "x.ts0 1 0"),
    ("ts_neg", "x.tsneg 1 -100"),
    ("ts_float", "x.tsf 1 T.987"),
    ("ts_exp", "x.tse 1 1.795350e+09"),
    ("ts_ms", "x.tsms 1 T000"),
    ("ts_nan", "x.tsnan 1 nan"),
    ("ts_inf", "x.tsinf 1 inf"),
    ("ts_future_1h", "x.tsfut 1 1795353680"),
    ("ts_2106", "x.ts2106 1 4294967296"),
    ("ts_older_than_retention", "x.tsold 1 1795309980"),
    ("double_dot", "x..dd 1 T"),
    ("leading_dot", ".x.lead 1 T"),
    ("trailing_dot", "x.trail. 1 T"),
    ("only_dot", ". 1 T"),
    ("dotdot_slash", "../../../../../../../../var/x/store/ESC1 1 T"),
    ("slash_dots", "x/../../ESC2 1 T"),
    ("abs_path", "/var/x/store/ESC3 1 T"),
    ("slash", "x/sl/ash 1 T"),
    ("backslash", "x.back\\slash 1 T"),
    ("nul_byte", "x.nul\u{0}z 1 T"),
    ("ctrl_char", "x.ctl\u{1}z 1 T"),
    ("utf8", "x.sm\u{f6}rg\u{e5}s 1 T"),
    ("nbsp_in_name", "x.nb\u{a0}sp 1 T"),
    ("invalid_utf8", "x.bad\u{fffd} 1 T"),
    ("glob_chars", "x.g*{a,b}[0-9]? 1 T"),
    ("case", "X.Plain 2 T"),
    ("parens_quotes", "x.q\"'() 1 T"),
    ("percent_colon", "x.a%b:c@d#e 1 T"),
    ("tag_ok", "x.tag;b=2;a=1 1 T"),
    ("tag_empty_value", "x.tagev;a= 1 T"),
    ("tag_empty_name", "x.tagen;=v 1 T"),
    ("tag_no_eq", "x.tagne;a 1 T"),
    ("tag_dup", "x.tagdup;a=1;a=2 1 T"),
    ("tag_tilde", "x.tagt;a=~v 1 T"),
    ("tag_eq_in_value", "x.tageq;a=b=c 1 T"),
    ("tag_bang_name", "x.tagb;a!=v 1 T"),
    ("tag_caret_name", "x.tagc;a^b=v 1 T"),
    ("tag_name_tag", "x.tagn;name=other 1 T"),
    ("tag_trailing_semicolon", "x.tags;a=1; 1 T"),
    ("tag_slash_value", "x.tagsl;p=/var/log 1 T"),
    ("tag_utf8", "x.tagu;s=\u{e5} 1 T"),
    ("tag_only", ";a=1 1 T"),
    ("tilde_metric", "~x.til;a=1 1 T"),
    ("openmetrics", "x.om{b=\"2\",a=\"1\"} 1 T"),
    ("openmetrics_space", "x.oms{b=\"2 3\"} 1 T"),
];

/// What each of them would be for us to send, where it has numbers.
fn points(now: u64) -> Vec<(String, Number, u64)> {
    let mut points = Vec::new();
    for (_, sent) in SENT {
        let mut fields = sent.trim().rsplitn(3, ' ');
        let (Some(timestamp), Some(value), Some(name)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let timestamp = timestamp.replace('T', &now.to_string());
        let value = value.parse().map(Number::Unsigned).or(value.parse().map(Number::Float));
        // The future and the past of the day on which they were sent.
        let timestamp = match timestamp.parse::<u64>() {
            Ok(at) if (1_795_300_000..1_795_400_000).contains(&at) => Ok(now - 3_600),
            other => other,
        };
        if let (Ok(value), Ok(timestamp)) = (value, timestamp) {
            points.push((name.to_owned(), value, timestamp));
        }
    }
    for length in [250, 251, 252, 300] {
        points.push((format!("seg.{}", "s".repeat(length)), Number::Unsigned(length as u64), now));
    }
    for length in [3_000, 3_840, 3_841, 4_000, 4_200, 16_384, 20_000] {
        let name = format!("long.{}", "y".repeat(99) + ".").repeat(length / 105 + 1);
        points.push((name[..length].to_owned(), Number::Unsigned(length as u64), now));
    }
    points
}

#[test]
fn each_is_refused_or_stored_and_none_spoils_another() {
    let carbon = CarbonCache::keeping("1s:2h");
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = since_1970.as_secs();
    let points = points(now);
    assert!(points.len() > 60, "{}", points.len());
    let sender = Sender::builder().to(format!("127.0.0.1:{}", carbon.line_port)).timeout(SOON);
    let sender = sender.spawn().unwrap();
    let (mut lines, mut expected, mut refused) = (Lines::new(), Vec::new(), 0);
    for (name, value, timestamp) in points {
        if lines.point(&name, value, timestamp) {
            let mut path = Path::new();
            path.push(&name);
            expected.push((path.as_str().to_owned(), value, timestamp));
        } else {
            refused += 1;
        }
    }
    lines.point("the.end", 1u64, now);
    sender.send(&mut lines);
    assert_eq!(sender.flush_blocking(SOON), Unsent::default());
    assert_eq!(sender.stats().connects, 1, "no line made the server close");
    assert_eq!(sender.stats().refused.total(), refused);
    assert_eq!(carbon.await_points("the.end", 1).len(), 1);
    for (name, value, timestamp) in expected {
        let stored = carbon.await_points(&name, 1);
        // Where several became one name the last one counts.
        let value = match value {
            Number::Unsigned(n) => n as f64,
            Number::Signed(n) => n as f64,
            Number::Float(f) => f,
        };
        assert_eq!(stored.get(&timestamp), Some(&value), "{name} in {stored:?}");
    }
}
