//! Connecting to the cluster: connect, create the namespace, watch. Each failure is logged and retried.

use std::{sync::Arc, time::Duration};

use actors::{view::View, workspaces::Workspaces};
use futures::future::OptionFuture;
use kubernetes::{
    cluster::KubeCluster,
    connect::{Connection, Opened, Options},
};
use lifecycle::traits::{Kind, WatchSink as _};

use super::staleness;

/// How long to wait before an invalid kubeconfig is read again.
const RETRY: Duration = Duration::from_secs(5);

/// Connects with these options unless there is a connection, then updates the view while it is polled. It never ends by
/// itself.
pub(super) async fn run(
    options: Option<Options>,
    cluster: Arc<KubeCluster>,
    view: Arc<View>,
    workspaces: Option<Workspaces>,
) {
    let connection = cluster.connection();
    let opened = match options {
        Some(options) => {
            let opened = connect(&options, connection, &view).await;
            Some((options, opened))
        }
        None => None,
    };
    let credentials = async {
        if let Some((options, opened)) = opened {
            connection.keep_credentials(&options, opened).await;
        }
    };
    let follow = |kind| cluster.watch(kind, view.clone());
    let namespace = cluster.namespace().ensure_until_done();
    // The view drops Events about Pods that it does not know yet.
    let pod_events = async {
        view.loaded().await;
        cluster.watch_pod_events(view.clone()).await
    };
    let (pods, services) = (follow(Kind::Pod), follow(Kind::Service));
    let claims = OptionFuture::from(workspaces.map(async |workspaces| {
        let sink = Arc::new(workspaces.clone());
        futures::join!(cluster.watch_claims(sink), workspaces.clean_up())
    }));
    futures::join!(
        credentials,
        namespace,
        cluster.events().run(),
        pods,
        services,
        pod_events,
        claims,
        cluster.read_exit_logs(view.clone()),
        cluster.keep_network(),
        cluster.keep_quota_metrics(),
        staleness::report(view.clone(), || cluster.keep_network_soon())
    );
}

/// A missing or invalid kubeconfig may be fixed while the daemon runs: a mount appears late, or an operator reads the
/// log. Each change of the error is logged, and every 503 contains the error.
async fn connect(options: &Options, connection: &Connection, view: &View) -> Opened {
    let mut logged = None;
    loop {
        let why = match connection.open(options).await {
            Ok(opened) => return opened,
            Err(error) => error.to_string(),
        };
        if logged.as_ref() != Some(&why) {
            tracing::error!("{why}");
            for kind in [Kind::Pod, Kind::Service] {
                view.failing(kind, &why);
            }
            logged = Some(why);
        }
        tokio::time::sleep(RETRY).await;
    }
}
