//! A client of `chromedriver`, which speaks `WebDriver`: JSON over HTTP.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Client, until};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// The name of an element's reference in `WebDriver`.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How long a command may take.
const ANSWER: Duration = Duration::from_secs(25);

/// Counts violations of the content security policy, and errors that no script catches, from the start of each page.
const RECORDER: &str = "
    window.violations = [];
    addEventListener('securitypolicyviolation', (event) =>
        violations.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
    addEventListener('error', (event) => violations.push(`error: ${event.message}`));
    addEventListener('unhandledrejection', (event) => violations.push(`rejection: ${event.reason}`));
";

/// A Chromium with one window. Dropping it ends the browser.
pub struct Browser {
    client: Client,
    address: SocketAddr,
    session: String,
    _driver: Child,
    // Chromium leaves its profile behind. It is deleted after the driver has ended.
    _profile: TempDir,
}

// === impl Browser ===

impl Browser {
    /// Starts a browser without a screen, whose window has this size.
    pub async fn start((width, height): (u32, u32)) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromedriver");
        command.env("TMPDIR", profile.path());
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.kill_on_drop(true).spawn().expect("`./dev browser` installs chromedriver");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port: u16 = loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver says its port");
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').parse().unwrap();
            }
        };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let client = Client::at(address);
        // A container has no sandbox for root and little shared memory.
        let arguments = json!([
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--hide-scrollbars",
            format!("--window-size={width},{height}"),
        ]);
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let session = client.call(Method::POST, "/session", Some(wanted)).await;
        let session = session.body["value"]["sessionId"].as_str().expect("Chromium starts").to_owned();
        let browser = Self { client, address, session, _driver: driver, _profile: profile };
        browser.protocol("Page.addScriptToEvaluateOnNewDocument", json!({ "source": RECORDER })).await;
        browser.size(width, height).await;
        browser
    }

    async fn command(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let path = format!("/session/{}{path}", self.session);
        let sent = body.as_ref().map(|body| body.to_string().chars().take(200).collect::<String>());
        let call = self.client.call(method, &path, body);
        let answer = timeout(ANSWER, call).await;
        let mut answer = answer.unwrap_or_else(|_| panic!("the browser does not answer: {path} {sent:?}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body["value"].take()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.command(Method::POST, path, Some(body)).await
    }

    /// Calls a method of the `DevTools` protocol.
    pub async fn protocol(&self, method: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({"cmd": method, "params": parameters})).await
    }

    /// Sets the size of the page.
    pub async fn size(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.protocol("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Sets what the system prefers: `light` or `dark`.
    pub async fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.protocol("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Opens a page.
    pub async fn go(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    /// Runs a script in the page, and returns its result. The arguments are `arguments[0]` and so on.
    pub async fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": arguments})).await
    }

    /// Runs a script that awaits, as the body of an `async` function.
    pub async fn run_async(&self, script: &str, arguments: &[Value]) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             (async (...arguments) => {{ {script} }})(...arguments).then(done, (error) => done(`failed: ${{error.stack}}`));"
        );
        self.post("/execute/async", json!({"script": script, "args": arguments})).await
    }

    /// Waits until an expression is true.
    pub async fn wait(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        let what = format!("{expression} in the page");
        until(&what, async || self.run(&script, &[]).await == true).await;
    }

    /// Returns the text of the first visible element, or nothing.
    pub async fn text(&self, selector: &str) -> String {
        let script = "return [...document.querySelectorAll(arguments[0])].find((e) => e.checkVisibility())?.innerText ?? ''";
        self.run(script, &[selector.into()]).await.as_str().unwrap().to_owned()
    }

    /// Waits until the first visible element contains these words.
    pub async fn wait_text(&self, selector: &str, words: &str) {
        let what = format!("{selector} says {words:?}");
        until(&what, async || self.text(selector).await.contains(words)).await;
    }

    /// Waits for the first visible element, with exactly this text if one is given. Returns its path.
    async fn element(&self, selector: &str, text: Option<&str>) -> String {
        let script = "return [...document.querySelectorAll(arguments[0])].find((element) =>
            element.checkVisibility() && (arguments[1] === null || element.textContent.trim() === arguments[1])) ?? null";
        let mut found = Value::Null;
        let what = format!("{selector} {text:?} is visible");
        until(&what, async || {
            found = self.run(script, &[selector.into(), text.into()]).await;
            !found.is_null()
        })
        .await;
        format!("/element/{}", found[ELEMENT].as_str().unwrap())
    }

    /// Clicks an element as a mouse does.
    pub async fn click(&self, selector: &str) {
        let element = self.element(selector, None).await;
        self.post(&format!("{element}/click"), json!({})).await;
    }

    /// Clicks the element with this text.
    pub async fn click_text(&self, selector: &str, text: &str) {
        let element = self.element(selector, Some(text)).await;
        self.post(&format!("{element}/click"), json!({})).await;
    }

    /// Types into an element as a keyboard does.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector, None).await;
        self.post(&format!("{element}/value"), json!({ "text": text })).await;
    }

    /// Presses a key where the focus is. `WebDriver` has letters of its own for keys without a character.
    pub async fn press(&self, key: &str) {
        let key = match key {
            "Tab" => "\u{e004}",
            "Enter" => "\u{e007}",
            "Escape" => "\u{e00c}",
            "PageDown" => "\u{e00f}",
            "End" => "\u{e010}",
            "Home" => "\u{e011}",
            "ArrowDown" => "\u{e015}",
            other => other,
        };
        let strokes = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        self.post("/actions", json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]}))
            .await;
    }

    /// Saves a picture of the page as `target/browser/NAME.png`.
    pub async fn picture(&self, name: &str) {
        let picture = self.command(Method::GET, "/screenshot", None).await;
        let bytes = BASE64_STANDARD.decode(picture.as_str().unwrap()).unwrap();
        fs::write(folder().join(format!("{name}.png")), bytes).unwrap();
    }

    /// Returns the URLs that the browser has requested since the last call.
    pub async fn requested(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({"type": "performance"})).await;
        let messages = entries.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap());
        messages
            .map(|message| serde_json::from_str::<Value>(message).unwrap()["message"].take())
            .filter(|message| message["method"] == "Network.requestWillBeSent")
            .map(|message| message["params"]["request"]["url"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Returns the messages of the console since the last call, apart from those about the status of a response.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({"type": "browser"})).await;
        let messages = entries.as_array().unwrap().iter().filter(|entry| entry["source"] != "network");
        messages.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Checks that the page has kept its security policy and that no script has failed.
    pub async fn is_clean(&self) {
        assert_eq!(self.run("return window.violations", &[]).await, json!([]));
        assert_eq!(self.console().await, [""; 0]);
    }
}

impl Drop for Browser {
    /// Ends the session. A driver that is killed leaves its browser behind.
    fn drop(&mut self) {
        let Ok(mut stream) = TcpStream::connect(self.address) else { return };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let request = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.session, self.address
        );
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read(&mut [0; 256]);
    }
}

/// Returns the directory of pictures and of what `./dev browser` has downloaded.
pub fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/browser");
    fs::create_dir_all(&folder).unwrap();
    folder
}
