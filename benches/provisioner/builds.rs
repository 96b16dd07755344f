//! GET, LIST and creates, compared with another build of the daemon: that of an earlier commit, for example.

use super::{
    children::{Server, cluster},
    load,
    queries::{median, until_ready},
};

/// The variable with the path of the other build.
const PEER: &str = "PEER";

const SANDBOXES: usize = 1000;
const ROUNDS: usize = 9;

/// Measures, if the variable names another build.
pub async fn measure() {
    let Ok(peer) = std::env::var(PEER) else {
        println!("builds: left out, because {PEER} names no other build of the daemon");
        return;
    };
    let clusters = [cluster().await, cluster().await];
    let daemons = [Server::daemon(&clusters[0]), Server::build(&peer, &clusters[1])];
    for daemon in &daemons {
        until_ready(daemon).await;
        load::run(daemon.address, 16, SANDBOXES, |n| load::create(&format!("s-{n}"))).await;
    }
    println!("builds, {SANDBOXES} sandboxes, this one and {peer}, median of {ROUNDS} rounds in turn:");
    let get: fn(usize, usize) -> String = |_, _| load::get("/api/sandboxes/s-500");
    let list: fn(usize, usize) -> String = |_, _| load::get("/api/sandboxes");
    let create: fn(usize, usize) -> String = |round, n| load::create(&format!("c{round}-{n}"));
    let one_by_one: fn(usize, usize) -> String = |round, n| load::create(&format!("o{round}-{n}"));
    for (name, connections, requests, request) in [
        ("GET", 32, 20_000, get),
        ("LIST", 32, 1_000, list),
        ("create, 16 at once", 16, 500, create),
        ("create, alone", 1, 200, one_by_one),
    ] {
        let mut rates = [const { Vec::new() }; 2];
        // The first round warms up.
        for round in 0..=ROUNDS {
            // The first of a round has an empty cache more often, so they change places.
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for n in order {
                let done =
                    load::run(daemons[n].address, connections, requests, move |i| request(round, i)).await;
                if round > 0 {
                    rates[n].push(done.per_second);
                }
            }
        }
        let ratio = median(rates[0].iter().zip(&rates[1]).map(|(a, b)| a / b).collect());
        let [this, other] = rates.map(median);
        println!("  {name:<18} {this:>8.0}/s, the other {other:>8.0}/s, ratio {ratio:.3}");
    }
}
