//! Compares the daemon with minimal programs that do the same work. Run all with `cargo bench`, or one with
//! `cargo bench -- queries` (`creates`, `memory`, `embedded-memory`, `lifetimes`, `scrape`, `streams`,
//! `stream-memory`, `builds`, `black-hole`, `clusters`, `abuse`, or `abuse` and one of its names).
//!
//! - GET and LIST with 1,000 sandboxes, compared with a bare warp route that returns the same bytes;
//! - creates, compared with a loop that only writes the same two objects, and with a bare warp route that does;
//! - memory per sandbox, between 1,000 and 10,000, and with the embedded cluster, up to 1,000;
//! - abuse: the latency of other callers beside slow headers, unread answers, endless and deep bodies and one hot id;
//! - streams: the time from a change to its event at each of 500 clients, and the memory of 5,000 idle streams;
//! - a scrape of the metrics with 10,000 sandboxes, next to a LIST;
//! - builds: GET, LIST and creates, compared with another build, which the variable `PEER` names;
//! - black-hole: GET, LIST and POST on two clusters while a third accepts and never answers;
//! - clusters: creates on four clusters in processes of their own, compared with one;
//! - limits: the CPU time of 10,000 idle sandboxes with and without limits, and the delay of a reap.
//!
//! Servers run in their own processes. The two servers of a comparison take turns, so that changes of the machine's speed
//! affect both. The program prints its measurements and asserts nothing about them.

#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a program that measures"
)]

mod provisioner {
    pub mod abuse;
    pub mod bare;
    pub mod builds;
    pub mod children;
    pub mod clusters;
    pub mod creates;
    pub mod lifetimes;
    pub mod load;
    pub mod memory;
    pub mod queries;
    pub mod scrape;
    pub mod streams;
}

use provisioner::{abuse, bare, builds, clusters, creates, lifetimes, memory, queries, scrape, streams};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some(bare::GET) => return bare::serve_get(),
        Some(bare::CREATE) => return bare::serve_create(),
        _ => {}
    }
    if let [argument, kind, address] = &arguments[..]
        && argument == abuse::ARGUMENT
    {
        abuse::misuse(kind, address.parse().expect("an address"));
        return;
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if wanted("queries") {
            queries::measure().await;
        }
        if wanted("creates") {
            creates::measure().await;
        }
        if wanted("memory") {
            memory::measure().await;
        }
        if wanted("embedded-memory") {
            memory::measure_embedded().await;
        }
        if wanted("scrape") {
            scrape::measure().await;
        }
        if wanted("streams") {
            streams::measure().await;
        }
        if wanted("stream-memory") {
            streams::measure_memory().await;
        }
        if wanted("abuse") {
            abuse::measure(&arguments).await;
        }
        if wanted("builds") {
            builds::measure().await;
        }
        if wanted("black-hole") {
            clusters::measure_black_hole().await;
        }
        if wanted("clusters") {
            clusters::measure_creates().await;
        }
        if wanted("lifetimes") {
            lifetimes::measure().await;
        }
    });
}
