//! Proxies in the environment.

use std::time::Duration;

use simcluster::{Cluster, Options};
use testkit::{Process, ServedCluster, within};

use crate::PROGRAM;

/// Guards that the API server is reached directly, whatever proxies the environment names, over HTTP and HTTPS.
#[tokio::test]
async fn proxies_of_the_environment_do_not_count() {
    for cluster in [
        ServedCluster::http(Cluster::start(Options::default())).await,
        ServedCluster::https(Cluster::start(Options::default())).await,
    ] {
        let kubeconfig = cluster.kubeconfig(None);
        for proxy in ["http://us er@proxy.corp:3128", "http://127.0.0.1:1", "%"] {
            let mut variables = vec![("KUBECONFIG_PATH", kubeconfig.to_str().unwrap())];
            let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
            variables.extend(names.map(|name| (name, proxy)));
            let mut daemon = Process::serve(PROGRAM, &variables).await;
            let client = daemon.client();
            within(Duration::from_secs(60), "the daemon is ready", async || {
                client.fetch("/readyz").await.status == 200
            })
            .await;
            daemon.signal("TERM").await;
            assert_eq!(daemon.status().await, Some(0), "{proxy}");
        }
    }
}
