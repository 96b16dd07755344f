//! Hostile texts, the headers, and what the browser loads.

use http::Method;
use serde_json::json;
use testkit::{NAMESPACE, Setup, until};

use crate::page::{Page, WIDE, cluster};

const HOSTILE: &str = "<img src=x onerror=\"window.pwned=1\"><script>window.pwned=1</script>{{7*7}}\u{202e}";

/// Guards that reasons and messages of the cluster, and texts in the address, are shown as text: none becomes an element,
/// runs as a script, or is only stopped by the security policy.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn hostile_texts_stay_text() {
    let page = Page::of(Setup::new(&[]).cluster(cluster("creating")), WIDE).await;
    page.live().await;
    page.daemon.post("a").await;
    until("the Pod waits", async || page.daemon.cluster.object("pods", NAMESPACE, "sandbox-a").is_some())
        .await;
    let states = json!([{"name": "sandbox", "state": {"waiting": {"reason": HOSTILE, "message": HOSTILE}}}]);
    let change = |pod: &mut serde_json::Value| pod["status"]["containerStatuses"] = states;
    page.daemon.cluster.change("pods", NAMESPACE, "sandbox-a", change).unwrap();
    page.wait_text("#row-a .c-reason", "<img src=x").await;
    page.click("#row-a .c-age").await;
    page.wait_text("#detail-problem", "<script>window.pwned=1</script>").await;
    page.click("#nav-overview").await;
    page.wait_text("#by-reason", "<img src=x").await;
    page.is_clean().await;

    let hostile = "%3Cimg%20src%3Dx%20onerror%3D%22window.pwned%3D1%22%3E";
    page.go(&format!("?id={hostile}&q={hostile}&reason={hostile}&sort={hostile}&view={hostile}")).await;
    page.wait_text("#detail h2", "<img src=x").await;
    page.wait_text("#detail-problem", "This sandbox does not exist").await;
    let found =
        page.run("return [window.pwned ?? null, document.images.length, document.scripts.length]", &[]).await;
    assert_eq!(found, json!([null, 0, 2]));
    page.is_clean().await;
}

/// Guards that a URL with another scheme than HTTP's is not a link.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn a_script_url_is_not_a_link() {
    let page = Page::fed().await;
    let sandbox = json!({"sandbox_id": "a", "sandbox_url": "javascript:window.pwned=1", "status": "Running", "ready": true});
    page.feed("added", sandbox).await;
    page.feed("synced", json!({})).await;
    page.click("#row-a .c-age").await;
    page.wait_text("#detail dl", "javascript:window.pwned=1").await;
    let links = "return [...document.links].filter((link) => !link.protocol.startsWith('http')).length";
    assert_eq!(page.run(links, &[]).await, 0);
}

/// Guards that the page loads everything from the daemon, in all its views.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn nothing_is_loaded_from_elsewhere() {
    let page = Page::open().await;
    page.daemon.running("a").await;
    page.live().await;
    page.click("#row-a .c-age").await;
    page.wait_text("#detail .timeline", "ready").await;
    page.click("#nav-overview").await;
    page.wait_text("#latency", "1 create ").await;
    let origin = page.url.trim_end_matches("/ui");
    let requested = page.requested().await;
    assert!(requested.iter().any(|url| url.ends_with("/ui/main.js")), "{requested:?}");
    assert!(requested.iter().any(|url| url.ends_with("/api/events")), "{requested:?}");
    let elsewhere: Vec<_> = requested.iter().filter(|url| !url.starts_with(&format!("{origin}/"))).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    let entries =
        "return performance.getEntriesByType('resource').map((entry) => new URL(entry.name).origin)";
    for entry in page.run(entries, &[]).await.as_array().unwrap() {
        assert_eq!(entry, origin);
    }
    page.is_clean().await;
}

/// Guards that the policy is in force: the page cannot load from elsewhere, run a text or be framed.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn the_policy_is_in_force() {
    let page = Page::open().await;
    page.live().await;
    let tries = "
        const image = new Image();
        image.src = 'http://127.0.0.1:9/x.png';
        await fetch('http://127.0.0.1:9/').catch(() => {});
        const results = [];
        for (const attempt of [
            () => { document.body.innerHTML = '<b>x</b>'; },
            () => setTimeout('window.pwned = 1', 0),
            () => { document.createElement('script').text = 'window.pwned = 1'; },
        ]) {
            try { attempt(); results.push('allowed'); } catch (error) { results.push(error.name); }
        }
        await new Promise((resolve) => setTimeout(resolve, 200));
        return [results, [...new Set(window.violations.map((text) => text.split(' ')[0]))].sort(), window.pwned ?? null]";
    let found = page.run_async(tries, &[]).await;
    assert_eq!(found[0], json!(["TypeError", "TypeError", "TypeError"]), "{found}");
    for directive in ["connect-src", "img-src", "require-trusted-types-for"] {
        assert!(found[1].as_array().unwrap().contains(&json!(directive)), "{found}");
    }
    assert_eq!(found[2], json!(null));
    let answer = page.daemon.call(Method::HEAD, "/ui", None).await;
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'none'"), "{policy}");
    assert_eq!(page.daemon.call(Method::POST, "/ui", None).await.header("allow"), Some("GET, HEAD"));
}
