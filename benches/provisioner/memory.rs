//! The memory that a sandbox needs in the daemon, with a cluster elsewhere and with the embedded cluster.

use std::time::Duration;

use super::{
    children::{Server, cluster},
    load,
    queries::until_ready,
};

const FEW: usize = 1_000;
const MANY: usize = 10_000;

pub async fn measure() {
    let cluster = cluster().await;
    let daemon = Server::daemon(&cluster);
    until_ready(&daemon).await;
    let empty = daemon.resident_bytes();
    load::run(daemon.address, 16, FEW, |n| load::create(&format!("s-{n}"))).await;
    let few = daemon.resident_bytes();
    load::run(daemon.address, 16, MANY - FEW, |n| load::create(&format!("s-{}", n + FEW))).await;
    let many = daemon.resident_bytes();
    let each = many.saturating_sub(few) as f64 / (MANY - FEW) as f64;
    println!(
        "memory, resident: {:.1} MiB empty, {:.1} MiB with {FEW} sandboxes, {:.1} MiB with {MANY}: {:.1} KiB each",
        mib(empty),
        mib(few),
        mib(many),
        each / 1024.0
    );
}

/// Measures the daemon together with its embedded cluster, whose node runs all Pods.
pub async fn measure_embedded() {
    let daemon = Server::embedded();
    until_ready(&daemon).await;
    let empty = daemon.resident_bytes();
    load::run(daemon.address, 4, FEW, |n| load::create(&format!("s-{n}"))).await;
    // Until the last Pods are ready.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let few = daemon.resident_bytes();
    let each = few.saturating_sub(empty) as f64 / FEW as f64;
    println!(
        "memory with the embedded cluster, resident: {:.1} MiB empty, {:.1} MiB with {FEW} sandboxes: {:.1} KiB each",
        mib(empty),
        mib(few),
        each / 1024.0
    );
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
