//! Accessibility, by axe-core, and pictures of the page in both themes at two widths.

use std::{fs, time::Duration};

use http::Method;
use serde_json::{Value, json};
use testkit::Setup;
use tokio::time::sleep;

use crate::{
    driver::folder,
    page::{NARROW, Page, WIDE, cluster},
};

/// Returns the violations that axe-core calls serious or critical, each with the elements.
async fn violations(page: &Page, axe: &str) -> Value {
    page.run(axe, &[]).await;
    let script = "
        const {violations} = await axe.run(document, {resultTypes: ['violations']});
        return violations.filter(({impact}) => impact === 'serious' || impact === 'critical')
            .map(({id, help, nodes}) => [id, help, nodes.slice(0, 5).map(({html, failureSummary}) => [html, failureSummary])]);";
    page.run_async(script, &[]).await
}

/// Checks the page as it is, and takes a picture.
async fn check(page: &Page, axe: &str, name: &str) {
    page.picture(name).await;
    let found = violations(page, axe).await;
    assert_eq!(found, json!([]), "{name}: {found:#}");
}

/// Guards that axe-core finds nothing serious or critical in the table, the details, the overview and the dialogs, in both
/// themes and at two widths. The pictures are in `target/browser/`.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn axe_finds_nothing_serious() {
    let axe = fs::read_to_string(folder().join("axe.min.js")).expect("`./dev browser` downloads axe-core");
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("settings.toml");
    let profile = "[profiles.default]\ncpu = '1'\n[profiles.default.overrides]\ncpu = { max = '4' }\nmemory = { min = '512Mi' }\n";
    fs::write(&settings, profile).unwrap();
    let settings = settings.to_str().unwrap();
    let setup = Setup::new(&[("PROVISIONER_API_KEY", "k"), ("SANDBOX_PROVISIONER_CONFIG", settings)]);
    let setup = setup.cluster(cluster("normal"));
    let page = Page::start(setup, WIDE).await;
    for n in 1..=40 {
        let body =
            json!({"sandbox_id": format!("agent-{n}"), "ttl": format!("{}m", 5 * n), "idle_timeout": "20m"});
        page.daemon.call(Method::POST, "/api/sandboxes", Some(body)).await;
    }
    for (id, reason) in [("agent-38", "ImagePullBackOff"), ("agent-33", "CrashLoopBackOff")] {
        let containers = json!([{"name": "sandbox", "state": {"waiting": {"reason": reason, "message": format!("the message of {reason}")}}}]);
        let status = json!({"phase": "Pending", "containerStatuses": containers});
        page.daemon.cluster.set_status(page.daemon.namespace(), &format!("sandbox-{id}"), status).unwrap();
    }
    for theme in ["light", "dark"] {
        page.prefer(theme).await;
        for (width, height) in [WIDE, NARROW] {
            page.size(width, height).await;
            let picture = |part: &str| format!("{part}-{theme}-{width}");
            page.run("try { sessionStorage.clear() } catch {}", &[]).await;
            page.go("").await;
            page.wait_text("dialog h2", "API key").await;
            check(&page, &axe, &picture("key")).await;
            page.type_into("#key", "k").await;
            page.press("Enter").await;
            page.live().await;
            page.wait_text("#found", "40 sandboxes").await;
            check(&page, &axe, &picture("list")).await;
            page.go("?id=agent-38").await;
            page.wait_text("#detail .timeline", "pod created").await;
            check(&page, &axe, &picture("detail")).await;
            page.run("document.getElementById('detail').scrollTop = 1e6", &[]).await;
            page.picture(&picture("detail-end")).await;
            page.run("document.getElementById('detail').scrollTop = 0", &[]).await;
            for (button, dialog) in [("Change limits", "limits"), ("Delete", "delete"), ("Touch", "touch")] {
                page.click_text("#detail button", button).await;
                page.wait("document.querySelector('dialog[open]')").await;
                check(&page, &axe, &picture(dialog)).await;
                page.press("Escape").await;
                page.wait("!document.querySelector('dialog')").await;
            }
            page.go("?view=overview").await;
            page.wait_text("#latency", "creates").await;
            page.wait_text("#checks", "watch-pods").await;
            // The bars grow for a moment.
            sleep(Duration::from_millis(300)).await;
            check(&page, &axe, &picture("overview")).await;
            page.go("?q=nothing").await;
            page.wait_text("#empty", "No sandbox passes").await;
            check(&page, &axe, &picture("empty")).await;
        }
    }
    // The switch overrides the system.
    page.go("").await;
    page.live().await;
    page.click("#theme").await;
    page.wait("getComputedStyle(document.documentElement).colorScheme === 'light'").await;
    check(&page, &axe, "switched-light").await;
}
