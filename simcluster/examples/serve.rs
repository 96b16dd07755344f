//! A cluster on an address, to be looked at with `kubectl --server http://ADDRESS`.
//!
//! `cargo run -p simcluster --example serve -- 127.0.0.1:8001 [sandbox-address]`

use simcluster::{Cluster, Options};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8001".to_owned());
    let sandbox_servers = arguments.next().map(|address| address.parse()).transpose()?;
    let listener = tokio::net::TcpListener::bind(&address).await?;
    let cluster = Cluster::start(Options { sandbox_servers, ..Options::with_namespace("deer-flow") });
    simcluster::serve(listener, cluster, std::future::pending()).await;
    Ok(())
}
