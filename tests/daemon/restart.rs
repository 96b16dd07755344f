//! Tests of a process that is killed in the middle of its work and started again.

use std::collections::HashSet;

use futures::future::join_all;
use http::Request;
use simcluster::{Cluster, Options};
use testkit::{NAMESPACE, Process, ServedCluster, object_names, until};

use crate::PROGRAM;

/// Guards that after `kill -9` in the middle of 100 creates and a restart, every requested id is created, and that each
/// has exactly one Pod and one Service.
#[tokio::test]
async fn killed_in_the_middle_of_a_hundred_creates() {
    let cluster = Cluster::start(Options::default());
    let served = ServedCluster::http(cluster.clone()).await;
    let kubeconfig = served.kubeconfig(None);
    let variables = [("KUBECONFIG_PATH", kubeconfig.to_str().unwrap())];
    let names = || object_names(&cluster, NAMESPACE);

    let ids: Vec<String> = (0..100).map(|n| format!("s-{n}")).collect();
    for answered_first in [1, 30, 70] {
        let daemon = Process::serve(PROGRAM, &variables).await;
        daemon.client().until_ready().await;
        let creates = ids.iter().map(|id| {
            let client = daemon.client();
            let id = id.clone();
            tokio::spawn(async move {
                let request = Request::post("/api/sandboxes").header("content-type", "application/json");
                let body = format!("{{\"sandbox_id\":\"{id}\"}}").into();
                let _ = client.request(request.body(body).unwrap()).await;
            })
        });
        let creates: Vec<_> = creates.collect();
        until("some are made", async || names().len() >= answered_first).await;
        daemon.kill().await;
        join_all(creates).await;

        let daemon = Process::serve(PROGRAM, &variables).await;
        let client = daemon.client();
        let answers = join_all(ids.iter().map(|id| client.post(id))).await;
        let mut urls = HashSet::new();
        for (id, answer) in ids.iter().zip(answers) {
            assert_eq!(answer.status, 200, "{id}: {answer:?}");
            urls.insert(answer.body["sandbox_url"].to_string());
        }
        assert_eq!(urls.len(), 100, "each has a URL of its own");
        let mut expected: Vec<_> = ids
            .iter()
            .flat_map(|id| [format!("pods sandbox-{id}"), format!("services sandbox-{id}-svc")])
            .collect();
        expected.sort();
        assert_eq!(names(), expected);

        for answer in join_all(ids.iter().map(|id| client.delete(id))).await {
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        until("all are gone", async || names().is_empty()).await;
    }
}
