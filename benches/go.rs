//! Go's part of a race: a program in the `go/` folder that runs its turns on request.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running program: it reads `THREADS TIMES` a line and answers with nanoseconds.
pub struct Go {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl Go {
    /// Builds the program in `go/NAME` and returns its path.
    ///
    /// # Errors
    /// What is missing and how to get it.
    pub fn build(name: &str, scratch: &str) -> Result<std::path::PathBuf, String> {
        let output = Path::new(scratch).join(format!("go-{name}"));
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&output)
            .arg(format!("./{name}"))
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("go"))
            // Uses the installed compiler and downloads none.
            .env("GOTOOLCHAIN", "local")
            .output()
            .map_err(|error| {
                format!("`go` does not run ({error}); on Debian `apt-get install golang-go`")
            })?;
        match built.status.success() {
            true => Ok(output),
            false => Err(String::from_utf8_lossy(&built.stderr).into_owned()),
        }
    }

    /// Builds and starts the program in `go/NAME`, which then waits for its turn.
    ///
    /// # Errors
    /// What is missing and how to get it.
    pub fn start(name: &str, scratch: &str) -> Result<Self, String> {
        let program = Self::build(name, scratch)?;
        let child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| error.to_string())?;
        let (ask, answer) = (child.stdin.take(), child.stdout.take());
        let ask = ask.ok_or("no input")?;
        let answer = BufReader::new(answer.ok_or("no output")?);
        Ok(Self { child, ask, answer })
    }

    /// Nanoseconds for each operation, with this many threads and repetitions.
    pub(crate) fn turn(&mut self, threads: usize, often: u64) -> f64 {
        writeln!(self.ask, "{threads} {often}").expect("the Go program reads its turns");
        let mut line = String::new();
        self.answer.read_line(&mut line).expect("the Go program answers");
        line.trim().parse().expect("the Go program answers with a number")
    }
}

impl Drop for Go {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
