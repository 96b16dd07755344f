//! A daemon on an embedded cluster, its callers and its operator.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use sandbox_provisioner::{
    run::Core,
    settings::{Settings, environment::Environment, layers::FlagValues, load},
};
use serde_json::{Value, json};
use simcluster::{Cluster, Options};
use tokio::time::{Instant, sleep, timeout};
use tracing_subscriber::fmt::MakeWriter;

use super::listen::listen;

/// The namespace of the sandboxes.
pub const NAMESPACE: &str = "deer-flow";

/// Longer than anything may take to heal once its cause is gone: an orphan's grace, and a removal's longest pause.
const HEALED: Duration = Duration::from_secs(180);

/// A daemon, the cluster that it runs on, and what it logged.
pub struct World {
    pub cluster: Cluster,
    core: Option<Core>,
    settings: Settings,
    log: Log,
    _logging: tracing::subscriber::DefaultGuard,
}

/// What a caller was told.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Seconds.
    pub retry_after: Option<u64>,
    /// Null where it is no JSON.
    pub body: Value,
    pub text: String,
    pub took: Duration,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

// === impl World ===

impl World {
    /// A daemon that is ready, on a cluster that is well.
    pub async fn start() -> Self {
        let world = Self::on(Cluster::start(Options::with_namespace(NAMESPACE))).await;
        world.until_ready().await;
        world
    }

    /// A daemon that has just been started.
    pub async fn on(cluster: Cluster) -> Self {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        let logging = listen(subscriber);
        let variables = HashMap::from([("PROVISIONER_EMBEDDED", "true")]);
        let environment = Environment::from_lookup(|name| variables.get(name).map(Into::into));
        let loaded = load::for_serving(None, &environment, &FlagValues::default());
        let settings = loaded.map(|loaded| loaded.settings).unwrap();
        let core = Core::start(&settings, Some(cluster.clone())).await.unwrap();
        Self { cluster, core: Some(core), settings, log, _logging: logging }
    }

    /// Kills the daemon and starts it anew.
    pub async fn restart(&mut self) {
        self.core = None;
        self.core = Some(Core::start(&self.settings, Some(self.cluster.clone())).await.unwrap());
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request.body(Full::<Bytes>::from(body)).unwrap();
        let begun = Instant::now();
        let edge = self.core.as_ref().unwrap().edge();
        let answer = timeout(Duration::from_secs(29), edge.answer(request, None)).await;
        let answer = answer.expect("a caller has given up by now (invariant 7)");
        let status = answer.status().as_u16();
        let header = answer.headers().get("retry-after");
        let retry_after = header.map(|value| value.to_str().unwrap().parse().unwrap());
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer { status, retry_after, body, text, took: begun.elapsed() }
    }

    pub async fn post(&self, id: &str) -> Answer {
        self.call(Method::POST, "/api/sandboxes", Some(json!({"sandbox_id": id}))).await
    }

    pub async fn get(&self, id: &str) -> Answer {
        self.call(Method::GET, &format!("/api/sandboxes/{id}"), None).await
    }

    pub async fn delete(&self, id: &str) -> Answer {
        self.call(Method::DELETE, &format!("/api/sandboxes/{id}"), None).await
    }

    /// A sandbox that was made, runs and is ready.
    pub async fn running(&self, id: &str) {
        let made = self.post(id).await;
        assert_eq!(made.status, 200, "{made}");
        self.until(&format!("{id} runs"), async || self.get(id).await.to_string() == "200 | Running").await;
    }

    /// The checks of `/readyz` that fail, as it shows them.
    pub async fn unready(&self) -> Vec<String> {
        let text = self.call(Method::GET, "/readyz?verbose", None).await.text;
        text.lines().filter(|line| line.starts_with("[-]")).map(str::to_owned).collect()
    }

    pub async fn until_ready(&self) {
        self.until("the daemon is ready", async || self.unready().await.is_empty()).await;
    }

    /// Waits until something is so, and says how long that took.
    ///
    /// # Panics
    /// Where it takes longer than all that heals by itself.
    pub async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
        let begun = Instant::now();
        while !is_so().await {
            assert!(begun.elapsed() < HEALED, "waited in vain until {what}; logged:\n{}", self.logged(""));
            sleep(Duration::from_millis(100)).await;
        }
        begun.elapsed()
    }

    /// The names of all Pods and Services that the cluster holds.
    pub fn objects(&self) -> Vec<String> {
        let mut names = vec![];
        for resource in ["pods", "services"] {
            for object in self.cluster.objects(resource, Some(NAMESPACE)) {
                names.push(object["metadata"]["name"].as_str().unwrap().to_owned());
            }
        }
        names.sort();
        names
    }

    /// The lines with these words in the log, at the level that is shown by default.
    pub fn logged(&self, words: &str) -> String {
        let log = String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap();
        log.split_inclusive('\n').filter(|line| line.contains(words)).collect()
    }
}

// === impl Answer ===

/// As it is written in the tables: the status, when to come again, the reason and the sentence.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(seconds) = self.retry_after {
            write!(f, " after {seconds} s")?;
        }
        for field in ["status", "reason", "message", "detail", "hint"] {
            if let Some(text) = self.body[field].as_str() {
                write!(f, " | {text}")?;
            }
        }
        Ok(())
    }
}

// === impl Log ===

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
