//! The live page's files, which are part of the program.

/// One file of the page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asset {
    /// Its path below `/debug/vars`.
    path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) bytes: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! assets {
    ($($path:literal: $content_type:expr, $file:literal;)*) => {
        &[$(Asset {
            path: $path,
            content_type: $content_type,
            bytes: include_bytes!(concat!("../ui/", $file)),
        }),*]
    };
}

/// All of them; the first is the page itself.
static ASSETS: &[Asset] = assets! {
    "/ui": HTML, "index.html";
    "/ui/app.js": SCRIPT, "app.js";
    "/ui/chart.js": SCRIPT, "chart.js";
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

/// What the page may do: load its own files and ask its own origin, nothing else.
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

    fn text(asset: &Asset) -> &str {
        std::str::from_utf8(asset.bytes).unwrap()
    }

    #[test]
    fn all_files_together_are_at_most_96_kib() {
        let bytes: usize = ASSETS.iter().map(|asset| asset.bytes.len()).sum();
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

    /// What the policy would refuse, or would make a request elsewhere.
    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        for asset in ASSETS {
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
