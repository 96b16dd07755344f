//! The API key.

use serde_json::{Value, json};
use testkit::Setup;

use crate::page::{Page, WIDE, cluster};

/// The key of the daemon.
const KEY: &str = "correct horse 7f3a";

async fn page() -> Page {
    let setup = Setup::new(&[("PROVISIONER_API_KEY", KEY)]).cluster(cluster("normal"));
    let page = Page::of(setup, WIDE).await;
    page.daemon.running("a").await;
    page
}

/// Returns all that outlives the tab, or that others see: the address, the cookies and the stored items.
async fn kept(page: &Page) -> Value {
    let script = "return JSON.stringify([location.href, document.cookie, Object.entries(localStorage),
        await indexedDB.databases(), await caches.keys(), history.state, document.documentElement.outerHTML])";
    page.run_async(script, &[]).await
}

/// Guards that the page asks for the key, says that a wrong one is refused, works with the correct one also after a reload,
/// and keeps it only in the tab.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn the_key_is_asked_for_once_and_kept_in_the_tab() {
    let page = page().await;
    page.wait_text("dialog h2", "API key").await;
    page.wait_text("#connection", "Key needed").await;
    page.type_into("#key", "wrong").await;
    page.press("Enter").await;
    page.wait_text("dialog .failure", "The daemon refused this key.").await;
    assert_eq!(page.run("return sessionStorage.length", &[]).await, 0, "a refused key is not kept");
    page.run("document.getElementById('key').value = ''", &[]).await;
    page.type_into("#key", KEY).await;
    page.click_text("dialog button", "Use this key").await;
    page.live().await;
    page.shows(&["a"]).await;

    page.click("#row-a .c-age").await;
    page.wait_text("#detail .timeline", "ready").await;
    page.wait_text("#detail .command", "kubectl").await;
    assert!(!kept(&page).await.as_str().unwrap().contains(KEY));
    let stored = page.run("return Object.values(sessionStorage)", &[]).await;
    assert_eq!(stored, json!([KEY]));

    page.go("").await;
    page.live().await;
    page.shows(&["a"]).await;
    for url in page.requested().await {
        assert!(!url.contains("horse"), "{url}");
    }
    page.click("#forget-key").await;
    page.wait_text("dialog h2", "API key").await;
    assert_eq!(page.run("return sessionStorage.length", &[]).await, 0);
    page.is_clean().await;
}

/// Guards that a page without the key shows nothing about the sandboxes, and that the dialog can be closed and opened again.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn nothing_is_shown_without_the_key() {
    let page = page().await;
    page.wait_text("dialog h2", "API key").await;
    page.press("Escape").await;
    page.wait("!document.querySelector('dialog')").await;
    page.wait_text("#banner", "The daemon needs an API key").await;
    page.shows(&[]).await;
    page.click_text("#banner button", "Enter the key").await;
    page.wait_text("dialog h2", "API key").await;
}

/// Guards that a key that the daemon refuses later, because it was changed, is asked for again.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn a_key_that_is_refused_later_is_asked_for_again() {
    let page = page().await;
    page.run("sessionStorage.setItem('sandbox-provisioner-key', 'an old key')", &[]).await;
    page.go("").await;
    page.wait_text("dialog .failure", "The daemon refused the key that this tab has").await;
    page.type_into("#key", KEY).await;
    page.press("Enter").await;
    page.shows(&["a"]).await;
    page.is_clean().await;
}
