//! A scrape of the metrics with 10,000 sandboxes, next to a LIST of the same sandboxes.

use super::{
    children::{Server, cluster},
    load,
    queries::until_ready,
};

const SANDBOXES: usize = 10_000;
const ROUNDS: usize = 5;
const REQUESTS: usize = 40;

pub async fn measure() {
    let cluster = cluster().await;
    let daemon = Server::daemon(&cluster);
    until_ready(&daemon).await;
    load::run(daemon.address, 16, SANDBOXES, |n| load::create(&format!("s-{n}"))).await;

    let (_, scrape) = load::once(daemon.address, &load::get("/metrics")).await;
    let series = scrape.lines().filter(|line| !line.starts_with('#')).count();
    println!("scrape, {SANDBOXES} sandboxes, one at a time: {series} series, {} bytes", scrape.len());
    let paths = ["/metrics", "/api/sandboxes"];
    let mut rounds = [const { Vec::new() }; 2];
    let mut cpu = [0.0; 2];
    for _ in 0..ROUNDS {
        for (n, path) in paths.into_iter().enumerate() {
            let before = daemon.cpu_seconds();
            rounds[n].push(load::run(daemon.address, 1, REQUESTS, move |_| load::get(path)).await);
            cpu[n] += daemon.cpu_seconds() - before;
        }
    }
    for (n, path) in paths.into_iter().enumerate() {
        let median =
            |value: fn(&load::Round) -> f64| super::queries::median(rounds[n].iter().map(value).collect());
        println!(
            "  {path:<15} p50 {:>6.2} ms  p99 {:>6.2} ms  {:>6.2} ms of CPU each",
            median(|round| round.p50.as_secs_f64() * 1e3),
            median(|round| round.p99.as_secs_f64() * 1e3),
            cpu[n] * 1e3 / (ROUNDS * REQUESTS) as f64,
        );
    }
}
