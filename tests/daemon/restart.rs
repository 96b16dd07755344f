//! Tests of a process that is killed in the middle of its work and started again.

use std::{collections::HashSet, path::Path, process::Stdio};

use futures::future::join_all;
use http::StatusCode;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

use super::support::{Client, names, options, until};

/// A daemon in its own process, which reaches its cluster through a kubeconfig.
struct Process {
    child: Child,
    client: Client,
}

impl Process {
    /// Starts the daemon as an operator would.
    async fn start(kubeconfig: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sandbox-provisioner"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env_clear()
            .env("KUBECONFIG_PATH", kubeconfig)
            .env("NODE_HOST", "127.0.0.1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().expect("the daemon says where it listens");
        let address = first.rsplit_once("http://").expect("a URL").1.parse().unwrap();
        Self { child, client: Client { address, key: None } }
    }

    /// Kills the process like `kill -9`.
    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Guards that after `kill -9` in the middle of 100 creates and a restart, every requested id is created, and that each
/// has exactly one Pod and one Service.
#[tokio::test]
async fn killed_in_the_middle_of_a_hundred_creates() {
    let cluster = simcluster::Cluster::start(options());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(simcluster::serve(listener, cluster.clone(), std::future::pending()));
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: \"http://{address}\"}}}}]\n\
         users: [{{name: u, user: {{}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    );
    std::fs::write(&kubeconfig, text).unwrap();

    let ids: Vec<String> = (0..100).map(|n| format!("s-{n}")).collect();
    for answered_first in [1, 30, 70] {
        let daemon = Process::start(&kubeconfig).await;
        daemon.client.until_ready().await;
        let creates = ids.iter().map(|id| {
            let client = daemon.client.clone();
            let id = id.clone();
            tokio::spawn(async move {
                let body = serde_json::json!({ "sandbox_id": id }).to_string();
                let headers = [("content-type", "application/json")];
                let path = "/api/sandboxes";
                let _ = client.try_send(http::Method::POST, path, &headers, Some(body.into())).await;
            })
        });
        let creates: Vec<_> = creates.collect();
        until("some are made", async || names(&cluster).len() >= answered_first).await;
        daemon.kill().await;
        join_all(creates).await;

        let daemon = Process::start(&kubeconfig).await;
        let answers = join_all(ids.iter().map(|id| daemon.client.post(id))).await;
        let mut urls = HashSet::new();
        for (id, answer) in ids.iter().zip(answers) {
            assert_eq!(answer.status, StatusCode::OK, "{id}: {answer:?}");
            urls.insert(answer.json()["sandbox_url"].to_string());
        }
        assert_eq!(urls.len(), 100, "each has a URL of its own");
        let mut expected: Vec<_> = ids
            .iter()
            .flat_map(|id| [format!("pods sandbox-{id}"), format!("services sandbox-{id}-svc")])
            .collect();
        expected.sort();
        assert_eq!(names(&cluster), expected);

        for answer in join_all(ids.iter().map(|id| {
            let client = &daemon.client;
            async move { client.delete(&format!("/api/sandboxes/{id}")).await }
        }))
        .await
        {
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        }
        until("all are gone", async || names(&cluster).is_empty()).await;
    }
}
