//! The routes about clusters: one cluster, its changes, and moves.

use serde_json::json;

use crate::{client::exchange, fake::Fake, server::Server};

/// Guards that a cluster is drained and weighed by a PATCH, and that an invalid change is refused before it has an effect.
#[tokio::test]
async fn a_cluster_is_changed() {
    let server = Server::start(Fake::default());
    let patch = |name: &str, body: &str| {
        let length = body.len();
        let head = format!("PATCH /api/clusters/{name} HTTP/1.1\r\nhost: x\r\nx-api-key: test-key\r\n");
        let text = format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
        let address = server.address;
        async move { exchange(address, &text).await.unwrap() }
    };
    for (body, weight, drain) in [
        (r#"{"drain": true}"#, 100, true),
        (r#"{"weight": 7}"#, 7, false),
        (r#"{"weight": 0}"#, 0, true),
        (r#"{"weight": 1000, "drain": false}"#, 1000, false),
    ] {
        let changed = patch("default", body).await;
        assert_eq!((changed.status, &changed.body["weight"]), (200, &json!(weight)), "{body}");
        assert_eq!(changed.body["drain"], json!(drain), "{body}");
    }
    let calls = server.fake.calls().len();
    for body in [
        "{}",
        "[]",
        "",
        r#"{"weight": -1}"#,
        r#"{"weight": 1001}"#,
        r#"{"weight": 1.5}"#,
        r#"{"weight": "7"}"#,
        r#"{"weight": null}"#,
        r#"{"drain": "perhaps"}"#,
        r#"{"weights": 7}"#,
    ] {
        assert_eq!(patch("default", body).await.status, 422, "{body}");
    }
    assert_eq!(server.fake.calls().len(), calls);
    for name in ["west", "West", "a%20b"] {
        assert_eq!(patch(name, r#"{"drain": true}"#).await.status, 404, "{name}");
    }
    let refused =
        exchange(server.address, "PUT /api/clusters/west HTTP/1.1\r\nhost: x\r\nx-api-key: test-key\r\n\r\n");
    let refused = refused.await.unwrap();
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, PATCH")));
}

/// Guards that a GET of one cluster is the object of the list, and that an unknown name is a 404 that names it.
#[tokio::test]
async fn one_cluster_is_read() {
    let server = Server::start(Fake::default());
    let get = |path: &str| {
        let text = format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: test-key\r\n\r\n");
        let address = server.address;
        async move { exchange(address, &text).await.unwrap() }
    };
    let (list, one) = (get("/api/clusters").await, get("/api/clusters/default").await);
    assert_eq!((one.status, &one.body), (200, &list.body["clusters"][0]));
    for (name, shown) in [("west", "west"), ("West", "West"), ("a%20b", "a b")] {
        let unknown = get(&format!("/api/clusters/{name}")).await;
        assert_eq!(unknown.status, 404, "{name}");
        assert_eq!(unknown.body, json!({"detail": format!("Cluster '{shown}' not found")}), "{name}");
    }
}

/// Guards that a move names a cluster and has the owner, that it is 202 until it is done, and that an invalid one is refused
/// before it has an effect.
#[tokio::test]
async fn a_sandbox_moves() {
    let server = Server::start(Fake::with_sandboxes(1));
    let post = |id: &str, body: &str| {
        let length = body.len();
        let head = format!(
            "POST /api/sandboxes/{id}/move HTTP/1.1\r\nhost: x\r\nx-api-key: test-key\r\nx-owner: g\r\n"
        );
        let text = format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
        let address = server.address;
        async move { exchange(address, &text).await.unwrap() }
    };
    let moved = post("s0", r#"{"cluster": "east"}"#).await;
    assert_eq!((moved.status, &moved.body["cluster"]), (200, &json!("east")));
    let underway = post("s0", r#"{"cluster": "slow"}"#).await;
    assert_eq!((underway.status, &underway.body["cluster"]), (202, &json!("east")));
    assert_eq!(post("gone", r#"{"cluster": "east"}"#).await.status, 404);
    let calls = ["move s0 to east by g", "move s0 to slow by g", "move gone to east by g"];
    assert_eq!(server.fake.calls(), calls);
    for body in ["", "{}", r#"{"cluster": "East"}"#, r#"{"cluster": null}"#, r#"{"cluster": "east", "x": 1}"#]
    {
        assert_eq!(post("s0", body).await.status, 422, "{body}");
    }
    assert_eq!(post("S0", r#"{"cluster": "east"}"#).await.status, 404);
    assert_eq!(server.fake.calls().len(), calls.len());
}
