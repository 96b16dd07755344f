//! Tests of hostile requests to a daemon with a cluster.

use http::Method;

use testkit::Daemon;

/// Guards that an invalid id is a 404 in a path and rejected in a POST, and that neither makes a call to the API
/// server.
#[tokio::test(start_paused = true)]
async fn hostile_ids() {
    let daemon = Daemon::start().await;
    let before = daemon.cluster.mark();
    for (segment, id) in [("%2e%2e", ".."), ("a%00b", "a\0b"), ("a%0Ab", "a\nb"), ("a%0d%0ab", "a\r\nb")] {
        let path = format!("/api/sandboxes/{segment}");
        let got = daemon.fetch(&path).await;
        assert_eq!(got.to_string(), format!("404 | NotFound | Sandbox '{id}' not found"));
        let deleted = daemon.call(Method::DELETE, &path, None).await;
        assert_eq!((deleted.status, &deleted.body["sandbox_id"]), (200, &id.into()));
        let made = daemon.post(id).await;
        assert_eq!(made.status, 422, "{id:?}");
        assert_eq!(made.body["detail"][0]["loc"], serde_json::json!(["body", "sandbox_id"]), "{id:?}");
    }
    assert_eq!(daemon.cluster.calls_since(before).len(), 0);
    assert_eq!(daemon.objects(), [""; 0]);
}
