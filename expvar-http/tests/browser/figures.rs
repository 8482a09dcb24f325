//! Numbers as the page writes them, by value.

use serde_json::{Value, json};

use super::chromium::Chromium;
use super::service::{Service, open};

/// What a script returns that may use the page's own modules.
async fn script(browser: &Chromium, module: &str, script: &str) -> Value {
    let script = format!(
        "const done = arguments[0]; import('/debug/vars/ui/{module}').then((m) => done((() => {{ {script} }})()), (e) => done(String(e)))"
    );
    browser.client.execute_async(&script, Vec::new()).await.unwrap()
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn numbers_are_written_as_people_read_them() {
    let service = Service::start();
    let browser = open(&service).await;
    let cases = json!([
        [1_795_750_000, "seconds"],
        [3e9, ""],
        [1e300, ""],
        [2.5e-7, ""],
        [0.5, "bytes"],
        [86_400.0 * 20_784.0 * 3.0, "seconds"],
        [400_000_000, "seconds"],
        [1e25, "bytes"],
        [-1536, "bytes"],
        [0.25, "ratio"],
        [-7200, "seconds"],
        [4096, ""],
        [1.5e18, ""],
    ]);
    let human = format!("return {cases}.map(([x, unit]) => m.human(x, unit))");
    let human = script(&browser, "format.js", &human).await;
    let human: Vec<&str> =
        human.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert!(human[0].starts_with("27 Nov ") || human[0].starts_with("26 Nov "), "{}", human[0]);
    assert_eq!(
        human[1..],
        [
            "3.00 G",
            "1 × 10³⁰⁰",
            "2.5 × 10⁻⁷",
            "0.5 B",
            "170 y 259 d",
            "12 y 246 d",
            "1 × 10²⁵ B",
            "-1.50 KiB",
            "25.0 %",
            "−2 h 0 min",
            "4,096",
            "1.50 E",
        ]
    );
    let exact = "return [m.exact('9223372036854775807'), m.exact('-9223372036854775808', 'bytes'), \
         m.exact(1e300), m.plural(1, 'variable'), m.plural(2, 'variable')]";
    assert_eq!(
        script(&browser, "format.js", exact).await,
        json!([
            "9,223,372,036,854,775,807",
            "-9,223,372,036,854,775,808 bytes",
            "1 × 10³⁰⁰",
            "1 variable",
            "2 variables"
        ])
    );
    let axes = "return [m.ticks(0, 1, 4, 'bytes'), m.ticks(0, 3, 4, 'bytes'), m.ticks(0, 1, 4), \
         m.logTicks(1e-5, 1, 5), m.logTicks(20, 70, 4)]";
    assert_eq!(
        script(&browser, "format.js", axes).await,
        json!([
            [0, 1],
            [0, 1, 2, 3],
            [0, 0.25, 0.5, 0.75, 1],
            [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1],
            [20, 30, 40, 50, 60, 70]
        ])
    );
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn joiners_stay_where_a_script_needs_them_and_are_spelled_out_elsewhere() {
    let service = Service::start();
    let browser = open(&service).await;
    for (text, shown) in [
        ("می\u{200c}خواهم", "می\u{200c}خواهم"),
        ("👩\u{200d}💻 ok", "👩\u{200d}💻 ok"),
        ("👩🏽\u{200d}🚀", "👩🏽\u{200d}🚀"),
        ("क्\u{200d}ष", "क्\u{200d}ष"),
        ("ad\u{200d}min", "ad⟨200D⟩min"),
        ("a\u{202e}b\u{0}", "a⟨202E⟩b⟨0000⟩"),
    ] {
        let text = serde_json::to_string(text).unwrap();
        assert_eq!(
            script(&browser, "format.js", &format!("return m.visible({text})")).await,
            shown
        );
    }
    let cut = script(&browser, "format.js", "return m.visible('ab👩x', 3)").await;
    assert_eq!(cut, "ab…", "half of an emoji is none");
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn areas_end_at_zero_and_not_at_the_floor() {
    let service = Service::start();
    let browser = open(&service).await;
    // From -10 to 10 in 24 px: the middle is 0.
    let band = "return m.spark('g', [[-10, 10, -10]], 0, 65, 24).band";
    let band = script(&browser, "spark.js", band).await;
    assert!(band.as_str().unwrap().contains("V125H10z"), "{band}");
    let below =
        script(&browser, "spark.js", "return m.spark('g', [[-10, -5, -10]], 0, 65, 24).band").await;
    assert!(below.as_str().unwrap().contains("V30H10z"), "from the top: {below}");
}

/// Differences below the smallest normal number, and beyond the greatest one.
#[tokio::test]
#[ignore = "needs chromium"]
async fn extreme_values_have_a_sparkline() {
    let service = Service::start();
    let browser = open(&service).await;
    let draw = "const paths = (line) => Object.values(m.spark('g', [line], 0, 180, 24)).join(' '); \
         return [[1e-310, 2e-310], [1.5e-300, 1.499999999999999e-300], [-1.7e308, 1.7e308], [0, 1]]\
         .map((line) => [paths(line), /NaN|Infinity/.test(paths(line))])";
    let drawn = script(&browser, "spark.js", draw).await;
    for drawn in drawn.as_array().unwrap() {
        assert!(drawn[1] == false && drawn[0].as_str().unwrap().contains('M'), "{drawn}");
    }
    assert_eq!(drawn.as_array().unwrap().len(), 4);
}
