//! Changes through the page.

use http::Method;
use serde_json::json;
use testkit::{Setup, until};

use crate::page::{Page, WIDE, cluster};

/// Guards that a sandbox is deleted through the page after a confirmation, and not without it.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn a_sandbox_is_deleted() {
    let page = Page::open().await;
    page.daemon.running("a").await;
    page.live().await;
    page.click("#row-a .c-status").await;
    page.click_text("#detail button", "Delete").await;
    page.wait_text("dialog", "The Pod and the Service of a are deleted").await;
    page.wait("document.activeElement.textContent === 'Cancel'").await;
    page.click_text("dialog button", "Cancel").await;
    page.wait("!document.querySelector('dialog')").await;
    assert_eq!(page.daemon.fetch("/api/sandboxes").await.body["count"], 1);

    page.click_text("#detail button", "Delete").await;
    page.click_text("dialog button", "Delete").await;
    page.wait_text("#toast", "Sandbox a is being deleted").await;
    page.wait_text("#detail-problem", "It was deleted.").await;
    page.wait_text("#detail .timeline", "gone").await;
    page.wait_text("#empty", "There are no sandboxes").await;
    until("the objects are gone", async || page.daemon.objects().is_empty()).await;
    page.is_clean().await;
}

/// Guards that limits are changed and restored, that an invalid one is refused with the daemon's words in the dialog, and
/// that a touch counts as a use.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn limits_are_changed() {
    let page = Page::open().await;
    let body = json!({"sandbox_id": "a", "idle_timeout": "2h"});
    page.daemon.call(Method::POST, "/api/sandboxes", Some(body)).await;
    page.go("?id=a").await;
    page.wait_text("#detail dl", "in 1h59m").await;
    page.click_text("#detail button", "Change limits").await;
    page.click_text("dialog button", "Change").await;
    page.wait_text("dialog .failure", "Nothing is to be changed").await;
    page.type_into("#ttl-choice", "Set").await;
    page.type_into("#ttl-text", "soon").await;
    page.click_text("dialog button", "Change").await;
    page.wait_text("dialog .failure", "ttl: ").await;
    page.run("document.getElementById('ttl-text').value = ''", &[]).await;
    page.type_into("#ttl-text", "10m").await;
    page.click_text("dialog button", "Change").await;
    page.wait_text("#toast", "The limits of a were changed").await;
    page.wait_text("#detail dl", "TTLExpired").await;
    assert_eq!(listed(&page).await["reap_reason"], "TTLExpired");

    page.click_text("#detail button", "Change limits").await;
    page.type_into("#ttl-choice", "Restore").await;
    page.click_text("dialog button", "Change").await;
    page.wait_text("#detail dl", "IdleTimeout").await;

    let before = listed(&page).await["idle_since"].clone();
    page.click_text("#detail button", "Touch").await;
    page.click_text("dialog button", "Touch").await;
    page.wait_text("#toast", "Sandbox a was touched").await;
    assert_ne!(listed(&page).await["idle_since"], before);
    page.is_clean().await;
}

/// Guards that CPU and memory are changed together with a lifetime, in one call, where the profile lets a request set them,
/// and that the dialog names the bounds.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn resources_are_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    let profiles = "[profiles.large]\ncpu = '1'\nmemory = '1Gi'\n[profiles.large.overrides]\ncpu = { max = '4' }\n\
                    [profiles.fixed]\ncpu = '1'\n";
    std::fs::write(&file, profiles).unwrap();
    let setup = Setup::new(&[("SANDBOX_PROVISIONER_CONFIG", file.to_str().unwrap())]);
    let page = Page::of(setup.cluster(cluster("normal")), WIDE).await;
    for profile in ["large", "fixed"] {
        let body = json!({"sandbox_id": profile, "profile": profile});
        page.daemon.call(Method::POST, "/api/sandboxes?wait=ready", Some(body)).await;
    }
    page.go("?id=large").await;
    page.click_text("#detail button", "Change limits").await;
    page.wait_text("dialog", "Cores, such as 2 or 500m; at most 4.").await;
    page.wait("!document.querySelector('#memory-text')").await;
    page.run("document.getElementById('cpu-text').value = ''", &[]).await;
    page.type_into("#cpu-text", "5").await;
    page.click_text("dialog button", "Change").await;
    page.wait_text("dialog .failure", "5 is above 4").await;
    page.run("document.getElementById('cpu-text').value = ''", &[]).await;
    page.type_into("#cpu-text", "2").await;
    page.type_into("#ttl-choice", "S").await;
    page.type_into("#ttl-text", "10m").await;
    page.click_text("dialog button", "Change").await;
    page.wait_text("#toast", "The limits of large were changed").await;
    page.wait_text("#detail dl", "TTLExpired").await;
    until("the CPU is changed", async || page.daemon.get("large").await.body["resources"]["cpu"] == "2")
        .await;

    page.go("?id=fixed").await;
    page.click_text("#detail button", "Change limits").await;
    page.wait_text("dialog", "Time to live").await;
    page.wait("!document.querySelector('#cpu-text')").await;
    page.is_clean().await;
}

/// Returns the only sandbox of the list, which does not count as a use.
async fn listed(page: &Page) -> serde_json::Value {
    page.daemon.fetch("/api/sandboxes").await.body["sandboxes"][0].take()
}

/// Guards that a page that is open does not count as a use of the sandbox that it shows.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn looking_is_not_a_use() {
    let page = Page::open().await;
    let body = json!({"sandbox_id": "a", "idle_timeout": "1h"});
    page.daemon.call(Method::POST, "/api/sandboxes", Some(body)).await;
    until("a is ready", async || listed(&page).await["ready"] == true).await;
    let before = listed(&page).await["idle_since"].clone();
    page.go("?id=a").await;
    page.wait_text("#detail .timeline", "ready").await;
    page.click("#nav-overview").await;
    page.wait_text("#latency", "1 create ").await;
    assert_eq!(listed(&page).await["idle_since"], before);
}

/// Guards that an operator sees that the reaper is stopped, and resumes it.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn the_reaper_is_resumed() {
    let limits = [("PROVISIONER_REAP_GRACE", "1s"), ("PROVISIONER_REAP_MAX_SHARE", "10")];
    let page = Page::of(Setup::new(&limits).cluster(cluster("normal")), WIDE).await;
    for n in 0..20 {
        let body = json!({"sandbox_id": format!("s-{n}"), "ttl": "2s"});
        page.daemon.call(Method::POST, "/api/sandboxes", Some(body)).await;
    }
    let stopped = async || !page.daemon.fetch("/api/reaper").await.body["stopped_until"].is_null();
    until("the reaper is stopped", stopped).await;
    page.go("?view=overview").await;
    page.wait_text("#reaper", "Stopped").await;
    page.click("#resume").await;
    page.click_text("dialog button", "Resume").await;
    page.wait_text("#toast", "The reaper was resumed").await;
    page.wait_text("#reaper", "Working").await;
    page.is_clean().await;
}
