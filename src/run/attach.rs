//! Connecting to the cluster: connect, create the namespace, watch. Each failure is logged and retried.

use std::{sync::Arc, time::Duration};

use actors::view::View;
use kubernetes::{
    connect::{Connection, Limits, Options},
    link::Link,
    watch::watch,
};
use lifecycle::traits::{Kind, WatchSink as _};

/// The cluster to connect to.
pub(super) enum Target {
    /// A real cluster, with these options.
    Real(Options),
    /// The embedded cluster.
    Embedded(simcluster::Cluster, Limits),
}

/// How long to wait before an invalid kubeconfig is read again.
const RETRY: Duration = Duration::from_secs(5);

/// Connects, then updates the view while it is polled. It never ends by itself.
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

/// A missing or invalid kubeconfig may be fixed while the daemon runs: a mount appears late, or an operator reads the
/// log. Each change of the error is logged, and every 503 contains the error.
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
