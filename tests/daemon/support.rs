//! A daemon in this process, the embedded cluster that it runs on, and a client that shows all of an answer.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use sandbox_provisioner::{
    run::Daemon,
    settings::{Settings, environment::Environment, layers::FlagValues, load},
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::Instant};

/// The namespace of all tests.
pub const NAMESPACE: &str = "deer-flow";

/// A daemon and its cluster.
pub struct World {
    pub cluster: simcluster::Cluster,
    pub daemon: Daemon,
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A client of one daemon.
#[derive(Debug, Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub key: Option<&'static str>,
}

impl World {
    /// A daemon on a quick cluster, with default settings on a port of its own.
    pub async fn start() -> Self {
        Self::with(&[], options()).await
    }

    /// A daemon with these environment variables, on a cluster with these options.
    pub async fn with(variables: &[(&str, &str)], options: simcluster::Options) -> Self {
        Self::on(variables, simcluster::Cluster::start(options)).await
    }

    /// A daemon on a cluster that is there.
    pub async fn on(variables: &[(&str, &str)], cluster: simcluster::Cluster) -> Self {
        let daemon = Daemon::start(&settings(variables), Some(cluster.clone())).await.unwrap();
        Self { cluster, daemon }
    }

    /// A client without a key.
    pub fn client(&self) -> Client {
        Client { address: self.daemon.address(), key: None }
    }

    /// Waits until the daemon is ready.
    pub async fn ready(self) -> Self {
        self.client().until_ready().await;
        self
    }

    /// The names of all Pods and Services that the cluster holds, the terminating ones too.
    pub fn objects(&self) -> Vec<String> {
        names(&self.cluster)
    }

    /// All calls so far that changed or read Pods and Services, as `create pods sandbox-a`; those of the watch
    /// are left out.
    pub fn calls(&self) -> Vec<String> {
        let mut calls: Vec<_> = self
            .cluster
            .calls()
            .into_iter()
            .filter(|call| {
                !matches!(&*call.verb.to_string(), "list" | "watch") && call.resource != "namespaces"
            })
            .map(|call| format!("{} {} {}", call.verb, call.resource, call.name.unwrap_or_default()))
            .collect();
        calls.sort();
        calls
    }
}

/// The names of all Pods and Services that the cluster holds.
pub fn names(cluster: &simcluster::Cluster) -> Vec<String> {
    let mut names = vec![];
    for resource in ["pods", "services"] {
        for object in cluster.objects(resource, Some(NAMESPACE)) {
            names.push(format!("{resource} {}", object["metadata"]["name"].as_str().unwrap()));
        }
    }
    names.sort();
    names
}

/// Options of a cluster without servers on its node ports.
pub fn options() -> simcluster::Options {
    simcluster::Options::default()
}

/// Default settings with these environment variables, on a port that the system chooses.
pub fn settings(variables: &[(&str, &str)]) -> Settings {
    let mut map: HashMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    map.entry("PROVISIONER_LISTEN".to_owned()).or_insert_with(|| "127.0.0.1:0".to_owned());
    map.entry("NODE_HOST".to_owned()).or_insert_with(|| "127.0.0.1".to_owned());
    let environment = Environment::from_lookup(|name| map.get(name).map(Into::into));
    load::for_serving(None, &environment, &FlagValues::default()).map(|loaded| loaded.settings).unwrap()
}

impl Client {
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], None).await
    }

    /// POSTs a sandbox by its id alone.
    pub async fn post(&self, id: &str) -> Answer {
        let body = json!({ "sandbox_id": id }).to_string();
        let headers = [("content-type", "application/json")];
        self.send(Method::POST, "/api/sandboxes", &headers, Some(body.into())).await
    }

    /// Sends a request on a connection of its own.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Bytes>,
    ) -> Answer {
        self.try_send(method, path, headers, body).await.expect("the daemon answers")
    }

    /// As [`Client::send`], where the daemon may be gone.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Bytes>,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request =
            Request::builder().method(method).uri(path).header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(key) = self.key {
            request = request.header("x-api-key", key);
        }
        let response = sender.send_request(request.body(Full::new(body.unwrap_or_default()))?).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        drop(sender);
        connection.abort();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    pub async fn until_ready(&self) {
        until("the daemon is ready", async || self.get("/readyz").await.status == StatusCode::OK).await;
    }

    /// Waits until a GET of the sandbox shows this phase.
    pub async fn until_phase(&self, id: &str, phase: &str) -> Value {
        let path = format!("/api/sandboxes/{id}");
        until(&format!("{id} is {phase}"), async || self.get(&path).await.json()["status"] == phase).await;
        self.get(&path).await.json()
    }
}

impl Answer {
    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Waits for something to become true, but not for ever.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < end, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
