//! A real Chromium, driven by the WebDriver protocol over HTTP.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use weir_cluster_tests::process::PATIENCE;

/// What finds violations of the rules for people who cannot see or point. Unchanged from its authors, under the licence
/// that it names in its head.
const AXE: &str = include_str!("axe.min.js");
/// The name under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// How long one look at a condition may take inside of the browser, in milliseconds. It is looked at often meanwhile.
const LOOK_MS: u64 = 2000;
/// Pictures are the largest.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// How long a condition may take to hold. A browser on a busy machine is slower than a node.
const WAIT: Duration = PATIENCE.saturating_mul(2);
/// A driver that chooses a port which another one takes at that moment ends. Another one is lucky.
const DRIVERS_MAX: usize = 8;
const LOOK: &str = "const [condition, limit, done] = arguments;
    const look = new Function('return (' + condition + ')'), end = performance.now() + limit;
    (function again() {
      let found = null;
      try { found = look(); } catch (error) { found = null; }
      if (found || performance.now() > end) done(found || null);
      else setTimeout(again, 30);
    })();";

/// Keys that are no characters, as WebDriver writes them.
pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const ESCAPE: &str = "\u{e00c}";
pub(crate) const DOWN: &str = "\u{e015}";
pub(crate) const TAB: &str = "\u{e004}";

/// A browser with an empty profile. It ends with this value.
pub(crate) struct Browser {
    driver: Child,
    address: String,
    session: String,
    agent: ureq::Agent,
    profile: TempDir,
}

impl Browser {
    pub(crate) fn start() -> Result<Browser> {
        let (driver, port) = driver()?;
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = config.timeout_global(Some(WAIT * 2)).build().into();
        let profile = tempfile::tempdir()?;
        let mut browser = Browser { driver, address: String::new(), session: String::new(), agent, profile };
        browser.address = format!("http://127.0.0.1:{port}/session");
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // Where shared memory is small, as in containers, tabs would crash.
            "--disable-dev-shm-usage",
            "--window-size=1400,900",
        ];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", browser.profile.path().display()));
        let wanted = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": {"download.default_directory": browser.downloads().display().to_string()},
            },
        });
        let answer = browser.send("POST", "", &json!({"capabilities": {"alwaysMatch": wanted}}))?;
        browser.session = format!("/{}", answer["sessionId"].as_str().context("a session has an id")?);
        browser.send("POST", "/timeouts", &json!({"script": 120_000, "pageLoad": 120_000}))?;
        Ok(browser)
    }

    /// Where downloads go.
    pub(crate) fn downloads(&self) -> PathBuf {
        self.profile.path().join("downloads")
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{}{path}", self.address, self.session);
        let what = || format!("{method} {path}");
        let mut response = match method {
            "POST" => self.agent.post(&url).content_type("application/json").send(serde_json::to_vec(body)?),
            "DELETE" => self.agent.delete(&url).call(),
            _ => self.agent.get(&url).call(),
        }
        .with_context(what)?;
        let bytes =
            response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().with_context(what)?;
        let answer: Value = serde_json::from_slice(&bytes).with_context(what)?;
        let value = answer["value"].clone();
        if let Some(error) = value["error"].as_str() {
            bail!("{method} {path}: {error}: {}", value["message"].as_str().unwrap_or_default());
        }
        Ok(value)
    }

    pub(crate) fn open(&self, url: &str) -> Result<()> {
        self.send("POST", "/url", &json!({"url": url})).map(drop)
    }

    pub(crate) fn url(&self) -> Result<String> {
        Ok(self.send("GET", "/url", &Value::Null)?.as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn back(&self) -> Result<()> {
        self.send("POST", "/back", &json!({})).map(drop)
    }

    /// The value of an expression.
    pub(crate) fn value(&self, expression: &str) -> Result<Value> {
        self.send("POST", "/execute/sync", &json!({"script": format!("return ({expression})"), "args": []}))
    }

    /// The text of an expression.
    pub(crate) fn text(&self, expression: &str) -> Result<String> {
        let value = self.value(expression)?;
        Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// Runs a script that calls its last argument when it is done.
    pub(crate) fn run(&self, script: &str) -> Result<Value> {
        self.send("POST", "/execute/async", &json!({"script": script, "args": []}))
    }

    /// Waits until an expression holds, and gives its value.
    pub(crate) fn wait(&self, condition: &str) -> Result<Value> {
        let deadline = Instant::now() + WAIT;
        loop {
            // A page that goes away meanwhile takes the question with it.
            let asked =
                self.send("POST", "/execute/async", &json!({"script": LOOK, "args": [condition, LOOK_MS]}));
            match asked {
                Ok(found) if !found.is_null() => return Ok(found),
                Ok(_) => {}
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::yield_now(),
            }
            if Instant::now() > deadline {
                let seen = self.text("document.body.innerText.slice(0, 1500)").unwrap_or_default();
                bail!("{condition} does not come to hold; the page shows: {seen}");
            }
        }
    }

    /// The element of a selector, once there is one.
    fn element(&self, selector: &str) -> Result<String> {
        self.wait(&format!("document.querySelector({selector:?}) !== null"))?;
        let found = self.send("POST", "/element", &json!({"using": "css selector", "value": selector}))?;
        Ok(found[ELEMENT].as_str().context("an element has an id")?.to_owned())
    }

    /// Clicks as a person would: what lies under something else cannot be clicked.
    pub(crate) fn click(&self, selector: &str) -> Result<()> {
        let element = self.element(selector)?;
        self.send("POST", &format!("/element/{element}/click"), &json!({}))
            .with_context(|| format!("click {selector}"))
            .map(drop)
    }

    /// Writes into an element.
    pub(crate) fn write(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.element(selector)?;
        self.send("POST", &format!("/element/{element}/value"), &json!({"text": text})).map(drop)
    }

    /// Writes a query into its box, in place of what is there.
    pub(crate) fn ask(&self, query: &str) -> Result<()> {
        self.fill("#q", query)
    }

    /// Writes into an element, in place of what is there.
    pub(crate) fn fill(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.element(selector)?;
        self.send("POST", &format!("/element/{element}/clear"), &json!({}))?;
        self.write(selector, text)
    }

    /// Presses keys, wherever they go.
    pub(crate) fn press(&self, keys: &str) -> Result<()> {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()})))
            .collect();
        self.send(
            "POST",
            "/actions",
            &json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]}),
        )
        .map(drop)
    }

    /// Drags over an element, from one part of its width to another.
    pub(crate) fn drag(&self, selector: &str, from: f64, to: f64) -> Result<()> {
        let element = self.element(selector)?;
        let width =
            self.value(&format!("document.querySelector({selector:?}).getBoundingClientRect().width"))?;
        let width = width.as_f64().context("a width")?;
        let to_place = |part: f64| {
            let x = ((part - 0.5) * width) as i64;
            json!({"type": "pointerMove", "duration": 0, "origin": {ELEMENT: element}, "x": x, "y": 0})
        };
        let actions = [
            to_place(from),
            json!({"type": "pointerDown", "button": 0}),
            to_place(f64::midpoint(from, to)),
            to_place(to),
            json!({"type": "pointerUp", "button": 0}),
        ];
        let pointer = json!({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions});
        self.send("POST", "/actions", &json!({"actions": [pointer]})).map(drop)
    }

    fn devtools(&self, command: &str, params: &Value) -> Result<()> {
        self.send("POST", "/goog/cdp/execute", &json!({"cmd": command, "params": params})).map(drop)
    }

    /// What the system says of colours: `dark` or `light`.
    pub(crate) fn system_colours(&self, scheme: &str) -> Result<()> {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &features)
    }

    /// The size of the window, as a telephone or as a desk has it.
    pub(crate) fn size(&self, width: u32, height: u32, is_mobile: bool) -> Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_mobile});
        self.devtools("Emulation.setDeviceMetricsOverride", &size)
    }

    /// Has downloads go to [`Browser::downloads`].
    pub(crate) fn take_downloads(&self) -> Result<()> {
        let path = self.downloads();
        std::fs::create_dir_all(&path)?;
        self.devtools("Browser.setDownloadBehavior", &json!({"behavior": "allow", "downloadPath": path}))
    }

    /// Writes what is seen to `target/page/`.
    pub(crate) fn picture(&self, name: &str) -> Result<()> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/page");
        std::fs::create_dir_all(&dir)?;
        let coded = self.send("GET", "/screenshot", &Value::Null)?;
        let bytes = STANDARD.decode(coded.as_str().context("a picture")?)?;
        ensure!(bytes.starts_with(b"\x89PNG"), "the picture is no PNG");
        Ok(std::fs::write(dir.join(format!("{name}.png")), bytes)?)
    }

    /// Fails with what the console has said that is an error, but for lines that hold one of `expected`.
    pub(crate) fn no_console_error(&self, expected: &[&str]) -> Result<()> {
        let lines = self.send("POST", "/se/log", &json!({"type": "browser"}))?;
        let lines = lines.as_array().context("a list of lines")?;
        let errors: Vec<&Value> = lines
            .iter()
            .filter(|line| line["level"] == "SEVERE" || line["level"] == "WARNING")
            .filter(|line| !expected.iter().any(|part| line["message"].to_string().contains(part)))
            .collect();
        ensure!(errors.is_empty(), "the console says {errors:#?}");
        Ok(())
    }

    /// Fails with what axe finds to be a serious or critical violation.
    pub(crate) fn no_violation(&self, what: &str) -> Result<()> {
        let script = format!(
            "{AXE}; const done = arguments[arguments.length - 1];
             axe.run(document, {{ resultTypes: ['violations'] }}).then(
               (found) => done(found.violations.filter((one) => one.impact === 'serious' || one.impact === 'critical')
                 .map((one) => [one.id, one.nodes.slice(0, 5).map((node) => [node.html.slice(0, 200), node.failureSummary])])),
               (error) => done([['axe failed', String(error)]]));"
        );
        let found = self.run(&script)?;
        ensure!(found.as_array().is_some_and(Vec::is_empty), "{what}: {found:#}");
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.send("DELETE", "", &Value::Null);
        }
        // The driver and whatever of the browser is still there.
        let _ = kill_process_group(Pid::from_child(&self.driver), Signal::KILL);
        let _ = self.driver.wait();
    }
}

/// A driver that listens, and where.
fn driver() -> Result<(Child, String)> {
    for _ in 0..DRIVERS_MAX {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        // A group of its own: the browser ends with it, however the test does.
        let mut driver = command
            .process_group(0)
            .spawn()
            .context("chromedriver cannot be started; cargo xtask test installs chromium-driver")?;
        let stdout = driver.stdout.take().context("stdout is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                // Nobody reads on: it may say what it likes.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok((driver, port.trim_end_matches('.').trim().to_owned()));
            }
        }
        driver.wait()?;
    }
    bail!("{DRIVERS_MAX} chromedrivers ended before they listened")
}
