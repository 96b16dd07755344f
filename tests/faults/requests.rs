//! Requests that are meant to harm, on a daemon with a cluster behind it.

use http::Method;

use super::world::World;

/// An id that can name no sandbox is missing where it is asked for, and refused where it shall be made; neither
/// costs the cluster a call.
#[tokio::test(start_paused = true)]
async fn hostile_ids() {
    let world = World::start().await;
    let before = world.cluster.mark();
    for (segment, id) in [("%2e%2e", ".."), ("a%00b", "a\0b"), ("a%0Ab", "a\nb"), ("a%0d%0ab", "a\r\nb")] {
        let path = format!("/api/sandboxes/{segment}");
        let got = world.call(Method::GET, &path, None).await;
        assert_eq!(got.to_string(), format!("404 | NotFound | Sandbox '{id}' not found"));
        let deleted = world.call(Method::DELETE, &path, None).await;
        assert_eq!((deleted.status, &deleted.body["sandbox_id"]), (200, &id.into()));
        let made = world.post(id).await;
        assert_eq!(made.status, 422, "{id:?}");
        assert_eq!(made.body["detail"][0]["loc"], serde_json::json!(["body", "sandbox_id"]), "{id:?}");
    }
    assert_eq!(world.cluster.calls_since(before).len(), 0);
    assert_eq!(world.objects(), [""; 0]);
}
