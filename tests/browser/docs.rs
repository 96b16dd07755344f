//! The page `/docs`.

use serde_json::json;

use crate::page::Page;

/// Guards that the page shows the description, that a request can be sent from it, and that it loads nothing from
/// elsewhere.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn a_request_is_sent_from_the_description() {
    let page = Page::open().await;
    page.daemon.running("abc-123").await;
    page.requested().await;
    page.browse(&page.url.replace("/ui", "/docs#listSandboxes")).await;
    page.wait_text("#index", "/api/sandboxes").await;
    page.wait("document.getElementById('listSandboxes')?.open").await;
    page.click_text("#listSandboxes button", "Send").await;
    page.wait_text("#listSandboxes .result .status", "200").await;
    page.wait_text("#listSandboxes .result", "abc-123").await;
    let origin = page.url.replace("/ui", "/");
    let requested = page.requested().await;
    assert!(requested.iter().any(|url| url.ends_with("/openapi.json")), "{requested:?}");
    assert_eq!(requested.iter().filter(|url| !url.starts_with(&origin)).count(), 0, "{requested:?}");
    assert_eq!(page.run("return [localStorage.length, document.cookie]", &[]).await, json!([0, ""]));
    page.is_clean().await;
}
