//! Tests of the number of calls to the API server, which the embedded cluster counts.

use testkit::Daemon;

/// Guards that a create makes exactly two writes and no read, that reading an existing sandbox makes no call, and that
/// a delete makes two writes.
#[tokio::test]
async fn operations_cost_what_they_must() {
    let daemon = Daemon::listening().await;
    let client = daemon.client();

    assert_eq!(client.post("a").await.status, 200);
    let created = ["create pods sandbox-a", "create services sandbox-a-svc"];
    assert_eq!(daemon.calls(), created);

    for _ in 0..3 {
        assert_eq!(client.post("a").await.status, 200);
        assert_eq!(client.get("a").await.status, 200);
        assert_eq!(client.fetch("/api/sandboxes").await.body["count"], 1);
        assert_eq!(client.get("nope").await.status, 404);
        assert_eq!(client.delete("nope").await.status, 200);
    }
    client.until_phase("a", "Running").await;
    assert_eq!(client.post("a").await.body["status"], "Running");
    assert_eq!(daemon.calls(), created, "all that was answered from memory");

    assert_eq!(client.delete("a").await.status, 200);
    let deleted = ["delete pods sandbox-a", "delete services sandbox-a-svc"];
    assert_eq!(daemon.calls(), [created, deleted].concat());
}

/// Guards that an invalid body or id causes no call to the API server.
#[tokio::test]
async fn bad_input_costs_the_cluster_nothing() {
    let daemon = Daemon::listening().await;
    let client = daemon.client();
    let long = format!("\"{}\"", "a".repeat(52));
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    for id in
        ["\"\"", "\"Upper\"", "\"a/b\"", "\"..\"", "\"a\\u0000b\"", "\"a\\nb\"", &long, &deep, "1", "null"]
    {
        let body = format!("{{\"sandbox_id\":{id}}}");
        let headers = [("content-type", "application/json")];
        let answer = client.send(http::Method::POST, "/api/sandboxes", &headers, Some(body.into())).await;
        assert_eq!(answer.status, 422, "{id:.40}: {answer:?}");
    }
    for id in ["%2e%2e", "%2e%2e%2f%2e%2e", "a%00b", "a%0ab", "a%0d%0ab", "%ff", "%", "A"] {
        assert_eq!(client.get(id).await.status, 404, "{id}");
        let status = client.delete(id).await.status;
        assert!(status == 200 || status == 404, "{id}: {status}");
    }
    assert_eq!(daemon.calls(), Vec::<String>::new());
}
