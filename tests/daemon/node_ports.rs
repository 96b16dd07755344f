//! Node ports of sandboxes with a network mode: the embedded cluster's own servers obey the policies.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use simcluster::{Cluster, Options};
use testkit::{Client, Daemon, NAMESPACE, Setup, until};

/// Starts a daemon whose sandboxes may have each mode, with these sources.
async fn start(sources: &str) -> Daemon {
    let options = Options { sandbox_servers: Some(Ipv4Addr::LOCALHOST.into()), ..Options::default() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    let file = format!(
        "network_sources = '{sources}'\n[profiles.default]\nnetwork = 'open'\noverrides = {{ network = ['open', \
         'isolated', 'allow-list'] }}\n"
    );
    std::fs::write(&path, file).unwrap();
    let setup = Setup::new(&[]).set("SANDBOX_PROVISIONER_CONFIG", path.to_str().unwrap());
    setup.cluster(Cluster::start(options)).listening().start().await.ready().await
}

/// Creates a sandbox of this mode, waits until it is ready, and returns the address of its node port.
async fn create(daemon: &Daemon, network: &str) -> SocketAddr {
    let body = json!({"sandbox_id": network, "network": network});
    let made = daemon.call(Method::POST, "/api/sandboxes?wait=ready", Some(body)).await;
    assert_eq!((made.status, &made.body["ready"]), (200, &json!(true)), "{made}");
    made.body["sandbox_url"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap()
}

async fn answers(address: SocketAddr) -> bool {
    let request = Request::get("/v1/sandbox").body(Bytes::new()).unwrap();
    Client::at(address).request(request).await.is_ok_and(|answer| answer.status == 200)
}

/// Guards that a connection to a node port, which arrives from the address of a node, reaches the sandbox of each mode if
/// that address is a source, and only an open one if it is not.
#[tokio::test]
async fn a_node_port_needs_the_node_as_a_source() {
    for (sources, is_reached) in [("192.0.2.0/24", true), ("198.51.100.0/24", false)] {
        let daemon = start(sources).await;
        let is_written = async || daemon.cluster.count("networkpolicies", Some(NAMESPACE)) == 2;
        until("the policies are written", is_written).await;
        let open = create(&daemon, "open").await;
        until("the open one answers", async || answers(open).await).await;
        for mode in ["isolated", "allow-list"] {
            let address = create(&daemon, mode).await;
            if is_reached {
                until("it answers", async || answers(address).await).await;
                continue;
            }
            let listens = async || tokio::net::TcpStream::connect(address).await.is_ok();
            until("it listens", listens).await;
            assert!(!answers(address).await, "{mode}");
            // The same server answers once the policy allows it.
            let allow = |policy: &mut Value| policy["spec"]["ingress"] = json!([{}]);
            let name = format!("sandbox-provisioner-{mode}");
            daemon.cluster.change("networkpolicies", NAMESPACE, &name, allow).unwrap();
            until("it answers", async || answers(address).await).await;
        }
    }
}
