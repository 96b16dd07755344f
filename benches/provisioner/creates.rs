//! Creates, compared with a loop that only writes the same two objects to the same API server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, api::PostParams};
use kubernetes::manifest::{self, Template};
use sandbox_provisioner::http::request;
use simcluster::{Effect, Rule, Verb};
use testkit::{NAMESPACE, ServedCluster};

use super::{
    children::{Server, cluster},
    load,
    queries::{median, until_ready},
};

const ROUNDS: usize = 7;

/// The time of a write on a real API server with two cores (measured on Kubernetes 1.36.2).
const REAL_WRITE: Duration = Duration::from_millis(10);

pub async fn measure() {
    println!("creates, the API server over HTTP, median of {ROUNDS} rounds in turn:");
    compare(1, 300, None).await;
    compare(16, 1000, None).await;
    compare(1, 50, Some(REAL_WRITE)).await;
}

async fn compare(connections: usize, creates: usize, delay: Option<Duration>) {
    let cluster = cluster().await;
    if let Some(delay) = delay {
        cluster.cluster.fault(Rule::new(Effect::Delay(delay)).verb(Verb::Create));
    }
    let daemon = Server::daemon(&cluster);
    until_ready(&daemon).await;
    let mut config = kube::Config::new(format!("http://{}", cluster.address).parse().expect("a URL"));
    config.default_retry = false;
    let client = kube::Client::try_from(config).expect("a client");

    let mut rates = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        let through =
            load::run(daemon.address, connections, creates, move |n| load::create(&format!("d{round}-{n}")))
                .await
                .per_second;
        let bare = write(&client, connections, creates, round).await;
        // The first round warms up connections and code.
        if round > 0 {
            rates[0].push(through);
            rates[1].push(bare);
        }
        empty(&cluster);
    }
    let ratio = median(rates[0].iter().zip(&rates[1]).map(|(a, b)| a / b).collect());
    println!(
        "  {connections:>2} at once, {}: daemon {:>6.0}/s, bare writes {:>6.0}/s, ratio {ratio:.2}",
        delay.map_or("writes at once".to_owned(), |delay| format!("writes in {} ms", delay.as_millis())),
        median(rates[0].clone()),
        median(rates[1].clone()),
    );
}

/// Writes Pod and Service in parallel, so many pairs at once.
async fn write(client: &kube::Client, at_once: usize, pairs: usize, round: usize) -> f64 {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let workers: Vec<_> = (0..at_once)
        .map(|_| {
            let next = next.clone();
            let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
            let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
            tokio::spawn(async move {
                let template = Template::default();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= pairs {
                        return;
                    }
                    let body = format!("{{\"sandbox_id\":\"b{round}-{n}\"}}");
                    let request = request::create(Some("application/json"), body.as_bytes());
                    let manifests =
                        manifest::build(&template, &request.expect("a request")).expect("manifests");
                    let params = PostParams::default();
                    let (pod, service) = futures::join!(
                        pods.create(&params, &manifests.pod),
                        services.create(&params, &manifests.service),
                    );
                    pod.and(service.map(drop)).expect("both are written");
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("a worker");
    }
    pairs as f64 / start.elapsed().as_secs_f64()
}

/// Removes all objects, so that every round starts with the same cluster.
fn empty(cluster: &ServedCluster) {
    for resource in ["pods", "services"] {
        for object in cluster.cluster.objects(resource, Some(NAMESPACE)) {
            let name = object["metadata"]["name"].as_str().expect("a name");
            cluster.cluster.remove(resource, NAMESPACE, name).expect("it is there");
        }
    }
}
