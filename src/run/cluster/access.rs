//! The embedded cluster with TLS, RBAC and a kubeconfig.

use std::{future::Future, net::SocketAddr};

use simcluster::{AccessOptions, Cluster, Kubeconfig, Options, Tls, User};
use tokio::net::TcpListener;

use super::{url, warn_if_exposed, welcome};
use crate::cli::GuardArgs;

/// Starts a cluster and serves it until `stop` ends.
pub(super) async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    mut options: Options,
    arguments: GuardArgs,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), String> {
    let GuardArgs { tls, tls_name, rbac, write_kubeconfig } = arguments;
    let tls = (tls || rbac || !tls_name.is_empty()).then(|| certificate(address, tls_name)).transpose()?;
    if rbac {
        options.access = AccessOptions::rbac();
    } else {
        warn_if_exposed(address);
    }
    let cluster = Cluster::start(options);
    let url = url(address, tls.is_some());
    let how = match &write_kubeconfig {
        Some(file) => {
            kubeconfig(&cluster, &url, tls.as_ref())?.write(file).map_err(|error| error.to_string())?;
            format!("--kubeconfig {}", file.display())
        }
        None if tls.is_some() => format!("--server {url} --insecure-skip-tls-verify"),
        None => format!("--server {url}"),
    };
    welcome(&url, &how);
    match tls {
        Some(tls) => simcluster::serve_tls(listener, cluster.clone(), tls, stop).await,
        None => simcluster::serve(listener, cluster.clone(), stop).await,
    }
    cluster.shutdown().await;
    Ok(())
}

fn certificate(address: SocketAddr, mut names: Vec<String>) -> Result<Tls, String> {
    names.push(address.ip().to_string());
    Tls::generate(&names).map_err(|error| format!("{error}; check the names given with --tls-name"))
}

/// Returns a kubeconfig for the operator of the cluster: with an administrator's token where RBAC is enforced.
fn kubeconfig(cluster: &Cluster, url: &str, tls: Option<&Tls>) -> Result<Kubeconfig, String> {
    let mut config = Kubeconfig::new(url);
    if let Some(tls) = tls {
        config = config.authority(tls.authority());
    }
    if cluster.has_rbac() {
        config = config.token(cluster.issue_token(User::admin()).map_err(|error| error.to_string())?);
    }
    Ok(config)
}
