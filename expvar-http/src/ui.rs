//! The live page's files, embedded in the program.
//!
//! They are served without comments and indentation, a tenth of their size.

use std::sync::OnceLock;

/// One file of the page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asset {
    /// Its path below `/debug/vars`.
    path: &'static str,
    pub(crate) content_type: &'static str,
    /// The file's source.
    source: &'static str,
    sent: OnceLock<String>,
}

impl Asset {
    /// The bytes served.
    pub(crate) fn bytes(&'static self) -> &'static [u8] {
        let is_code = [SCRIPT, CSS].contains(&self.content_type);
        self.sent.get_or_init(|| shorten(self.source, is_code)).as_bytes()
    }
}

/// Removes indentation, and from code the comments on their own lines.
///
/// The files must not have strings that span lines.
fn shorten(source: &str, is_code: bool) -> String {
    let mut out = String::with_capacity(source.len());
    let mut in_comment = false;
    for line in source.lines().map(str::trim) {
        let begins = is_code && line.starts_with("/*");
        let is_comment = in_comment || begins || is_code && line.starts_with("//");
        if in_comment || begins {
            in_comment = !line.ends_with("*/");
        }
        if !is_comment && !line.is_empty() {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! assets {
    ($($path:literal: $content_type:expr, $file:literal;)*) => {
        [$(Asset {
            path: $path,
            content_type: $content_type,
            source: include_str!(concat!("../ui/", $file)),
            sent: OnceLock::new(),
        }),*]
    };
}

/// All files; the first is the page itself.
static ASSETS: [Asset; 15] = assets! {
    "/ui": HTML, "index.html";
    "/ui/app.js": SCRIPT, "app.js";
    "/ui/chart.js": SCRIPT, "chart.js";
    "/ui/flame.js": SCRIPT, "flame.js";
    "/ui/format.js": SCRIPT, "format.js";
    "/ui/icon.svg": SVG, "icon.svg";
    "/ui/list.js": SCRIPT, "list.js";
    "/ui/paint.js": SCRIPT, "paint.js";
    "/ui/panel.js": SCRIPT, "panel.js";
    "/ui/range.js": SCRIPT, "range.js";
    "/ui/spark.js": SCRIPT, "spark.js";
    "/ui/store.js": SCRIPT, "store.js";
    "/ui/stream.js": SCRIPT, "stream.js";
    "/ui/style.css": CSS, "style.css";
    "/ui/view.js": SCRIPT, "view.js";
};

/// Allows the page to load its own files and to query its own origin, nothing else.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
     frame-ancestors 'none'; form-action 'none'";

/// The file at a path below `/debug/vars`, such as `/ui/app.js`.
pub(crate) fn asset(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(asset: &'static Asset) -> &'static str {
        std::str::from_utf8(asset.bytes()).unwrap()
    }

    #[test]
    fn comments_and_indentation_are_not_sent() {
        let source = "// Why.\nlet a = 1; // kept\n\n/** One. */\n/*\n * Two.\n */\n  b('//');\n";
        assert_eq!(shorten(source, true), "let a = 1; // kept\nb('//');\n");
        assert_eq!(shorten("<p>\n  // text\n", false), "<p>\n// text\n");
    }

    /// Constructs that removing lines and indentation would change.
    #[test]
    fn no_text_reaches_over_the_end_of_a_line() {
        for asset in ASSETS.iter().filter(|asset| asset.content_type == SCRIPT) {
            for line in asset.source.lines() {
                assert_eq!(line.matches('`').count() % 2, 0, "{}: {line}", asset.path);
            }
        }
        let styles = ASSETS.iter().filter(|asset| asset.content_type == CSS);
        for line in styles.flat_map(|asset| asset.source.lines()) {
            assert!(!line.starts_with("/*") || line.ends_with("*/"), "{line}");
        }
        assert!(!ASSETS[0].source.contains("<pre"));
    }

    #[test]
    fn all_files_together_are_at_most_96_kib() {
        let bytes: usize = ASSETS.iter().map(|asset| asset.bytes().len()).sum();
        assert!(bytes <= 96 * 1024, "{bytes} bytes");
    }

    #[test]
    fn every_file_in_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/ui");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = if name == "index.html" { "/ui".to_owned() } else { format!("/ui/{name}") };
            assert!(asset(&path).is_some(), "{name} is not in ASSETS");
        }
    }

    #[test]
    fn every_module_is_asked_for_with_the_page() {
        let page = text(&ASSETS[0]);
        for script in ASSETS.iter().filter(|asset| asset.content_type == SCRIPT) {
            let name = script.path.trim_start_matches('/');
            assert!(page.contains(&format!("=\"{name}\"")), "index.html does not name {name}");
        }
    }

    /// Constructs that the policy would block, or that would send a request elsewhere.
    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        for asset in &ASSETS {
            let text = text(asset).replace("http://www.w3.org/2000/svg", "");
            for bad in ["http://", "https://", "javascript:", "innerHTML", "outerHTML", "eval("] {
                assert!(!text.contains(bad), "{} has {bad}", asset.path);
            }
            for bad in ["insertAdjacentHTML", "document.write", " style=\"", "<style", " onclick="]
            {
                assert!(!text.contains(bad), "{} has {bad}", asset.path);
            }
        }
    }
}
