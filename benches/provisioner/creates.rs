//! Creates, compared with a warp route that only writes the same two objects to the same API server, and with a loop that
//! does, without HTTP in front of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use simcluster::{Effect, Rule, Verb};
use testkit::{NAMESPACE, ServedCluster};

use super::{
    bare::{self, Writer},
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
    let route = Server::bare_create(&cluster);
    let writer = Writer::new(&bare::client(&format!("http://{}", cluster.address)));

    let mut rates = [const { Vec::new() }; 3];
    for round in 0..=ROUNDS {
        let measured = [
            through(&daemon, connections, creates, move |n| format!("d{round}-{n}")).await,
            through(&route, connections, creates, move |n| format!("r{round}-{n}")).await,
            write(&writer, connections, creates, round).await,
        ];
        // The first round warms up connections and code.
        if round > 0 {
            for (rates, rate) in rates.iter_mut().zip(measured) {
                rates.push(rate);
            }
        }
        empty(&cluster);
    }
    let [daemon, peers @ ..] = &rates;
    println!(
        "  {connections:>2} at once, {}: daemon {:>6.0}/s",
        delay.map_or("writes at once".to_owned(), |delay| format!("writes in {} ms", delay.as_millis())),
        median(daemon.clone()),
    );
    for (name, peer) in ["bare route", "bare loop"].into_iter().zip(peers) {
        let ratio = median(daemon.iter().zip(peer).map(|(a, b)| a / b).collect());
        println!("    {name:<10} {:>6.0}/s, ratio {ratio:.2}", median(peer.clone()));
    }
}

/// Creates so many sandboxes through a server.
async fn through<F>(server: &Server, connections: usize, creates: usize, id: F) -> f64
where
    F: Fn(usize) -> String + Send + Sync + 'static,
{
    load::run(server.address, connections, creates, move |n| load::create(&id(n))).await.per_second
}

/// Writes so many pairs of a Pod and a Service in this process.
async fn write(writer: &Writer, at_once: usize, pairs: usize, round: usize) -> f64 {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let workers: Vec<_> = (0..at_once)
        .map(|_| {
            let (next, writer) = (next.clone(), writer.clone());
            tokio::spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= pairs {
                        return;
                    }
                    writer.write(format!("{{\"sandbox_id\":\"b{round}-{n}\"}}").as_bytes()).await;
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
