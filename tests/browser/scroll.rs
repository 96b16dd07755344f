//! Ten thousand sandboxes.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{NAMESPACE, Setup, within};

use crate::page::{Page, WIDE};

const MANY: usize = 10_000;

/// The most rows that may be in the document: those in sight of a window of 800 pixels, and those beyond.
const ROWS_MAX: u64 = 60;

/// Scrolls through the whole table in 240 frames, and returns the times of the frames in milliseconds, and the most rows.
const SCROLL: &str = "
    const scroller = document.getElementById('scroller');
    const step = (scroller.scrollHeight - scroller.clientHeight) / 240;
    const times = [];
    let rows = 0;
    let last = performance.now();
    for (let n = 0; n < 240; n++) {
        scroller.scrollTop += step;
        const now = await new Promise(requestAnimationFrame);
        times.push(now - last);
        last = now;
        rows = Math.max(rows, document.querySelectorAll('#sandboxes tr').length);
    }
    times.sort((a, b) => a - b);
    const at = (share) => Math.round(times[Math.floor(share * (times.length - 1))] * 10) / 10;
    return {p50: at(0.5), p95: at(0.95), max: at(1), rows, end: document.querySelector('#sandboxes').textContent.includes('many-09999')};";

/// Stores copies of the objects of the sandbox `first`, which is quicker than as many creates.
fn copy_objects(page: &Page) {
    let cluster = &page.daemon.cluster;
    let pod = cluster.object("pods", NAMESPACE, "sandbox-first").unwrap();
    let service = cluster.object("services", NAMESPACE, "sandbox-first-svc").unwrap();
    let copy = |object: &Value, name: String, id: &str| {
        let labels = &object["metadata"]["labels"];
        let mut copy = json!({
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            "spec": object["spec"], "status": object["status"],
        });
        copy["metadata"]["labels"]["sandbox-id"] = id.into();
        copy
    };
    for n in 0..MANY {
        let id = format!("many-{n:05}");
        cluster.put("pods", copy(&pod, format!("sandbox-{id}"), &id)).unwrap();
        cluster.put("services", copy(&service, format!("sandbox-{id}-svc"), &id)).unwrap();
    }
}

/// Guards that a table of 10,000 sandboxes has few rows in the document, tells assistive technology of all of them, and
/// scrolls while sandboxes change; and that it is filtered and sorted at once.
#[tokio::test]
#[ignore = "needs Chromium: run ./dev browser"]
async fn ten_thousand_sandboxes_scroll() {
    let setup = Setup::new(&[("SANDBOX_SERVICE_TYPE", "ClusterIP")]);
    let page = Page::start(setup, WIDE).await;
    page.daemon.post("first").await;
    copy_objects(&page);
    let listed = async || page.daemon.fetch("/api/sandboxes").await.body["count"] == MANY + 1;
    within(Duration::from_secs(120), "all are listed", listed).await;
    page.go("?sort=id").await;
    page.wait_text("#found", "10,001 sandboxes").await;
    assert_eq!(page.run("return document.getElementById('sandboxes').ariaRowCount", &[]).await, "10002");
    page.wait("document.getElementById('row-first')").await;

    let quiet = page.run_async(SCROLL, &[]).await;
    println!("10,001 sandboxes, frames of a scroll to the end, in ms: {quiet}");
    page.run("document.getElementById('scroller').scrollTop = 0", &[]).await;
    let cluster = page.daemon.cluster.clone();
    let changes = tokio::spawn(async move {
        for n in (0..MANY).step_by(7).cycle() {
            let phase = if n % 2 == 0 { "Running" } else { "Failed" };
            cluster.set_phase(NAMESPACE, &format!("sandbox-many-{n:05}"), phase).unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let busy = page.run_async(SCROLL, &[]).await;
    changes.abort();
    println!("while sandboxes change: {busy}");
    for found in [&quiet, &busy] {
        assert!(found["rows"].as_u64().unwrap() <= ROWS_MAX, "{found}");
        assert_eq!(found["end"], true, "{found}");
        assert!(found["p50"].as_f64().unwrap() < 100.0, "{found}");
    }
    let row = page.run("return document.getElementById('row-many-09999').ariaRowIndex", &[]).await;
    assert_eq!(row, "10002");

    let filter = "
        const search = document.getElementById('search');
        const start = performance.now();
        search.value = 'many-0777';
        search.dispatchEvent(new Event('input'));
        while (document.querySelectorAll('tr[data-id]').length !== 10) await new Promise(requestAnimationFrame);
        return performance.now() - start;";
    let took = page.run_async(filter, &[]).await;
    println!("a filter, until it is drawn, in ms: {took}");
    page.wait_text("#found", "10 of 10,001").await;
    page.is_clean().await;
}
