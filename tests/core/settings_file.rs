//! A daemon with a settings file.

use simcluster::Cluster;
use testkit::{Daemon, Setup};

/// Starts a daemon with this settings file.
pub(crate) async fn with(cluster: &Cluster, file: &str) -> Daemon {
    with_variables(cluster, file, &[]).await
}

/// Starts a daemon with this settings file and these environment variables.
pub(crate) async fn with_variables(cluster: &Cluster, file: &str, variables: &[(&str, &str)]) -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    std::fs::write(&path, file).unwrap();
    let setup = Setup::new(variables).set("SANDBOX_PROVISIONER_CONFIG", path.to_str().unwrap());
    setup.cluster(cluster.clone()).start().await.ready().await
}
