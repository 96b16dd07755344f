//! `cluster`: the embedded cluster alone, for any client.

use std::{net::IpAddr, process::ExitCode};

use tokio::net::TcpListener;

use super::{signals::Signals, start_log};
use crate::{cli::ClusterArgs, settings::Log, stdout};

/// Runs the embedded cluster's API server over HTTP until a signal ends it.
///
/// Exit status: 0 after a signal, 1 when it cannot listen.
pub async fn cluster(log: &Log, arguments: ClusterArgs) -> ExitCode {
    let ClusterArgs { listen, node_port_range, no_sandbox_servers, log: _ } = arguments;
    if let Err(error) = start_log(log) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let listener = match TcpListener::bind(listen).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on {listen}: {error}; choose another address with --listen");
            return ExitCode::FAILURE;
        }
    };
    let (mut signals, address) =
        match Signals::new().and_then(|signals| Ok((signals, listener.local_addr()?))) {
            Ok(ready) => ready,
            Err(error) => {
                eprintln!("cannot start: {error}");
                return ExitCode::FAILURE;
            }
        };
    let cluster = simcluster::Cluster::start(simcluster::Options {
        node_ports: node_port_range.first()..=node_port_range.last(),
        sandbox_servers: (!no_sandbox_servers).then_some(sandbox_bind(address.ip())),
        ..simcluster::Options::default()
    });
    stdout::print(&format!(
        "An embedded Kubernetes cluster is listening on http://{address}; it is forgotten when it ends. Try:\n\n  \
         kubectl --server http://{address} get pods --all-namespaces\n\n"
    ));
    simcluster::serve(listener, cluster.clone(), async move {
        let signal = signals.next().await;
        tracing::info!(signal, "shutting down");
    })
    .await;
    cluster.shutdown().await;
    ExitCode::SUCCESS
}

/// The simulated sandboxes are reached where the API server is.
fn sandbox_bind(listen: IpAddr) -> IpAddr {
    listen
}
