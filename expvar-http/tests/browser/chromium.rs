//! A headless Chromium, driven through its own WebDriver server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use serde_json::{Value, json};

/// How long a page may take to show what a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A browser of its own profile, ended with the value.
pub(crate) struct Chromium {
    pub(crate) client: Client,
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

/// What a screen is.
#[derive(Clone, Copy)]
pub(crate) struct Screen {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) ratio: f64,
    pub(crate) phone: bool,
    pub(crate) dark: bool,
}

impl Screen {
    pub(crate) const DESKTOP: Screen =
        Screen { width: 1280, height: 900, ratio: 1.0, phone: false, dark: false };
    pub(crate) const PHONE: Screen =
        Screen { width: 390, height: 844, ratio: 2.0, phone: true, dark: false };
}

/// Starts a driver, and returns its port.
///
/// It takes a port that is free on IPv4, and ends if that is in use on IPv6: then another is started.
fn start_driver() -> (Child, u16) {
    for _ in 0..10 {
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is not installed: run .ci/peers.sh, or apt-get install chromium chromium-driver");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("was started successfully on port ")?;
            Some(port.trim_end_matches('.').parse().unwrap())
        });
        if let Some(port) = port {
            // Whatever else it says is read, so that it never waits for us.
            std::thread::spawn(move || lines.for_each(drop));
            return (driver, port);
        }
        let _ = driver.wait();
    }
    panic!("chromedriver ends at its start; see what it says: chromedriver --port=0")
}

impl Chromium {
    /// Starts a driver on a free port, and with it a browser.
    pub(crate) async fn start() -> Self {
        let (driver, port) = start_driver();
        let profile = tempfile::tempdir().unwrap();
        let capabilities = json!({
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {
                "binary": "/usr/bin/chromium",
                "args": [
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                    "--disable-component-update", "--disable-sync", "--no-first-run",
                    "--disable-default-apps", "--disable-dev-shm-usage", "--force-color-profile=srgb",
                    format!("--user-data-dir={}", profile.path().display()),
                ],
            },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!() };
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("chromium does not start; try: chromium --headless=new --no-sandbox --dump-dom about:blank");
        let session = client.session_id().await.unwrap().unwrap();
        Self { client, driver, port, session, _profile: profile }
    }

    /// Sets the window's size and the user's preference of colours.
    pub(crate) async fn screen(&self, screen: Screen) {
        let Screen { width, height, ratio, phone, dark } = screen;
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": phone});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        self.devtools("Emulation.setTouchEmulationEnabled", json!({"enabled": phone})).await;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Runs a command of the browser's own protocol.
    pub(crate) async fn devtools(&self, method: &str, params: Value) -> Value {
        let body = json!({"cmd": method, "params": params});
        self.command("goog/cdp/execute", body).await.unwrap()
    }

    /// What the console has had since the last call, at least as grave as a warning.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let entries = self.command("se/log", json!({"type": "browser"})).await.unwrap();
        let entries = entries.as_array().unwrap().iter();
        let grave =
            entries.filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        grave.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// The addresses of all requests since the last call.
    pub(crate) async fn requests(&self) -> Vec<String> {
        let entries = self.command("se/log", json!({"type": "performance"})).await.unwrap();
        let entries = entries.as_array().unwrap().iter();
        entries
            .filter_map(|entry| {
                let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
                let message = &event["message"];
                (message["method"] == "Network.requestWillBeSent").then_some(())?;
                Some(message["params"]["request"]["url"].as_str()?.to_owned())
            })
            .collect()
    }

    /// Writes what is to be seen to `target/screens/NAME.png`.
    pub(crate) async fn picture(&self, name: &str) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/screens");
        std::fs::create_dir_all(folder).unwrap();
        let png = self.client.screenshot().await.unwrap();
        std::fs::write(format!("{folder}/{name}.png"), png).unwrap();
    }

    /// What a script returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client
            .execute(script, Vec::new())
            .await
            .unwrap_or_else(|err| panic!("{script}: {err}"))
    }

    /// Whether the placeholder of an input is wholly visible.
    pub(crate) async fn hint_fits(&self, input: &str) -> Value {
        let script = format!(
            "const input = document.querySelector({input:?}), style = getComputedStyle(input); \
             const context = document.createElement('canvas').getContext('2d'); \
             context.font = style.font; \
             const room = input.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight); \
             return context.measureText(input.placeholder).width <= room"
        );
        self.run(&script).await
    }

    /// Waits until a script, an expression, is true in the page; gives up with `what` is missing.
    pub(crate) async fn until(&self, what: &str, expression: &str) {
        let began = Instant::now();
        while self.run(&format!("return Boolean({expression})")).await != Value::Bool(true) {
            if began.elapsed() > PATIENCE {
                self.picture("failure").await;
                panic!("{what}: not in {PATIENCE:?}; see target/screens/failure.png");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Presses keys, one after the other, wherever the focus is. Names are those of DOM events.
    pub(crate) async fn press(&self, keys: &[&str]) {
        for key in keys {
            let text = if key.chars().count() == 1 { key } else { "" };
            let code = match *key {
                "Tab" => 9,
                "Enter" => 13,
                "Escape" => 27,
                " " => 32,
                "End" => 35,
                "Home" => 36,
                "ArrowLeft" => 37,
                "ArrowUp" => 38,
                "ArrowRight" => 39,
                "ArrowDown" => 40,
                key => i32::from(key.as_bytes()[0].to_ascii_uppercase()),
            };
            let text = if *key == "Enter" { "\r" } else { text };
            for kind in ["keyDown", "keyUp"] {
                let mut event = json!({"type": kind, "key": key, "windowsVirtualKeyCode": code});
                if kind == "keyDown" && !text.is_empty() {
                    event["text"] = text.into();
                }
                self.devtools("Input.dispatchKeyEvent", event).await;
            }
        }
    }

    async fn command(&self, path: &'static str, body: Value) -> Result<Value, CmdError> {
        self.client.issue_cmd(Extra { path, body }).await
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The driver takes its browser along only when it is asked to, also when a test fails.
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let _ = write!(
                stream,
                "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
                self.session
            );
            let _ = stream.read(&mut [0; 64]);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// A command of Chromium's driver that the standard does not have.
#[derive(Debug)]
struct Extra {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extra {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
