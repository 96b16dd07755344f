//! A cluster with RBAC behind TLS, set up by the file that is shipped.

use std::{ops::Deref, time::Duration};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use simcluster::{AccessOptions, Cluster, Options, User};
use testkit::{Daemon, ServedCluster, Setup};
use tower::ServiceExt;

/// The file that an administrator applies.
pub const SHIPPED: &str = include_str!("../../../config/rbac.yaml");
/// The namespace of the daemon's account.
pub const HOME: &str = "sandbox-provisioner";
/// The daemon's account, its Role and its binding.
pub const ACCOUNT: &str = "sandbox-provisioner";

/// The token of the administrator.
pub const ADMIN: &str = "administrator";

/// A cluster with RBAC, over HTTPS.
pub struct Guarded(ServedCluster);

impl Guarded {
    /// Returns a cluster without any object.
    pub async fn empty() -> Self {
        let access = AccessOptions::rbac().token(ADMIN, User::admin());
        let cluster = Cluster::start(Options { access, ..Options::default() });
        Self(ServedCluster::https(cluster).await)
    }

    /// Returns a cluster with the objects of the shipped file.
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

    /// Returns a token for a service account in the daemon's own namespace.
    pub fn token(&self, account: &str) -> String {
        self.cluster.service_account_token(HOME, account, Duration::from_secs(3600)).unwrap()
    }

    /// Starts a daemon with this token.
    pub async fn daemon(&self, token: &str) -> Daemon {
        let setup = Setup::new(&[("PROVISIONER_REAP_GRACE", "1s")]).kubeconfig(&self.kubeconfig(Some(token)));
        setup.cluster(self.cluster.clone()).listening().start().await
    }

    /// Returns the calls that were rejected for lack of a right or of credentials, as `create pods`.
    pub fn refused(&self) -> Vec<String> {
        let calls = self.cluster.calls().into_iter();
        calls
            .filter(|call| matches!(call.status, Some(401 | 403)))
            .map(|call| format!("{} {}", call.verb, call.resource))
            .collect()
    }
}

impl Deref for Guarded {
    type Target = ServedCluster;

    fn deref(&self) -> &ServedCluster {
        &self.0
    }
}

/// Returns the objects of the shipped file.
pub fn objects() -> Vec<Value> {
    serde_saphyr::from_multiple(SHIPPED).unwrap()
}

/// Returns a service account without any right.
pub fn powerless() -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "powerless", "namespace": HOME}})
}
