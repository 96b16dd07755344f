//! Tests that the URL of a sandbox leads to that sandbox.

use std::net::{Ipv4Addr, SocketAddr};

use http::StatusCode;

use super::support::{Client, World, options};

/// Guards that a ready sandbox answers at its URL, and that a deleted one does not.
#[tokio::test]
async fn the_url_answers() {
    let options = simcluster::Options { sandbox_servers: Some(Ipv4Addr::LOCALHOST.into()), ..options() };
    let world = World::with(&[], options).await.ready().await;
    let client = world.client();
    let url = client.post("a").await.json()["sandbox_url"].as_str().unwrap().to_owned();
    client.until_phase("a", "Running").await;
    let address: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    let sandbox = Client { address, key: None };
    super::support::until("the sandbox answers", async || {
        let answer = sandbox.try_send(http::Method::GET, "/v1/sandbox", &[], None).await;
        answer.is_ok_and(|answer| answer.status == StatusCode::OK)
    })
    .await;
    assert_eq!(sandbox.get("/nope").await.status, StatusCode::NOT_FOUND);

    assert_eq!(client.delete("/api/sandboxes/a").await.status, StatusCode::OK);
    super::support::until("the port is closed", async || {
        sandbox.try_send(http::Method::GET, "/v1/sandbox", &[], None).await.is_err()
    })
    .await;
}
