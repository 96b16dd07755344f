//! Attaching to the cluster: connect, make the namespace, watch. Whatever fails is tried again, and said.

use std::{sync::Arc, time::Duration};

use actors::view::View;
use cluster::{
    connect::{Connection, Limits, Options},
    link::Link,
    watch::watch,
};
use lifecycle::ports::Kind;

/// Which cluster.
pub(super) enum Target {
    /// The one that these options lead to.
    Real(Options),
    /// One in this process.
    Embedded(simcluster::Cluster),
}

/// How long to wait before a kubeconfig that is not usable is read again.
const RETRY: Duration = Duration::from_secs(5);

/// Connects, and then feeds the view for as long as it is polled. It does not end by itself.
pub(super) async fn run(target: Target, link: Arc<Link>, view: Arc<View>) {
    let connection = match target {
        Target::Embedded(cluster) => {
            Connection::from_service(cluster.service(), &link.template().namespace, Limits::default())
        }
        Target::Real(options) => connect(&options, &link).await,
    };
    link.attach(connection.clone());
    let follow = |kind| watch(connection.clone(), link.template().clone(), kind, view.clone());
    futures::join!(link.ensure_namespace(), link.run_events(), follow(Kind::Pod), follow(Kind::Service));
}

/// A missing or bad kubeconfig may be put right while we run: the container's mount comes late, or a person
/// reads our log.
async fn connect(options: &Options, link: &Link) -> Connection {
    loop {
        match Connection::open(options).await {
            Ok(connection) => return connection,
            Err(error) => {
                tracing::error!("{error}");
                link.set_trouble(error.to_string());
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}
