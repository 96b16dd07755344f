//! The page of a daemon on an embedded cluster.

use std::ops::Deref;

use serde_json::{Value, json};
use simcluster::{Behaviour, Cluster, NodeOptions, Options};
use testkit::{Daemon, NAMESPACE, Setup};

use crate::driver::Browser;

pub const WIDE: (u32, u32) = (1280, 800);
pub const NARROW: (u32, u32) = (390, 844);

/// Replaces the stream of events by one that the test feeds: `feed(name, data)` sends an event, `closeFeed()` ends the
/// stream, and `feedStatus` is the status of the next streams.
const FEED: &str = "
    const load = window.fetch;
    window.feedStatus = 200;
    window.fetch = (path, options) => {
        if (path !== 'api/events') return load(path, options);
        window.lastEventId = options.headers['Last-Event-ID'] ?? null;
        if (window.feedStatus !== 200) {
            const body = JSON.stringify({detail: 'the maximum of streams is open', reason: 'Busy'});
            return Promise.resolve(new Response(body, {status: window.feedStatus, headers: {'Retry-After': '1'}}));
        }
        const body = new ReadableStream({start(stream) {
            let id = 0;
            const bytes = (text) => new TextEncoder().encode(text);
            window.feed = (name, data) =>
                stream.enqueue(bytes(`id: t-${id++}\\nevent: ${name}\\ndata: ${JSON.stringify(data)}\\n\\n`));
            window.closeFeed = () => stream.close();
            options.signal.addEventListener('abort', () => stream.error(options.signal.reason));
        }});
        return Promise.resolve(new Response(body));
    };
";

/// A daemon and a browser that shows its page. It is its own [`Browser`].
pub struct Page {
    pub daemon: Daemon,
    pub url: String,
    browser: Browser,
}

/// Returns a cluster whose Pods behave so.
pub fn cluster(behaviour: &str) -> Cluster {
    let behaviour: Behaviour = behaviour.parse().unwrap();
    let node = Some(NodeOptions { behaviour, ..NodeOptions::default() });
    Cluster::start(Options { node, ..Options::with_namespace(NAMESPACE) })
}

// === impl Page ===

impl Page {
    /// Starts a daemon whose Pods behave normally, and opens its page.
    pub async fn open() -> Self {
        Self::of(Setup::new(&[]).cluster(cluster("normal")), WIDE).await
    }

    /// Starts a daemon, and opens its page in a window of this size.
    pub async fn of(setup: Setup, size: (u32, u32)) -> Self {
        let page = Self::start(setup, size).await;
        page.go("").await;
        page
    }

    /// Starts a daemon, and opens its page with a stream of events that the test feeds.
    pub async fn fed() -> Self {
        let page = Self::start(Setup::new(&[]).cluster(cluster("normal")), WIDE).await;
        page.protocol("Page.addScriptToEvaluateOnNewDocument", json!({ "source": FEED })).await;
        page.go("").await;
        page.wait("window.feed").await;
        page
    }

    /// Starts a daemon and a browser.
    pub async fn start(setup: Setup, size: (u32, u32)) -> Self {
        let daemon = setup.listening().start().await.ready().await;
        let url = format!("http://{}/ui", daemon.address());
        Self { daemon, url, browser: Browser::start(size).await }
    }

    /// Opens the page with this query.
    pub async fn go(&self, query: &str) {
        self.browser.go(&format!("{}{query}", self.url)).await;
    }

    /// Opens another page.
    pub async fn browse(&self, url: &str) {
        self.browser.go(url).await;
    }

    /// Waits until the page shows the present state.
    pub async fn live(&self) {
        self.wait_text("#connection", "Live").await;
        self.wait("!document.getElementById('found').textContent.startsWith('Loading')").await;
    }

    /// Waits until the table shows these sandboxes in this order.
    pub async fn shows(&self, ids: &[&str]) {
        let ids = serde_json::to_string(ids).unwrap();
        self.wait(&format!("JSON.stringify({IDS}) === {}", json!(ids))).await;
    }

    /// Sends an event on the stream of [`Page::fed`].
    pub async fn feed(&self, name: &str, data: Value) {
        self.run("feed(arguments[0], arguments[1])", &[name.into(), data]).await;
    }

    /// Returns the query of the address.
    pub async fn query(&self) -> String {
        self.run("return location.search", &[]).await.as_str().unwrap().to_owned()
    }
}

/// The ids in the table, as a script.
const IDS: &str = "[...document.querySelectorAll('#sandboxes tr[data-id]')].map((row) => row.dataset.id)";

impl Deref for Page {
    type Target = Browser;

    fn deref(&self) -> &Browser {
        &self.browser
    }
}
