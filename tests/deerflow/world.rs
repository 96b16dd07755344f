//! A daemon without its socket on a cluster of its own.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use sandbox_provisioner::{
    run::Core,
    settings::{environment::Environment, layers::FlagValues, load},
};
use serde_json::{Map, Value, json};
use simcluster::{Cluster, NodeOptions, Options};

/// The key of every daemon here.
pub const KEY: &str = "a-key-of-the-test";

/// Long enough for the watch to show what was just written.
pub const MOMENT: Duration = Duration::from_secs(1);

/// A daemon and its cluster.
pub struct World {
    pub cluster: Cluster,
    namespace: String,
    core: Core,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl World {
    /// A daemon with these environment variables, the key and `NODE_HOST=127.0.0.1`, on a cluster with or without a
    /// node.
    pub async fn start(variables: &Map<String, Value>, node: Option<NodeOptions>) -> Self {
        let mut environment: HashMap<&str, &str> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        environment.extend([("PROVISIONER_API_KEY", KEY), ("NODE_HOST", "127.0.0.1")]);
        let namespace = environment.get("K8S_NAMESPACE").copied().unwrap_or("deer-flow").to_owned();
        let lookup = Environment::from_lookup(|name| environment.get(name).map(Into::into));
        let loaded = load::for_serving(None, &lookup, &FlagValues::default()).unwrap();
        let cluster = Cluster::start(Options { node, ..Options::with_namespace(&namespace) });
        let core = Core::start(&loaded.settings, Some(cluster.clone())).await.unwrap();
        tokio::time::sleep(MOMENT).await;
        Self { cluster, namespace, core }
    }

    /// Sends a request to the daemon.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let (head, body) = self.core.edge().answer(request, None).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// Sends a request with the key, and a body of JSON unless it is null.
    pub async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("x-api-key", KEY);
        let mut bytes = Bytes::new();
        if !body.is_null() {
            request = request.header("content-type", "application/json");
            bytes = body.to_string().into();
        }
        self.send(request.body(Full::new(bytes)).unwrap()).await
    }

    /// Sends a request to the API server, `path` below the namespace.
    pub async fn kubernetes(&self, step: &Value) -> StatusCode {
        let client = kube::Client::new(self.cluster.service(), &self.namespace);
        let path = format!("/api/v1/namespaces/{}{}", self.namespace, step["path"].as_str().unwrap());
        let content_type = step["content_type"].as_str().unwrap_or("application/json");
        let body = if step["body"].is_null() { Vec::new() } else { step["body"].to_string().into_bytes() };
        let request = Request::builder()
            .method(step["method"].as_str().unwrap())
            .uri(path)
            .header("content-type", content_type)
            .body(body.into())
            .unwrap();
        client.send(request).await.unwrap().status()
    }

    /// The object of this name in the cluster.
    pub fn object(&self, resource: &str, name: &str) -> Option<Value> {
        self.cluster.object(resource, &self.namespace, name)
    }

    /// Creates an object, as an operator does.
    pub fn put(&self, resource: &str, name: &str, spec: &Value) {
        let metadata = json!({"name": name, "namespace": self.namespace});
        self.cluster.put(resource, json!({"metadata": metadata, "spec": spec})).unwrap();
    }

    /// How many Pods and Services there are.
    pub fn objects(&self) -> usize {
        ["pods", "services"].map(|resource| self.cluster.count(resource, Some(&self.namespace))).iter().sum()
    }
}

impl Answer {
    /// The body as JSON, or as a text if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&self.body).into_owned()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}
