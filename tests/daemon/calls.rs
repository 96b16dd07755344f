//! Tests of the number of calls to the API server, which the embedded cluster counts.

use http::StatusCode;

use super::support::World;

/// Guards that a create makes exactly two writes and no read, that reading an existing sandbox makes no call, and that
/// a delete makes two writes.
#[tokio::test]
async fn operations_cost_what_they_must() {
    let world = World::start().await.ready().await;
    let client = world.client();

    assert_eq!(client.post("a").await.status, StatusCode::OK);
    let created = ["create pods sandbox-a", "create services sandbox-a-svc"];
    assert_eq!(world.calls(), created);

    for _ in 0..3 {
        assert_eq!(client.post("a").await.status, StatusCode::OK);
        assert_eq!(client.get("/api/sandboxes/a").await.status, StatusCode::OK);
        assert_eq!(client.get("/api/sandboxes").await.json()["count"], 1);
        assert_eq!(client.get("/api/sandboxes/nope").await.status, StatusCode::NOT_FOUND);
        assert_eq!(client.delete("/api/sandboxes/nope").await.status, StatusCode::OK);
    }
    client.until_phase("a", "Running").await;
    assert_eq!(client.post("a").await.json()["status"], "Running");
    assert_eq!(world.calls(), created, "all that was answered from memory");

    assert_eq!(client.delete("/api/sandboxes/a").await.status, StatusCode::OK);
    let deleted = ["delete pods sandbox-a", "delete services sandbox-a-svc"];
    assert_eq!(world.calls(), [created, deleted].concat());
}

/// Guards that an invalid body or id causes no call to the API server.
#[tokio::test]
async fn bad_input_costs_the_cluster_nothing() {
    let world = World::start().await.ready().await;
    let client = world.client();
    let long = format!("\"{}\"", "a".repeat(52));
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    for id in
        ["\"\"", "\"Upper\"", "\"a/b\"", "\"..\"", "\"a\\u0000b\"", "\"a\\nb\"", &long, &deep, "1", "null"]
    {
        let body = format!("{{\"sandbox_id\":{id}}}");
        let headers = [("content-type", "application/json")];
        let answer = client.send(http::Method::POST, "/api/sandboxes", &headers, Some(body.into())).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{id:.40}: {answer:?}");
    }
    for id in ["%2e%2e", "%2e%2e%2f%2e%2e", "a%00b", "a%0ab", "a%0d%0ab", "%ff", "%", "A"] {
        let path = format!("/api/sandboxes/{id}");
        assert_eq!(client.get(&path).await.status, StatusCode::NOT_FOUND, "{id}");
        let status = client.delete(&path).await.status;
        assert!(status == StatusCode::OK || status == StatusCode::NOT_FOUND, "{id}: {status}");
    }
    assert_eq!(world.calls(), Vec::<String>::new());
}
