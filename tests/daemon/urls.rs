//! Tests that the URL of a sandbox leads to that sandbox.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{Method, Request};
use serde_json::json;
use simcluster::{Cluster, Options};
use testkit::{Client, Setup, until};

/// Guards that a ready sandbox answers at its URL, and that a deleted one does not.
#[tokio::test]
async fn the_url_answers() {
    let options = Options { sandbox_servers: Some(Ipv4Addr::LOCALHOST.into()), ..Options::default() };
    let daemon = Setup::new(&[]).cluster(Cluster::start(options)).listening().start().await.ready().await;
    let client = daemon.client();
    let url = client.post("a").await.body["sandbox_url"].as_str().unwrap().to_owned();
    client.until_phase("a", "Running").await;
    let address: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    let sandbox = Client::at(address);
    let request = || Request::get("/v1/sandbox").body(Bytes::new()).unwrap();
    until("the sandbox answers", async || {
        sandbox.request(request()).await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    assert_eq!(sandbox.fetch("/nope").await.status, 404);

    assert_eq!(client.delete("a").await.status, 200);
    until("the port is closed", async || sandbox.request(request()).await.is_err()).await;
}

/// Guards that the URL in the response to a POST that waits works.
#[tokio::test]
async fn the_url_of_a_waiting_post_answers() {
    let options = Options { sandbox_servers: Some(Ipv4Addr::LOCALHOST.into()), ..Options::default() };
    let daemon = Setup::new(&[]).cluster(Cluster::start(options)).listening().start().await.ready().await;
    let body = Some(json!({"sandbox_id": "a"}));
    let made = daemon.call(Method::POST, "/api/sandboxes?wait=ready", body).await.body;
    assert_eq!((&made["status"], &made["ready"]), (&json!("Running"), &json!(true)));
    let address: SocketAddr =
        made["sandbox_url"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
    let request = || Request::get("/v1/sandbox").body(Bytes::new()).unwrap();
    // The embedded node may begin to serve a moment after it has reported the Pod as ready.
    until("the sandbox answers", async || {
        Client::at(address).request(request()).await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
}
