//! A real carbon-cache on its own ports, which can be killed, hung and restarted.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::port::free_udp_port;
use crate::{free_port, python, read_whisper, whisper_archives};

const PACKAGES: [&str; 3] = ["carbon==1.1.10", "whisper==1.1.10", "setuptools<81"];

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A Python environment with the package `carbon`.
///
/// # Panics
/// As [`python`].
pub fn carbon_python() -> PathBuf {
    python("carbon", &PACKAGES).join("bin/python")
}

/// A real carbon-cache on loopback.
///
/// It ends when dropped.
pub struct CarbonCache {
    dir: TempDir,
    python: PathBuf,
    process: Option<Child>,
    /// Where it takes lines over TCP.
    pub line_port: u16,
    /// Where it takes lines over UDP.
    pub udp_port: u16,
    /// Where it takes pickles.
    pub pickle_port: u16,
}

impl CarbonCache {
    /// Starts one that keeps a point a second for a day, and waits until it listens.
    ///
    /// # Panics
    /// When it cannot be had or does not start; the text says why.
    pub fn start() -> Self {
        Self::keeping("1s:1d")
    }

    /// Starts one with these `retentions`, as `storage-schemas.conf` writes them. Smaller ones
    /// are read back sooner.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn keeping(retentions: &str) -> Self {
        Self::with_schemas(&format!("[all]\npattern = .*\nretentions = {retentions}\n"))
    }

    /// Starts one with this `storage-schemas.conf`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn with_schemas(schemas: &str) -> Self {
        let python = python("carbon", &PACKAGES);
        let dir = tempfile::tempdir().expect("a directory");
        let mut carbon = Self {
            python,
            process: None,
            line_port: free_port(),
            pickle_port: free_port(),
            udp_port: free_udp_port(),
            dir,
        };
        carbon.configure(free_port(), schemas);
        carbon.restart();
        carbon
    }

    fn configure(&self, query_port: u16, schemas: &str) {
        let root = self.dir.path();
        for sub in ["conf", "log", "storage/whisper"] {
            fs::create_dir_all(root.join(sub)).expect("a directory");
        }
        let (dir, line, udp, pickle) =
            (root.display(), self.line_port, self.udp_port, self.pickle_port);
        let settings = format!(
            "[cache]\n\
             STORAGE_DIR = {dir}/storage\nLOCAL_DATA_DIR = {dir}/storage/whisper/\n\
             LOG_DIR = {dir}/log\nPID_DIR = {dir}\nUSER =\nDATABASE = whisper\n\
             WHISPER_SPARSE_CREATE = True\nWHISPER_FALLOCATE_CREATE = False\n\
             MAX_CACHE_SIZE = inf\nMAX_UPDATES_PER_SECOND = inf\nMAX_CREATES_PER_MINUTE = inf\n\
             CARBON_METRIC_INTERVAL = 0\nENABLE_TAGS = False\nENABLE_LOGROTATION = False\n\
             LINE_RECEIVER_INTERFACE = 127.0.0.1\nLINE_RECEIVER_PORT = {line}\n\
             ENABLE_UDP_LISTENER = True\n\
             UDP_RECEIVER_INTERFACE = 127.0.0.1\nUDP_RECEIVER_PORT = {udp}\n\
             PICKLE_RECEIVER_INTERFACE = 127.0.0.1\nPICKLE_RECEIVER_PORT = {pickle}\n\
             CACHE_QUERY_INTERFACE = 127.0.0.1\nCACHE_QUERY_PORT = {query_port}\n"
        );
        let write = |name: &str, text: &str| {
            fs::write(root.join("conf").join(name), text).expect("a configuration file");
        };
        write("carbon.conf", &settings);
        write("storage-schemas.conf", schemas);
        write(
            "storage-aggregation.conf",
            "[all]\npattern = .*\nxFilesFactor = 0\naggregationMethod = last\n",
        );
    }

    /// Starts it again, on the same ports and files, and waits until it listens.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.launch();
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.line_port)).is_err() {
            let ended = self.process.as_mut().is_none_or(|p| !matches!(p.try_wait(), Ok(None)));
            if ended || Instant::now() > deadline {
                let said = fs::read_to_string(self.dir.path().join("output")).unwrap_or_default();
                panic!("carbon-cache did not start:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts it again without waiting.
    ///
    /// # Panics
    /// When its program cannot be run at all.
    pub fn launch(&mut self) {
        self.kill();
        let root = self.dir.path();
        let _ = fs::remove_file(root.join("pid"));
        let output = fs::File::create(root.join("output")).expect("a file for its output");
        let program = Command::new(self.python.join("bin/python"))
            .arg(self.python.join("bin/carbon-cache.py"))
            .arg(format!("--config={}/conf/carbon.conf", root.display()))
            .arg(format!("--pidfile={}/pid", root.display()))
            .arg(format!("--logdir={}/log", root.display()))
            .args(["--nodaemon", "start"])
            .env("GRAPHITE_ROOT", root)
            .env("GRAPHITE_CONF_DIR", root.join("conf"))
            .env("GRAPHITE_STORAGE_DIR", root.join("storage"))
            .stdin(Stdio::null())
            .stderr(output.try_clone().expect("the same file"))
            .stdout(output)
            .spawn();
        self.process = Some(program.expect("carbon-cache runs"));
    }

    /// Kills it, like the out-of-memory killer: what it had not written to its files is lost.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Terminates it, and waits until it has ended.
    pub fn terminate(&mut self) {
        self.signal("TERM");
        if let Some(mut process) = self.process.take() {
            let _ = process.wait();
        }
    }

    /// Stops it: the kernel still accepts what is sent.
    pub fn hang(&self) {
        self.signal("STOP");
    }

    fn signal(&self, signal: &str) {
        if let Some(process) = &self.process {
            let pid = process.id().to_string();
            let sent = Command::new("kill").args(["-s", signal, &pid]).status();
            assert!(sent.is_ok_and(|status| status.success()), "kill -s {signal} {pid}");
        }
    }

    /// The points stored under `name`, by timestamp.
    pub fn points(&self, name: &str) -> BTreeMap<u64, f64> {
        read_whisper(&self.file(name))
    }

    /// What is kept of `name`: seconds a point and points, finest first.
    pub fn archives(&self, name: &str) -> Vec<(usize, usize)> {
        whisper_archives(&self.file(name))
    }

    fn file(&self, name: &str) -> PathBuf {
        let whisper = self.dir.path().join("storage/whisper");
        whisper.join(name.replace('.', "/")).with_extension("wsp")
    }

    /// The points stored under `name` as soon as there are `count`, or those that there are
    /// after a while.
    pub fn await_points(&self, name: &str, count: usize) -> BTreeMap<u64, f64> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let points = self.points(name);
            if points.len() >= count || Instant::now() > deadline {
                return points;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The names of all series, in order.
    pub fn names(&self) -> Vec<String> {
        let root = self.dir.path().join("storage/whisper");
        let (mut names, mut dirs) = (Vec::new(), vec![root.clone()]);
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    dirs.push(path);
                } else if let Ok(name) = path.with_extension("").strip_prefix(&root) {
                    names.push(name.to_string_lossy().replace('/', "."));
                }
            }
        }
        names.sort();
        names
    }
}

impl Drop for CarbonCache {
    fn drop(&mut self) {
        self.kill();
    }
}
