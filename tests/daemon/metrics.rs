//! The listener of the metrics.

use testkit::Setup;

/// Guards that an address of their own serves the metrics and the health endpoints, and nothing else, and that the main
/// address then has no metrics.
#[tokio::test]
async fn the_metrics_can_have_an_address_of_their_own() {
    let variables = [("PROVISIONER_METRICS_LISTEN", "127.0.0.1:0"), ("PROVISIONER_API_KEY", "a-key")];
    let daemon = Setup::new(&variables).listening().start().await.ready().await;
    daemon.post("a").await;
    let metrics = daemon.metrics_client();
    let scrape = metrics.fetch("/metrics").await;
    assert_eq!(scrape.status, 200, "{scrape}");
    let posts =
        "sandbox_provisioner_http_requests_total{route=\"/api/sandboxes\",method=\"POST\",code=\"200\"} 1";
    assert!(scrape.text().contains(posts), "{scrape}");
    assert_eq!(metrics.fetch("/readyz").await.status, 200);
    for path in ["/api/sandboxes", "/api/sandboxes/a", "/health", "/"] {
        assert_eq!(metrics.fetch(path).await.status, 404, "{path}");
    }
    assert_eq!(daemon.fetch("/metrics").await.status, 404);
    assert_eq!(daemon.stop().await.rejected, 0);
}
