//! `cluster`: runs the embedded cluster alone, for any client.

#[cfg(feature = "rbac")]
mod access;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
};

#[cfg(not(feature = "rbac"))]
use simcluster::Cluster;
use simcluster::{NodeOptions, Options};
use tokio::net::TcpListener;

use super::{signals::Signals, start_log};
use crate::{cli::ClusterArgs, settings::Log, stdout};

/// Runs the embedded cluster's API server until a signal ends it.
///
/// Exit status: 0 after a signal, 1 if it cannot listen, generate its certificate or write its kubeconfig.
pub async fn cluster(log: &Log, arguments: ClusterArgs) -> ExitCode {
    if let Err(error) = start_log(log, None) {
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
    let listen = arguments.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        format!("cannot listen on {listen}: {error}; choose another address with --listen")
    })?;
    let (mut signals, address) = Signals::new(false)
        .and_then(|signals| Ok((signals, listener.local_addr()?)))
        .map_err(|error| format!("cannot start: {error}"))?;
    let options = Options {
        node: Some(NodeOptions::several(arguments.nodes.into())),
        node_ports: arguments.node_port_range.first()..=arguments.node_port_range.last(),
        // The simulated sandboxes listen on the same address as the API server.
        sandbox_servers: (!arguments.no_sandbox_servers).then_some(address.ip()),
        ..Options::default()
    };
    let stop = async move {
        let signal = signals.next().await.name();
        tracing::info!(signal, "shutting down");
    };
    #[cfg(feature = "rbac")]
    return access::serve(listener, address, options, arguments.guard, stop).await;
    #[cfg(not(feature = "rbac"))]
    {
        warn_if_exposed(address);
        let cluster = Cluster::start(options);
        let url = url(address, false);
        welcome(&url, &format!("--server {url}"));
        simcluster::serve(listener, cluster.clone(), stop).await;
        cluster.shutdown().await;
        Ok(())
    }
}

fn warn_if_exposed(address: SocketAddr) {
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "RBAC is not enforced: anyone who reaches this address can do anything in the cluster; listen on a \
             loopback address, or give --rbac, which needs the cargo feature rbac"
        );
    }
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

fn welcome(url: &str, how: &str) {
    // If standard output is closed, the cluster continues to run.
    let _ = stdout::print(&format!(
        "An embedded Kubernetes cluster is listening on {url}; it is forgotten when it ends. Try:\n\n  \
         kubectl {how} get pods --all-namespaces\n\n"
    ));
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
