//! An embedded cluster on a port.

use std::{future::pending, net::SocketAddr, path::PathBuf};

use simcluster::{Cluster, Kubeconfig, Tls};
use tokio::{net::TcpListener, task::JoinHandle};

/// An embedded cluster in this process that clients reach over HTTP or HTTPS until this is dropped.
pub struct ServedCluster {
    /// The cluster.
    pub cluster: Cluster,
    /// The address of the API server.
    pub address: SocketAddr,
    /// The certificate authority as PEM, if the API server uses TLS.
    pub authority: Option<String>,
    folder: tempfile::TempDir,
    server: JoinHandle<()>,
}

/// Returns the Pods and Services of a namespace, as `pods sandbox-a`, the terminating ones included.
#[must_use]
pub fn object_names(cluster: &Cluster, namespace: &str) -> Vec<String> {
    let mut names = vec![];
    for resource in ["pods", "services"] {
        for object in cluster.objects(resource, Some(namespace)) {
            names.push(format!("{resource} {}", object["metadata"]["name"].as_str().unwrap()));
        }
    }
    names.sort();
    names
}

// === impl ServedCluster ===

impl ServedCluster {
    /// Serves a cluster over HTTP.
    pub async fn http(cluster: Cluster) -> Self {
        Self::start(cluster, None).await
    }

    /// Serves a cluster over HTTPS.
    pub async fn https(cluster: Cluster) -> Self {
        Self::start(cluster, Some(Tls::generate(&[]).unwrap())).await
    }

    async fn start(cluster: Cluster, tls: Option<Tls>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let authority = tls.as_ref().map(|tls| tls.authority().to_owned());
        let on = cluster.clone();
        let server = tokio::spawn(async move {
            match tls {
                Some(tls) => simcluster::serve_tls(listener, on, tls, pending()).await,
                None => simcluster::serve(listener, on, pending()).await,
            }
        });
        Self { cluster, address, authority, folder: tempfile::tempdir().unwrap(), server }
    }

    /// Returns the URL of the API server.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Writes a kubeconfig with this token, or without one.
    #[must_use]
    pub fn kubeconfig(&self, token: Option<&str>) -> PathBuf {
        let mut config = Kubeconfig::new(self.url());
        if let Some(authority) = &self.authority {
            config = config.authority(authority);
        }
        // Tokens of service accounts begin alike, but no two end alike.
        let name = token.map_or("anonymous", |token| &token[token.len().saturating_sub(12)..]);
        let path = self.folder.path().join(name);
        if let Some(token) = token {
            config = config.token(token);
        }
        config.write(&path).unwrap();
        path
    }
}

impl Drop for ServedCluster {
    fn drop(&mut self) {
        self.server.abort();
    }
}
