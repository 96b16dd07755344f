//! Attaching to the cluster: connect, make the namespace, watch. Whatever fails is tried again, and said.

use std::{sync::Arc, time::Duration};

use actors::view::View;
use kubernetes::{
    connect::{Connection, Limits, Options},
    link::Link,
    watch::watch,
};
use lifecycle::traits::{Kind, WatchSink as _};

/// Which cluster.
pub(super) enum Target {
    /// The one that these options lead to.
    Real(Options),
    /// One in this process.
    Embedded(simcluster::Cluster, Limits),
}

/// How long to wait before a kubeconfig that is not usable is read again.
const RETRY: Duration = Duration::from_secs(5);

/// Connects, and then feeds the view for as long as it is polled. It does not end by itself.
pub(super) async fn run(target: Target, link: Arc<Link>, view: Arc<View>) {
    let connection = match target {
        Target::Embedded(cluster, limits) => {
            Connection::from_service(cluster.service(), &link.template().namespace, limits)
        }
        Target::Real(options) => connect(&options, &link, &view).await,
    };
    link.attach(connection.clone());
    let follow = |kind| watch(connection.clone(), link.template().clone(), kind, view.clone());
    futures::join!(link.ensure_namespace(), link.run_events(), follow(Kind::Pod), follow(Kind::Service));
}

/// A missing or bad kubeconfig may be put right while we run: the container's mount comes late, or a person
/// reads our log. It says so whenever what is wrong changes, and callers are told it with every 503.
async fn connect(options: &Options, link: &Link, view: &View) -> Connection {
    let mut told = None;
    loop {
        let why = match Connection::open(options).await {
            Ok(connection) => return connection,
            Err(error) => error.to_string(),
        };
        if told.as_ref() != Some(&why) {
            tracing::error!("{why}");
            link.set_trouble(why.clone());
            for kind in [Kind::Pod, Kind::Service] {
                view.failing(kind, &why);
            }
            told = Some(why);
        }
        tokio::time::sleep(RETRY).await;
    }
}
