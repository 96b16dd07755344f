//! The table and the details follow the sandboxes.

use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use serde_json::json;
use testkit::Setup;

use crate::page::{NARROW, Page, WIDE, cluster};

/// How late a new sandbox may be in the table.
const SOON: Duration = Duration::from_secs(1);

/// Returns the milliseconds since the Unix epoch, as the page counts them.
#[expect(clippy::cast_precision_loss, reason = "the number is far below 2^52")]
fn now() -> f64 {
    Timestamp::now().as_microsecond() as f64 / 1000.0
}

/// Guards that a sandbox that another client creates is in the table within a second: by the clock of the page, the median
/// of five.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn a_new_sandbox_appears_within_a_second() {
    let page = Page::open().await;
    page.live().await;
    let mut delays = Vec::new();
    for n in 0..5 {
        let id = format!("new-{n}");
        let watch = "window.seen = null;
            const look = () => document.getElementById(arguments[0])
                ? (window.seen = performance.timeOrigin + performance.now())
                : requestAnimationFrame(look);
            look();";
        page.run(watch, &[format!("row-{id}").into()]).await;
        let posted = now();
        assert_eq!(page.daemon.post(&id).await.status, 200);
        page.wait("window.seen").await;
        delays.push(page.run("return window.seen", &[]).await.as_f64().unwrap() - posted);
    }
    delays.sort_by(f64::total_cmp);
    println!("from the POST to the table, in ms: {delays:.0?}");
    assert!(delays[2] < SOON.as_secs_f64() * 1000.0, "{delays:?}");
    page.is_clean().await;
}

/// Guards that the details of a sandbox that is not ready say why, what the cluster says and what to do, and show the
/// timeline and the commands; and that they follow its recovery.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn the_details_tell_why_a_sandbox_is_not_ready() {
    for (behaviour, reason, words) in [
        ("image-pull-error", "ImagePullBackOff", "Failed to pull image"),
        ("crash-loop", "CrashLoopBackOff", "exited with code 3"),
        ("unschedulable", "Unschedulable", "0/1 nodes are available"),
    ] {
        let page = Page::of(Setup::new(&[]).cluster(cluster(behaviour)), WIDE).await;
        page.live().await;
        page.daemon.post("a").await;
        page.wait_text("#row-a .c-reason", reason).await;
        page.click("#row-a .c-status").await;
        page.wait_text("#detail-problem", words).await;
        let problem = page.text("#detail-problem").await;
        assert!(problem.starts_with(reason) && problem.contains("Hint: "), "{problem}");
        page.wait_text("#detail .timeline", "pod created").await;
        page.wait_text("#detail .command", "kubectl").await;
        assert_eq!(page.query().await, "?id=a");
        page.is_clean().await;
    }
}

/// Guards that the details show the step at which a slow start is, and the time to readiness after it.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn the_details_follow_a_slow_start() {
    let page = Page::of(Setup::new(&[]).cluster(cluster("boot=3s")), WIDE).await;
    page.live().await;
    page.daemon.post("a").await;
    page.go("?id=a").await;
    page.wait_text("#detail .timeline", "started").await;
    page.wait_text("#detail-timeline ~ .body", "Not ready yet").await;
    page.wait_text("#detail .state", "Ready: its URL works").await;
    page.wait_text("#detail-timeline ~ .body", "Ready after").await;
    page.wait_text("#detail .changes", "ready").await;
    page.is_clean().await;
}

/// Guards that filters and the order are in the address, survive a reload, and that the back button closes the details.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn filters_stay_in_the_address() {
    let page = Page::open().await;
    for id in ["b-1", "a-1", "a-2"] {
        page.daemon.running(id).await;
    }
    page.live().await;
    page.click_text("#sandboxes thead button", "Sandbox").await;
    page.shows(&["a-1", "a-2", "b-1"]).await;
    page.click_text("#sandboxes thead button", "Sandbox").await;
    page.shows(&["b-1", "a-2", "a-1"]).await;
    page.type_into("#search", "a-").await;
    page.shows(&["a-2", "a-1"]).await;
    page.wait_text("#found", "2 of 3 sandboxes").await;
    assert_eq!(page.query().await, "?q=a-&sort=-id");

    page.go("?q=a-&sort=-id").await;
    page.shows(&["a-2", "a-1"]).await;
    page.click("#row-a-1 a").await;
    page.wait_text("#detail h2", "a-1").await;
    assert_eq!(page.query().await, "?q=a-&sort=-id&id=a-1");
    page.run("history.back()", &[]).await;
    page.wait("document.getElementById('detail').hidden").await;
    page.click("#clear-filters").await;
    page.shows(&["b-1", "a-2", "a-1"]).await;

    page.go("?status=Terminating").await;
    page.live().await;
    page.wait_text("#empty", "No sandbox passes the filters").await;
    page.is_clean().await;
}

/// Guards that the page can be used with the keyboard alone.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn the_keyboard_is_enough() {
    let page = Page::open().await;
    for n in 0..40 {
        page.daemon.post(&format!("s-{n:02}")).await;
    }
    page.go("?sort=id").await;
    page.live().await;
    page.press("/").await;
    page.wait("document.activeElement.id === 'search'").await;
    page.run("document.getElementById('sandboxes').focus()", &[]).await;
    for key in ["ArrowDown", "ArrowDown"] {
        page.press(key).await;
    }
    let active = "document.getElementById('sandboxes').getAttribute('aria-activedescendant')";
    page.wait(&format!("{active} === 'row-s-01'")).await;
    page.press("End").await;
    page.wait(&format!("{active} === 'row-s-39'")).await;
    page.press("Home").await;
    page.press("PageDown").await;
    page.wait(&format!("{active} !== 'row-s-00'")).await;
    page.press("Home").await;
    page.press("Enter").await;
    page.wait_text("#detail h2", "s-00").await;
    page.wait("document.activeElement.id === 'detail-title'").await;
    page.press("Tab").await;
    page.press("Tab").await;
    page.press("Enter").await;
    page.wait_text("dialog h2", "Touch this sandbox?").await;
    page.press("Escape").await;
    page.wait("!document.querySelector('dialog')").await;
    page.press("Escape").await;
    page.wait("document.getElementById('detail').hidden && document.activeElement.id === 'sandboxes'").await;
    page.is_clean().await;
}

/// Guards the overview: its numbers count the sandboxes and lead to them. It shows the latency of creates, the cluster, the
/// reaper and the daemon.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn the_overview_counts() {
    let page = Page::open().await;
    for id in ["a", "b"] {
        page.daemon.running(id).await;
    }
    page.go("?view=overview").await;
    page.wait_text(".tile.good .count", "2").await;
    page.wait_text("#by-status", "Running").await;
    page.wait_text("#latency", "2 creates").await;
    page.wait_text("#latency .total", "From the POST to ready").await;
    page.wait_text("#reaper", "Working").await;
    page.wait_text("#checks", "watch-pods").await;
    page.wait_text("#clusters", "Ready default").await;
    page.click(".tile.good").await;
    page.wait("location.search === '?ready=yes'").await;
    page.wait_text("#found", "2 of 2 sandboxes").await;
    page.is_clean().await;

    let elsewhere = [("PROVISIONER_METRICS_LISTEN", "127.0.0.1:0")];
    let page = Page::of(Setup::new(&elsewhere).cluster(cluster("normal")), WIDE).await;
    page.go("?view=overview").await;
    page.wait_text("#latency", "PROVISIONER_METRICS_LISTEN").await;
}

/// Guards that the details cover a narrow page, that it never scrolls sideways, and that a sandbox that ended is shown
/// with the reason.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn a_narrow_page_and_a_reaped_sandbox() {
    let setup = Setup::new(&[("PROVISIONER_REAP_GRACE", "1s")]).cluster(cluster("normal"));
    let page = Page::of(setup, NARROW).await;
    page.live().await;
    let body = json!({"sandbox_id": "a", "ttl": "8s"});
    page.daemon.call(Method::POST, "/api/sandboxes", Some(body)).await;
    page.click("#row-a .c-age").await;
    page.wait_text("#detail .state", "Ready").await;
    let fits = "document.documentElement.scrollWidth <= innerWidth && document.getElementById('list').inert";
    page.wait(fits).await;
    page.wait_text("#detail-problem", "It was reaped: TTLExpired").await;
    page.wait_text("#detail .timeline", "reaped").await;
    page.is_clean().await;
}
