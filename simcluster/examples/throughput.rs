//! How fast the cluster itself is, so that a benchmark against it is known to measure something else.
//!
//! `cargo run --release -p simcluster --example throughput`

use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use simcluster::{Cluster, Options};
use tower::ServiceExt;

type Failure = Box<dyn std::error::Error>;

async fn send(cluster: &Cluster, method: &str, path: &str, body: String) -> Result<Bytes, Failure> {
    let request = http::Request::builder().method(method).uri(path).body(Full::new(Bytes::from(body)))?;
    Ok(cluster.service().oneshot(request).await?.into_body().collect().await?.to_bytes())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    const COUNT: u32 = 10_000;
    let pods = "/api/v1/namespaces/default/pods";
    for node in [false, true] {
        let mut options =
            Options { watch_window: 100_000, watch_window_bytes: usize::MAX, ..Options::default() };
        if !node {
            options.node = None;
        }
        let cluster = Cluster::start(options);
        let watcher = {
            let cluster = cluster.clone();
            tokio::spawn(async move {
                let uri = format!("{pods}?watch=1");
                let Ok(request) = http::Request::get(uri).body(Full::new(Bytes::new())) else { return };
                let Ok(answer) = cluster.service().oneshot(request).await else { return };
                let mut body = answer.into_body();
                while let Some(Ok(_)) = body.frame().await {}
            })
        };
        let start = Instant::now();
        for n in 0..COUNT {
            let pod = format!(
                "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"sandbox-{n}\",\"labels\":{{\"app\":\
                 \"deer-flow-sandbox\"}}}},\"spec\":{{\"containers\":[{{\"name\":\"sandbox\",\"image\":\"img:1\"}}]}}}}"
            );
            send(&cluster, "POST", pods, pod).await?;
        }
        let created = start.elapsed();
        let start = Instant::now();
        let list = send(&cluster, "GET", pods, String::new()).await?;
        let listed = start.elapsed();
        let start = Instant::now();
        for n in 0..COUNT {
            send(&cluster, "GET", &format!("{pods}/sandbox-{n}"), String::new()).await?;
        }
        let got = start.elapsed();
        println!(
            "node {node}: {:.0} creates/s, {:.0} gets/s, a list of {COUNT} ({} MB) in {listed:?}",
            f64::from(COUNT) / created.as_secs_f64(),
            f64::from(COUNT) / got.as_secs_f64(),
            list.len() >> 20,
        );
        watcher.abort();
    }
    Ok(())
}
