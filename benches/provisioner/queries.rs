//! GET and LIST with 1,000 sandboxes, compared with a route with a constant answer.

use super::{
    children::{Server, cluster},
    load,
};

const SANDBOXES: usize = 1000;
const CONNECTIONS: usize = 32;
/// A round takes a fifth of a second, in which other work on the machine can halve a rate.
const ROUNDS: usize = 31;

pub async fn measure() {
    let cluster = cluster().await;
    let daemon = Server::daemon(&cluster);
    until_ready(&daemon).await;
    load::run(daemon.address, 16, SANDBOXES, |n| load::create(&format!("s-{n}"))).await;

    println!("queries, {SANDBOXES} sandboxes, {CONNECTIONS} connections, median of {ROUNDS} rounds in turn:");
    compare("GET", &daemon, "/api/sandboxes/s-500", 20_000).await;
    compare("LIST", &daemon, "/api/sandboxes", 1_000).await;
}

async fn compare(name: &str, daemon: &Server, path: &'static str, requests: usize) {
    let (_, answer) = load::once(daemon.address, &load::get(path)).await;
    let bare = Server::bare_get(&answer);
    let servers = [("daemon", daemon, path), ("bare route", &bare, "/bare")];
    for (_, server, path) in servers {
        load::run(server.address, CONNECTIONS, requests / 4, move |_| load::get(path)).await;
    }
    let mut rounds = [const { Vec::new() }; 2];
    let mut cpu = [0.0; 2];
    for _ in 0..ROUNDS {
        for (n, (_, server, path)) in servers.into_iter().enumerate() {
            let before = server.cpu_seconds();
            let round = load::run(server.address, CONNECTIONS, requests, move |_| load::get(path)).await;
            cpu[n] += server.cpu_seconds() - before;
            assert_eq!(round.body, answer, "both give the same bytes");
            rounds[n].push(round);
        }
    }
    for (n, (server, _, _)) in servers.into_iter().enumerate() {
        let of = |value: fn(&load::Round) -> f64| median(rounds[n].iter().map(value).collect());
        println!(
            "  {name:<5} {server:<11} {:>8.0}/s  p50 {:>7.0} us  p99 {:>7.0} us  {:>6.1} us of CPU each",
            of(|r| r.per_second),
            of(|r| r.p50.as_secs_f64() * 1e6),
            of(|r| r.p99.as_secs_f64() * 1e6),
            cpu[n] * 1e6 / (ROUNDS * requests) as f64,
        );
    }
    let ratio = median(rounds[0].iter().zip(&rounds[1]).map(|(a, b)| a.per_second / b.per_second).collect());
    println!("  {name:<5} ratio       {ratio:>8.2}");
}

pub async fn until_ready(daemon: &Server) {
    while load::once(daemon.address, &load::get("/readyz")).await.0 != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
