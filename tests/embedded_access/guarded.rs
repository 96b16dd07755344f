//! A cluster with RBAC behind TLS, set up by the file that is shipped.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use sandbox_provisioner::run::Daemon;
use serde_json::{Value, json};
use simcluster::{AccessOptions, Cluster, Kubeconfig, Options, Tls, User};
use tokio::{net::TcpListener, task::JoinHandle};
use tower::ServiceExt;

use super::support::{Client, settings};

/// What an administrator applies.
pub const SHIPPED: &str = include_str!("../../config/rbac.yaml");
/// Where the daemon's account lives.
pub const HOME: &str = "sandbox-provisioner";
/// The daemon's account, its Role and its binding.
pub const ACCOUNT: &str = "sandbox-provisioner";

const ADMIN: &str = "administrator";

/// The cluster, on a port of its own.
pub struct Guarded {
    pub cluster: Cluster,
    url: String,
    authority: String,
    pub folder: tempfile::TempDir,
    server: JoinHandle<()>,
}

impl Guarded {
    /// A new cluster with nothing in it.
    pub async fn empty() -> Self {
        let access = AccessOptions::rbac().token(ADMIN, User::admin());
        let cluster = Cluster::start(Options { access, ..Options::default() });
        let tls = Tls::generate(&[]).unwrap();
        let authority = tls.authority().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let server = simcluster::serve_tls(listener, cluster.clone(), tls, std::future::pending());
        let server = tokio::spawn(server);
        Self { cluster, url, authority, folder: tempfile::tempdir().unwrap(), server }
    }

    /// A cluster to which the shipped file was applied.
    pub async fn shipped() -> Self {
        let guarded = Self::empty().await;
        for object in objects() {
            guarded.create(&object).await;
        }
        guarded
    }

    /// Creates an object as the administrator.
    pub async fn create(&self, object: &Value) {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let prefix = match text("/apiVersion") {
            "v1" => "/api/v1".to_owned(),
            version => format!("/apis/{version}"),
        };
        let place = match text("/metadata/namespace") {
            "" => String::new(),
            namespace => format!("/namespaces/{namespace}"),
        };
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{prefix}{place}/{}s", text("/kind").to_lowercase()))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {ADMIN}"))
            .body(Full::new(Bytes::from(object.to_string())))
            .unwrap();
        let answer = self.cluster.service().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(status, 201, "{object}: {body:?}");
    }

    /// A kubeconfig for a token.
    pub fn kubeconfig(&self, token: &str) -> PathBuf {
        // Tokens of accounts begin alike, but no two end alike.
        let path = self.folder.path().join(&token[token.len() - 12..]);
        let config = Kubeconfig::new(&self.url).authority(&self.authority).token(token);
        config.write(&path).unwrap();
        path
    }

    /// A kubeconfig for the administrator.
    pub fn administrator(&self) -> PathBuf {
        self.kubeconfig(ADMIN)
    }

    /// A token for a service account in the daemon's own namespace.
    pub fn token(&self, account: &str) -> String {
        self.cluster.service_account_token(HOME, account, Duration::from_secs(3600)).unwrap()
    }

    /// A daemon that shows this token.
    pub async fn daemon(&self, token: &str) -> (Daemon, Client) {
        let path = self.kubeconfig(token);
        let path = path.to_str().unwrap();
        let settings = settings(&[("KUBECONFIG_PATH", path), ("PROVISIONER_REAP_GRACE", "1s")]);
        let daemon = Daemon::start(&settings, None).await.unwrap();
        let client = Client { address: daemon.address(), key: None };
        (daemon, client)
    }

    /// The calls that were refused for want of a right or of credentials, as `create pods`.
    pub fn refused(&self) -> Vec<String> {
        let calls = self.cluster.calls().into_iter();
        calls
            .filter(|call| matches!(call.status, Some(401 | 403)))
            .map(|call| format!("{} {}", call.verb, call.resource))
            .collect()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The objects of the shipped file.
pub fn objects() -> Vec<Value> {
    serde_saphyr::from_multiple(SHIPPED).unwrap()
}

/// An account without any right.
pub fn stranger() -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "stranger", "namespace": HOME}})
}
