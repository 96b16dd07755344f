//! The page without a current state, and its recovery.

use std::net::TcpListener;

use serde_json::json;
use testkit::{Process, until};

use crate::{
    PROGRAM,
    driver::Browser,
    page::{Page, WIDE},
};

async fn serve(listen: &str) -> Process {
    let variables = [("PROVISIONER_LISTEN", listen), ("PROVISIONER_EMBEDDED", "true")];
    let process = Process::serve(PROGRAM, &variables).await;
    process.client().until_ready().await;
    process
}

/// Guards that the page says that the daemon is gone, and how old the table is; and that it shows the state of the next
/// daemon by itself, not a mixture.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn the_page_survives_the_daemon() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let daemon = serve(&free.to_string()).await;
    daemon.client().running("before").await;
    let browser = Browser::start(WIDE).await;
    browser.go(&format!("http://{free}/ui")).await;
    browser.wait("document.getElementById('row-before')").await;
    daemon.kill().await;
    browser.wait_text("#connection", "Disconnected").await;
    browser.wait_text("#banner", "No connection to the daemon").await;
    browser.wait_text("#banner", "The table shows the state of ").await;
    browser.wait_text("#banner", "Next attempt in ").await;
    browser.wait("document.getElementById('row-before')").await;

    let daemon = serve(&free.to_string()).await;
    daemon.client().running("after").await;
    browser.wait_text("#connection", "Live").await;
    browser.wait("document.getElementById('row-after') && !document.getElementById('row-before')").await;
    browser.wait("document.getElementById('banner').hidden").await;
    browser.is_clean().await;
}

fn sandbox(id: &str) -> serde_json::Value {
    json!({"sandbox_id": id, "sandbox_url": "http://127.0.0.1:1", "status": "Running", "ready": true})
}

/// Guards that a stale state is said and shown as such, and that it ends; that a reset replaces the table only once the
/// new state is complete; and that unknown events do nothing.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn stale_and_reset_are_said() {
    let page = Page::fed().await;
    page.feed("added", sandbox("a")).await;
    page.feed("synced", json!({})).await;
    page.shows(&["a"]).await;
    page.feed("stale", json!({"detail": "cluster state is stale (last update 63s ago)"})).await;
    page.wait_text("#connection", "Out of date").await;
    page.wait_text("#banner", "lost the cluster: cluster state is stale (last update 63s ago)").await;
    page.wait("document.body.classList.contains('outdated')").await;
    page.feed("fresh", json!({})).await;
    page.wait_text("#connection", "Live").await;
    page.wait("document.getElementById('banner').hidden").await;

    page.feed("reset", json!({})).await;
    page.feed("added", sandbox("b")).await;
    page.feed("invented", sandbox("c")).await;
    page.shows(&["a"]).await;
    page.feed("synced", json!({})).await;
    page.shows(&["b"]).await;
    let unreadable = json!({"sandbox_id": "b", "detail": "several Pods claim it", "reason": "Ambiguous"});
    page.feed("unreadable", unreadable).await;
    page.wait_text("#row-b .c-reason", "Ambiguous").await;
    page.is_clean().await;
}

/// Guards that a stream that ends is continued with the last id, that a refused one is tried again later with the
/// daemon's words, and that the button does not wait.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn a_stream_is_continued() {
    let page = Page::fed().await;
    page.feed("added", sandbox("a")).await;
    page.feed("synced", json!({})).await;
    page.shows(&["a"]).await;
    page.run("feedStatus = 503; closeFeed()", &[]).await;
    page.wait_text("#connection", "Waiting").await;
    page.wait_text("#banner", "the maximum of streams is open").await;
    page.run("feedStatus = 200", &[]).await;
    page.click_text("#banner button", "Try now").await;
    page.wait("lastEventId === 't-1'").await;
    page.wait_text("#connection", "Live").await;
    page.feed("added", sandbox("b")).await;
    page.feed("synced", json!({})).await;
    page.shows(&["a", "b"]).await;
    page.is_clean().await;
}

/// Guards that a page that was left holds no stream: a browser opens six connections to one host, and the next page
/// would wait for ever.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn pages_that_were_left_hold_no_stream() {
    let page = Page::open().await;
    for n in 0..8 {
        page.go(&format!("?q={n}")).await;
        page.live().await;
    }
    let one = async || {
        let metrics = page.daemon.fetch("/metrics").await.text();
        metrics.lines().any(|line| line == "sandbox_provisioner_event_streams 1")
    };
    until("one stream is open", one).await;
    page.run("history.back()", &[]).await;
    page.wait("location.search === '?q=6'").await;
    page.live().await;
    page.is_clean().await;
}
