//! Loads a configuration file.

use std::io::ErrorKind;
use std::path::Path;

use super::{Config, Problem};

impl Config {
    /// Loads a configuration file; also returns warnings. Relative paths are relative to the file,
    /// and the files that it names are checked.
    ///
    /// # Errors
    /// Every error as a line of text with the file's name.
    pub fn load(path: &Path) -> Result<(Config, Vec<Problem>), Vec<String>> {
        let name = path.display();
        let bytes = std::fs::read(path)
            .map_err(|error| vec![format!("{name}: {}", unread(path, &error))])?;
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err(vec![format!(
                "{name}: line 1: this is UTF-16: save the file as UTF-8, as in iconv -f UTF-16 -t UTF-8"
            )]);
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = 1 + memchr::memchr_iter(b'\n', &error.as_bytes()[..error.utf8_error().valid_up_to()]).count();
            vec![format!(
                "{name}: line {line}: this is not UTF-8: save the file as UTF-8, as in iconv -f LATIN1 -t UTF-8"
            )]
        })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Config::parse_file(&text, folder.unwrap_or(Path::new("."))).map_err(|problems| {
            problems.iter().map(|problem| format!("{name}: {problem}")).collect()
        })
    }

    /// Whether the file has no key at all, as while an editor writes it.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }
}

/// Why a file cannot be read, with a remedy.
fn unread(path: &Path, error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => format!("{error}: name a file with -config=PATH"),
        ErrorKind::PermissionDenied => {
            format!("{error}: let samlare's user read it, and enter the folders above it")
        }
        _ if path.is_dir() => {
            "it is a directory: name the file in it, as in config.toml".to_owned()
        }
        _ => error.to_string(),
    }
}
