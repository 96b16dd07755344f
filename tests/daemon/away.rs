//! Tests with an unreachable cluster, at startup and later.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::StatusCode;

use super::{
    listen::listen,
    support::{Client, World, options, settings, until},
};

/// Guards the behavior at startup: health endpoints answer, readiness names what is missing, requests get a 503, and
/// the daemon recovers by itself.
#[tokio::test]
async fn a_cluster_away_at_the_start() {
    let cluster = simcluster::Cluster::start(options());
    cluster.set_away(true);
    let world = World::on(&[], cluster).await;
    let client = world.client();

    assert_eq!(client.get("/health").await.status, StatusCode::OK);
    assert_eq!(client.get("/livez").await.status, StatusCode::OK);
    let unready = client.get("/readyz?verbose").await;
    assert_eq!(unready.status, StatusCode::SERVICE_UNAVAILABLE);
    let text = String::from_utf8(unready.body.to_vec()).unwrap();
    for line in ["[-]namespace", "[-]watch-pods", "[-]watch-services", "readyz check failed"] {
        assert!(text.contains(line), "{text}");
    }
    let answer = client.get("/api/sandboxes/a").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "never a wrong 404: {answer:?}");
    assert!(answer.header("retry-after").is_some());
    let answer = client.post("a").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert!(answer.header("retry-after").is_some());

    world.cluster.set_away(false);
    client.until_ready().await;
    assert_eq!(client.post("a").await.status, StatusCode::OK);
}

/// Guards the behavior during a later outage: known state is answered from memory, other requests are rejected in time,
/// and the daemon recovers by itself.
#[tokio::test]
async fn a_cluster_that_goes_and_comes_back() {
    let world = World::start().await.ready().await;
    let client = world.client();
    client.post("a").await;
    client.until_phase("a", "Running").await;
    world.cluster.set_away(true);
    assert_eq!(client.get("/api/sandboxes/a").await.json()["status"], "Running");
    assert_eq!(client.post("a").await.json()["status"], "Running");
    let refused = client.post("b").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
    let refused = client.delete("/api/sandboxes/a").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");

    // The client has given up its DELETE. The daemon still completes it.
    world.cluster.set_away(false);
    until("the delete is finished", async || world.objects().is_empty()).await;
    until("it is known to be", async || client.get("/api/sandboxes/a").await.status == StatusCode::NOT_FOUND)
        .await;
}

/// Guards that the daemon runs without a kubeconfig and reports it as unready.
#[tokio::test]
async fn no_kubeconfig() {
    let settings = settings(&[("KUBECONFIG_PATH", "/nonexistent/config")]);
    let daemon = sandbox_provisioner::run::Daemon::start(&settings, None).await.unwrap();
    let client = Client { address: daemon.address(), key: None };
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(client.get("/health").await.status, StatusCode::OK);
    let unready = client.get("/readyz?verbose").await;
    assert_eq!(unready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(String::from_utf8_lossy(&unready.body).contains("[-]cluster failed"), "{unready:?}");
}

/// Guards that an outage is retried every second or so, and logged once for each kind of call that fails.
#[tokio::test]
async fn an_outage_does_not_fill_the_log() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::INFO)
        .with_writer(Writer(log.clone()))
        .finish();
    let _guard = listen(subscriber);
    let cluster = simcluster::Cluster::start(options());
    cluster.set_away(true);
    let world = World::on(&[], cluster).await;
    until("it was tried often", async || world.cluster.refused() > 8).await;
    let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    for part in ["the namespace is not there yet", "list of Pods", "list of Services"] {
        assert_eq!(log.lines().filter(|line| line.contains(part)).count(), 1, "{log}");
    }
}

/// Guards that an unusable kubeconfig is read repeatedly but logged once, and that requests get the reason.
#[tokio::test(start_paused = true)]
async fn an_unusable_kubeconfig_is_told_of_once() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let subscriber = tracing_subscriber::fmt().json().with_writer(Writer(log.clone())).finish();
    let _guard = listen(subscriber);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::create_dir(&path).unwrap();
    let settings = settings(&[("KUBECONFIG_PATH", path.to_str().unwrap())]);
    let core = sandbox_provisioner::run::Core::start(&settings, None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let failure = core.sandboxes().list().await.unwrap_err().to_string();
    assert!(failure.contains("Kubeconfig path is a directory"), "{failure}");
    let errors = |log: &Mutex<Vec<u8>>| {
        let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        log.lines().filter(|line| line.contains("\"ERROR\"")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(errors(&log).len(), 1, "{:?}", errors(&log));

    // Another error is logged again.
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, "[]").unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(errors(&log).len(), 2, "{:?}", errors(&log));
}

#[derive(Clone)]
struct Writer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Writer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
