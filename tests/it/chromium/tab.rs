//! A tab as a person uses it: what is clicked is scrolled to, in sight and not covered; what is waited for comes, or the
//! test fails with what the page shows. Nothing sleeps: each wait is for something that the browser says.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tokio::time::timeout_at;

use super::pipe::Pipe;
use super::pipe::chromium;
use super::text;
use crate::harness::PASSWORD;
use crate::harness::TestServer;

/// How long something may take before it counts as not coming. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(40);

/// What the reader's machine is like.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub width: u32,
    pub dark: bool,
    pub scripts: bool,
}

impl Look {
    pub const WIDE: Self = Self {
        width: 1280,
        dark: false,
        scripts: true,
    };
    pub const NARROW: Self = Self {
        width: 360,
        dark: false,
        scripts: true,
    };

    pub fn dark(self) -> Self {
        Self { dark: true, ..self }
    }
}

pub struct Tab {
    pipe: &'static Pipe,
    context: String,
    session: String,
    /// The target is also the name of its frame.
    frame: String,
    said: UnboundedReceiver<Value>,
    /// Which document is shown, and which one was loaded with all that belongs to it.
    shown: String,
    loaded: String,
    /// What should never be: dialogs, errors, complaints about the content policy.
    noise: Vec<String>,
    /// Document and address of each request.
    requests: Vec<(String, String)>,
    downloads: TempDir,
    /// Of the last download: its guid, its name, whether it is complete.
    download: Option<(String, String, bool)>,
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.pipe.close(&self.session, &self.context);
    }
}

impl Tab {
    /// A tab in a browser that was never used; none where there is no Chromium.
    pub async fn open(look: Look) -> Option<Self> {
        let pipe = chromium()?;
        let (context, frame, session, said) = pipe.open().await;
        let downloads = tempfile::tempdir().unwrap();
        let keep = json!({
            "behavior": "allowAndName",
            "browserContextId": context,
            "downloadPath": downloads.path(),
            "eventsEnabled": true
        });
        pipe.ask("Browser.setDownloadBehavior", keep).await;
        let mut tab = Self {
            pipe,
            context,
            session,
            frame,
            said,
            shown: String::new(),
            loaded: String::new(),
            noise: Vec::new(),
            requests: Vec::new(),
            downloads,
            download: None,
        };
        for domain in ["Page", "Runtime", "Network", "Log", "Audits"] {
            tab.ask(&format!("{domain}.enable"), json!({})).await;
        }
        tab.ask("Page.setLifecycleEventsEnabled", json!({ "enabled": true }))
            .await;
        tab.look(look).await;
        Some(tab)
    }

    /// A tab of somebody who has signed in by the page for it.
    pub async fn signed_in(look: Look, server: &TestServer, user: &str) -> Option<Self> {
        let mut tab = Self::open(look).await?;
        tab.goto(&server.url("/login")).await;
        tab.sign_in(user).await;
        Some(tab)
    }

    /// Fills in the page that is shown for signing in.
    pub async fn sign_in(&mut self, user: &str) {
        self.fill("#name", user).await;
        self.fill("#password", PASSWORD).await;
        self.follow("[data-ocm-action=sign-in]").await;
    }

    /// From now on, the machine is like this.
    pub async fn look(&mut self, look: Look) {
        let scheme = if look.dark { "dark" } else { "light" };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" }
        ]);
        let size = json!({ "width": look.width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setEmulatedMedia", json!({ "features": features }))
            .await;
        self.ask("Emulation.setDeviceMetricsOverride", size).await;
        self.ask(
            "Emulation.setScriptExecutionDisabled",
            json!({ "value": !look.scripts }),
        )
        .await;
    }

    pub async fn goto(&mut self, url: &str) {
        let going = self.ask("Page.navigate", json!({ "url": url })).await;
        let document = text(&going, "/loaderId").to_owned();
        let failed = text(&going, "/errorText");
        assert!(failed.is_empty(), "{url}: {failed}");
        let until = Instant::now() + PATIENCE;
        while self.loaded != document {
            self.hear(until, &format!("{url} to be loaded")).await;
        }
    }

    /// Clicks on what leads to another page, and waits for that.
    pub async fn follow(&mut self, selector: &str) {
        let before = self.shown.clone();
        self.click(selector).await;
        self.arrive(&before, selector).await;
    }

    /// Presses a key that leads to another page, and waits for that.
    pub async fn follow_key(&mut self, key: &str) {
        let before = self.shown.clone();
        self.press(key).await;
        self.arrive(&before, key).await;
    }

    async fn arrive(&mut self, before: &str, through: &str) {
        let until = Instant::now() + PATIENCE;
        while self.shown == before || self.loaded != self.shown {
            self.hear(until, &format!("another page after {through}")).await;
        }
    }

    /// Clicks in the middle of the first such element that is in sight.
    pub async fn click(&mut self, selector: &str) {
        let at = self
            .eval(&format!(
                "(() => {{
                    const all = [...document.querySelectorAll({selector:?})];
                    const it = all.find(one => one.getClientRects().length && one.checkVisibility());
                    if (!it) return {{ why: all.length + ' there, none in sight' }};
                    it.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                    const box = it.getClientRects()[0];
                    const x = box.x + box.width / 2, y = box.y + box.height / 2;
                    const top = document.elementFromPoint(x, y);
                    const hit = top && (it.contains(top) || top.contains(it) || it.labels && [...it.labels].includes(top));
                    return hit ? {{ x, y }} : {{ why: 'covered by ' + (top ? top.outerHTML.slice(0, 99) : 'nothing') }};
                }})()"
            ))
            .await;
        let (Some(x), Some(y)) = (at["x"].as_f64(), at["y"].as_f64()) else {
            let why = text(&at, "/why").to_owned();
            self.fail(&format!("{selector} can't be clicked: {why}")).await;
        };
        for (kind, buttons) in [("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)] {
            let button = if kind == "mouseMoved" { "none" } else { "left" };
            let params = json!({
                "type": kind, "x": x, "y": y, "button": button, "buttons": buttons, "clickCount": u8::from(kind != "mouseMoved")
            });
            self.ask("Input.dispatchMouseEvent", params).await;
        }
    }

    /// Clicks on a field and types over what is in it.
    pub async fn fill(&mut self, selector: &str, typed: &str) {
        self.click(selector).await;
        self.eval(&format!("document.querySelector({selector:?}).select()"))
            .await;
        self.type_text(typed).await;
    }

    /// Types where the cursor is.
    pub async fn type_text(&mut self, typed: &str) {
        self.ask("Input.insertText", json!({ "text": typed })).await;
    }

    /// Presses a key where the focus is.
    pub async fn press(&mut self, key: &str) {
        let (code, said) = match key {
            "Tab" => (9, None),
            "Enter" => (13, Some("\r")),
            "Escape" => (27, None),
            " " => (32, Some(" ")),
            "ArrowDown" => (40, None),
            other => panic!("no such key here: {other}"),
        };
        let mut down = json!({ "type": "rawKeyDown", "key": key, "code": key, "windowsVirtualKeyCode": code });
        if let Some(said) = said {
            down["type"] = json!("keyDown");
            down["text"] = json!(said);
        }
        self.ask("Input.dispatchKeyEvent", down).await;
        let up = json!({ "type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code });
        self.ask("Input.dispatchKeyEvent", up).await;
    }

    /// Chooses files as the dialog for it would.
    pub async fn set_files(&mut self, selector: &str, files: &[PathBuf]) {
        let params = json!({ "expression": format!("document.querySelector({selector:?})") });
        let found = self.ask("Runtime.evaluate", params).await;
        let object = text(&found, "/result/objectId");
        self.ask("DOM.setFileInputFiles", json!({ "objectId": object, "files": files }))
            .await;
    }

    /// Clicks on what is a download; gives its name and bytes.
    pub async fn download(&mut self, selector: &str) -> (String, Vec<u8>) {
        self.download = None;
        self.click(selector).await;
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some((guid, name, true)) = &self.download {
                return (name.clone(), std::fs::read(self.downloads.path().join(guid)).unwrap());
            }
            self.hear(until, "a download").await;
        }
    }

    /// What an expression is worth on the page.
    pub async fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.ask("Runtime.evaluate", params).await;
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{expression}: {}",
            answer["exceptionDetails"]
        );
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true on the page, which a script of ours makes so.
    pub async fn until(&mut self, expression: &str) {
        let looking = format!(
            "new Promise(found => {{ const look = () => ({expression}) ? found(true) : requestAnimationFrame(look); look(); }})"
        );
        let until = Instant::now() + PATIENCE;
        loop {
            let params = json!({ "expression": looking, "awaitPromise": true });
            let id = self.pipe.send(&self.session, "Runtime.evaluate", params);
            let answer = self.answer(id, until, expression).await;
            // A page that goes away takes its promises with it.
            if answer.pointer("/result/result/value") == Some(&Value::Bool(true)) {
                return;
            }
            self.hear(until, expression).await;
        }
    }

    /// The text of the page, as it is read.
    pub async fn text(&mut self) -> String {
        let said = self.eval("document.body ? document.body.innerText : ''").await;
        said.as_str().unwrap_or_default().to_owned()
    }

    /// Where it is.
    pub async fn url(&mut self) -> String {
        self.eval("location.href").await.as_str().unwrap().to_owned()
    }

    /// The value of a field.
    pub async fn value(&mut self, selector: &str) -> String {
        let value = self
            .eval(&format!("document.querySelector({selector:?})?.value ?? null"))
            .await;
        match value.as_str() {
            Some(value) => value.to_owned(),
            None => self.fail(&format!("there is no {selector}")).await,
        }
    }

    pub async fn has(&mut self, selector: &str) -> bool {
        self.eval(&format!("!!document.querySelector({selector:?})")).await == true
    }

    /// Fails, showing the page, where it does not say this.
    pub async fn expect(&mut self, words: &str) {
        if !self.text().await.contains(words) {
            self.fail(&format!("{words:?} is not on the page")).await;
        }
    }

    /// Fails where anything happened that never should, or something was asked of others than these. What was asked
    /// for this document comes back.
    pub async fn check_quiet(&mut self, origins: &[&str]) -> Vec<String> {
        // What was said before this answer was heard before it.
        self.eval("0").await;
        if !self.noise.is_empty() {
            let noise = self.noise.join("\n");
            self.fail(&format!("this should not be:\n{noise}")).await;
        }
        let foreign: Vec<_> = self
            .requests
            .iter()
            .map(|(_, url)| url.clone())
            .filter(|url| !origins.iter().any(|origin| url.starts_with(&format!("{origin}/"))))
            .collect();
        if !foreign.is_empty() {
            self.fail(&format!("asked elsewhere: {foreign:?}")).await;
        }
        let own = self.requests.iter().filter(|(document, _)| *document == self.shown);
        own.map(|(_, url)| url.clone()).collect()
    }

    /// Forgets what it has to say of the pages before.
    pub fn forget(&mut self) {
        self.noise.clear();
        self.requests.clear();
    }

    /// Ends the test with what the page shows, in words and as a picture.
    pub async fn fail(&mut self, why: &str) -> ! {
        let shown = self.text().await;
        let url = self.url().await;
        let picture = self.ask("Page.captureScreenshot", json!({ "format": "png" })).await;
        let name = std::thread::current().name().unwrap_or("page").replace("::", "-");
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
        std::fs::write(&file, BASE64_STANDARD.decode(text(&picture, "/data")).unwrap()).unwrap();
        let noise = self.noise.join("\n");
        panic!("{why}\nat {url}, see {}\n{noise}\n---\n{shown}", file.display());
    }

    /// Sends a command and waits for its answer.
    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.pipe.send(&self.session, method, params);
        let answer = self.answer(id, Instant::now() + PATIENCE, method).await;
        assert!(answer.get("error").is_none(), "{method}: {}", answer["error"]);
        answer["result"].clone()
    }

    async fn answer(&mut self, id: u64, until: Instant, what: &str) -> Value {
        loop {
            let said = self.hear(until, what).await;
            if said["id"] == id {
                return said;
            }
        }
    }

    /// The next thing it says, taken in.
    async fn hear(&mut self, until: Instant, what: &str) -> Value {
        let said = timeout_at(until, self.said.recv()).await;
        let Ok(said) = said else {
            panic!("waited in vain for {what}; noise: {:?}", self.noise);
        };
        let said = said.expect("the browser still runs");
        self.take_in(&said);
        said
    }

    fn take_in(&mut self, said: &Value) {
        let params = &said["params"];
        let own = text(params, "/frameId") == self.frame;
        match text(said, "/method") {
            "Page.frameNavigated" if text(params, "/frame/id") == self.frame => {
                self.shown = text(params, "/frame/loaderId").to_owned();
            }
            "Page.lifecycleEvent" if own && params["name"] == "load" => {
                self.loaded = text(params, "/loaderId").to_owned();
            }
            "Page.javascriptDialogOpening" => {
                self.noise.push(format!("dialog: {}", params["message"]));
                let no = json!({ "accept": params["type"] == "beforeunload" });
                self.pipe.send(&self.session, "Page.handleJavaScriptDialog", no);
            }
            "Network.requestWillBeSent" => {
                let url = text(params, "/request/url");
                if !url.starts_with("data:") {
                    self.requests
                        .push((text(params, "/loaderId").to_owned(), url.to_owned()));
                }
            }
            "Browser.downloadWillBegin" if own => {
                let (guid, name) = (text(params, "/guid"), text(params, "/suggestedFilename"));
                self.download = Some((guid.to_owned(), name.to_owned(), false));
            }
            "Browser.downloadProgress" if params["state"] == "completed" => {
                if let Some((guid, _, complete)) = &mut self.download {
                    *complete |= text(params, "/guid") == guid;
                }
            }
            "Runtime.exceptionThrown" => self.noise.push(format!("exception: {params}")),
            "Runtime.consoleAPICalled" if params["type"] == "error" || params["type"] == "warning" => {
                self.noise.push(format!("console: {}", params["args"]));
            }
            // A page may well be the answer 404; what belongs to a page may not.
            "Log.entryAdded" if params["entry"]["level"] == "error" && params["entry"]["source"] != "network" => {
                self.noise.push(format!("log: {}", params["entry"]));
            }
            "Network.loadingFailed" if params["type"] != "Document" && params["canceled"] != true => {
                self.noise.push(format!("not loaded: {params}"));
            }
            "Audits.issueAdded" if text(params, "/issue/code") == "ContentSecurityPolicyIssue" => {
                self.noise.push(format!("policy: {}", params["issue"]["details"]));
            }
            _ => {}
        }
    }
}
