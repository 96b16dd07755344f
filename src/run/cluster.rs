//! `cluster`: runs the embedded cluster alone, for any client.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    process::ExitCode,
};

use simcluster::{AccessOptions, Cluster, Kubeconfig, Options, Tls, User};
use tokio::net::TcpListener;

use super::{signals::Signals, start_log};
use crate::{
    cli::{ClusterArgs, GuardArgs},
    settings::Log,
    stdout,
};

/// Runs the embedded cluster's API server until a signal ends it.
///
/// Exit status: 0 after a signal, 1 if it cannot listen, generate its certificate or write its kubeconfig.
pub async fn cluster(log: &Log, arguments: ClusterArgs) -> ExitCode {
    if let Err(error) = start_log(log) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: ClusterArgs) -> Result<(), String> {
    let ClusterArgs { listen, node_port_range, no_sandbox_servers, guard, log: _ } = arguments;
    let GuardArgs { tls, tls_name, rbac, write_kubeconfig } = guard;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        format!("cannot listen on {listen}: {error}; choose another address with --listen")
    })?;
    let (mut signals, address) = Signals::new()
        .and_then(|signals| Ok((signals, listener.local_addr()?)))
        .map_err(|error| format!("cannot start: {error}"))?;
    let tls = (tls || rbac || !tls_name.is_empty()).then(|| certificate(address, tls_name)).transpose()?;
    let cluster = Cluster::start(Options {
        node_ports: node_port_range.first()..=node_port_range.last(),
        sandbox_servers: (!no_sandbox_servers).then_some(sandbox_bind(address.ip())),
        access: if rbac { AccessOptions::rbac() } else { AccessOptions::default() },
        ..Options::default()
    });
    let url = url(address, tls.is_some());
    if !rbac && !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "RBAC is not enforced: anyone who reaches this address can do anything in the cluster; listen on a \
             loopback address, or give --rbac"
        );
    }
    if let Some(file) = &write_kubeconfig {
        kubeconfig(&cluster, &url, tls.as_ref())?.write(file).map_err(|error| error.to_string())?;
    }
    welcome(&url, write_kubeconfig.as_deref(), tls.is_some());
    let stop = async move {
        let signal = signals.next().await.name();
        tracing::info!(signal, "shutting down");
    };
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

/// The address of the API server for clients on this machine.
fn url(address: SocketAddr, tls: bool) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

/// A kubeconfig for the operator of the cluster: an administrator, where RBAC is enforced.
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

fn welcome(url: &str, kubeconfig: Option<&Path>, tls: bool) {
    let how = match kubeconfig {
        Some(file) => format!("--kubeconfig {}", file.display()),
        None if tls => format!("--server {url} --insecure-skip-tls-verify"),
        None => format!("--server {url}"),
    };
    // If standard output is closed, the cluster continues to run.
    let _ = stdout::print(&format!(
        "An embedded Kubernetes cluster is listening on {url}; it is forgotten when it ends. Try:\n\n  \
         kubectl {how} get pods --all-namespaces\n\n"
    ));
}

/// The simulated sandboxes listen on the same address as the API server.
fn sandbox_bind(listen: IpAddr) -> IpAddr {
    listen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client cannot connect to the unspecified address, so it gets a loopback address.
    #[test]
    fn the_url_is_one_that_a_client_can_use() {
        for (address, tls, expected) in [
            ("0.0.0.0:1", false, "http://127.0.0.1:1"),
            ("[::]:2", true, "https://[::1]:2"),
            ("10.0.0.7:3", true, "https://10.0.0.7:3"),
        ] {
            assert_eq!(url(address.parse().unwrap(), tls), expected);
        }
    }
}
