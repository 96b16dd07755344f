//! Tests of the shared watch and its lists.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use simcluster::{Cluster, Effect, Options, Refusal, Rule, Verb, WatchFault};
use tokio::time::{Instant, sleep};

use testkit::{Daemon, NAMESPACE, Setup};

use super::recovered;

/// More objects than one page of a list.
const MORE_THAN_A_PAGE: usize = 600;

/// The maximum length of an answer in the tests of objects that exceed it.
const ANSWER_MAX: usize = 256 << 10;

async fn listed(daemon: &Daemon) -> (u16, Value) {
    let answer = daemon.fetch("/api/sandboxes").await;
    (answer.status, answer.body["count"].clone())
}

/// Creates the objects of an existing sandbox.
fn put(cluster: &Cluster, n: usize) {
    let id = format!("s{n}");
    let metadata = |name: String| json!({"namespace": NAMESPACE, "name": name, "labels": {"app": "deer-flow-sandbox", "sandbox-id": id}});
    let pod = json!({
        "metadata": metadata(format!("sandbox-{id}")),
        "spec": {"containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running"},
    });
    let service = json!({
        "metadata": metadata(format!("sandbox-{id}-svc")),
        "spec": {"type": "NodePort", "ports": [{"port": 8080, "nodePort": 30000 + n}], "selector": {"sandbox-id": id}},
    });
    cluster.put("pods", pod).unwrap();
    cluster.put("services", service).unwrap();
}

/// Guards that a list whose later pages have expired is started again, and that callers never see an incomplete list.
#[tokio::test(start_paused = true)]
async fn a_list_that_expires_between_its_pages() {
    let cluster = Cluster::start(Options { node: None, ..Options::with_namespace(NAMESPACE) });
    for n in 0..MORE_THAN_A_PAGE {
        put(&cluster, n);
    }
    let message =
        "The provided continue parameter is too old to display a consistent list result.".to_owned();
    let expired = Refusal::Other { code: 410, reason: "Expired".into(), message };
    for resource in ["pods", "services"] {
        // The second page of the first list fails.
        let rule = Rule::new(Effect::Refuse(expired.clone())).verb(Verb::List).resource(resource);
        cluster.fault(rule.nth(2));
    }
    let daemon = Daemon::on(cluster).await;
    // Requests wait for the first list.
    assert_eq!(listed(&daemon).await, (200, MORE_THAN_A_PAGE.into()));
    assert_eq!(daemon.get("s599").await.status, 200);
    assert!(daemon.logged("the list of Pods failed").contains("too old"), "{}", daemon.logged(""));

    // After the first list, requests are always answered from memory.
    for resource in ["pods", "services"] {
        let rule = Rule::new(Effect::Refuse(expired.clone())).verb(Verb::List).resource(resource);
        daemon.cluster.fault(rule.nth(2));
    }
    daemon.cluster.restart();
    for _ in 0..50 {
        assert_eq!(listed(&daemon).await, (200, MORE_THAN_A_PAGE.into()));
        sleep(Duration::from_millis(100)).await;
    }
}

/// Guards that a watch that always returns 410 is listed again with a growing back-off, and that callers see only a
/// delay.
#[tokio::test(start_paused = true)]
async fn a_watch_that_expires_again_and_again() {
    let daemon = Daemon::start().await;
    daemon.running("a").await;
    daemon.cluster.fault(Rule::new(Effect::Watch(WatchFault::Expired)));
    daemon.cluster.cut_watches();
    let before = daemon.cluster.mark();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(120) {
        assert_eq!(daemon.get("a").await.to_string(), "200 | Running");
        sleep(Duration::from_secs(1)).await;
    }
    let calls = daemon.cluster.calls_since(before).len();
    assert!(calls < 120, "{calls} calls in two minutes are a storm");
    daemon.running("b").await;
    assert_eq!(daemon.unready().await, [""; 0]);
}

/// Guards that a silent watch is detected, and that a list then finds the changes it did not report.
#[tokio::test(start_paused = true)]
async fn a_watch_that_is_silent() {
    let daemon = Daemon::start().await;
    daemon.running("a").await;
    daemon.cluster.stall_watches(true);
    daemon.cluster.set_phase(NAMESPACE, "sandbox-a", "Unknown").unwrap();
    let noticed = recovered("it is noticed", async || {
        let answer = daemon.get("a").await;
        assert_eq!(answer.status, 200, "{answer}");
        answer.body["status"] == "Unknown"
    });
    let noticed = noticed.await;
    assert!((30..40).contains(&noticed.as_secs()), "{noticed:?}");
    assert!(daemon.logged("timed out after 35s").contains("the watch of Pods"), "{}", daemon.logged(""));
    // Readiness holds as long as lists succeed.
    sleep(Duration::from_secs(120)).await;
    assert_eq!(daemon.unready().await, [""; 0]);
    daemon.cluster.stall_watches(false);
    daemon.running("b").await;
}

/// Guards the behavior with late, duplicated, reordered or lost watch events. The results of the daemon's own calls are
/// visible at once. Other changes are visible with their event, or at the latest with the next list.
#[tokio::test(start_paused = true)]
async fn events_late_doubled_reordered_and_lost() {
    for (fault, known_within) in [
        (WatchFault::Late(Duration::from_secs(5)), 7),
        (WatchFault::Double, 1),
        (WatchFault::Reorder { among: 3, seed: 1 }, 3),
        (WatchFault::Lossy(1), 335),
    ] {
        let daemon = Daemon::start().await;
        daemon.running("by-hand").await;
        daemon.cluster.fault(Rule::new(Effect::Watch(fault)));
        daemon.cluster.cut_watches();
        sleep(Duration::from_secs(5)).await;
        for n in 0..6 {
            assert_eq!(daemon.post(&format!("s{n}")).await.status, 200, "{fault:?}");
        }
        for n in 0..3 {
            assert_eq!(daemon.delete(&format!("s{n}")).await.status, 200, "{fault:?}");
        }
        for n in 0..6 {
            let status = if n < 3 { 404 } else { 200 };
            assert_eq!(daemon.get(&format!("s{n}")).await.status, status, "{fault:?} s{n}");
        }
        daemon.cluster.remove("pods", NAMESPACE, "sandbox-by-hand").unwrap();
        daemon.cluster.remove("services", NAMESPACE, "sandbox-by-hand-svc").unwrap();
        let begun = Instant::now();
        while daemon.get("by-hand").await.status != 404 {
            assert!(begun.elapsed() <= Duration::from_secs(known_within), "{fault:?}");
            sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(listed(&daemon).await, (200, 3.into()), "{fault:?}");
    }
}

/// Guards the behavior with lists older than the known state, before and after a restart. They hide no new object and
/// bring back no deleted one. A POST for an object that the new process does not know yet returns that object.
#[tokio::test(start_paused = true)]
async fn a_stale_list() {
    let mut daemon = Daemon::start().await;
    daemon.running("old").await;
    daemon.cluster.fault(Rule::new(Effect::StaleRead).verb(Verb::List));
    daemon.running("new").await;
    assert_eq!(daemon.delete("old").await.status, 200);
    for cut in [true, false] {
        if cut {
            daemon.cluster.cut_watches();
        } else {
            daemon.restart().await;
            // The POST arrives before the watch has reported the object that the list lacks.
            assert_eq!(daemon.post("new").await.to_string(), "200 | Running");
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            assert_eq!(daemon.get("new").await.status, 200, "{:?}", begun.elapsed());
            assert_eq!(daemon.get("old").await.status, 404, "{:?}", begun.elapsed());
            sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!(daemon.objects(), ["pods sandbox-new", "services sandbox-new-svc"]);
}

/// Guards that a list that is longer than what is read of one answer ends nothing: the annotations of another tool make a page
/// of 500 Pods longer than 64 MiB.
#[tokio::test(start_paused = true)]
async fn a_list_that_is_too_long_for_one_answer() {
    let cluster = Cluster::start(Options { node: None, ..Options::with_namespace(NAMESPACE) });
    let note = "x".repeat(250_000);
    for n in 0..300 {
        put(&cluster, n);
        let annotate = |pod: &mut Value| pod["metadata"]["annotations"] = json!({"example.com/note": note});
        cluster.change("pods", NAMESPACE, &format!("sandbox-s{n}"), annotate).unwrap();
    }
    let mut daemon = Setup::new(&[]).cluster(cluster).start().await;
    recovered("all are listed", async || listed(&daemon).await == (200, json!(300))).await;
    daemon.restart().await;
    recovered("all are listed after a restart", async || listed(&daemon).await == (200, json!(300))).await;
    assert!(!daemon.logged("WARN").contains("the watch is failing"), "{}", daemon.logged("WARN"));
}

/// Creates the objects of the sandbox `s1`. The one of this kind has an annotation longer than what is read of one
/// answer.
fn put_large(cluster: &Cluster, resource: &str) {
    put(cluster, 1);
    let note = "x".repeat(ANSWER_MAX);
    let annotate =
        move |object: &mut Value| object["metadata"]["annotations"] = json!({"example.com/note": note});
    cluster.change(resource, NAMESPACE, large_name(resource), annotate).unwrap();
}

fn large_name(resource: &str) -> &'static str {
    if resource == "pods" { "sandbox-s1" } else { "sandbox-s1-svc" }
}

/// Guards that an object that is too large to be read ends nothing, hides no other sandbox, is named in the log once, and
/// that its own sandbox is 503 and never a wrong 404 or an orphan, at the start and later.
#[tokio::test(start_paused = true)]
async fn an_object_that_is_too_large_to_be_read() {
    for resource in ["pods", "services"] {
        let cluster = Cluster::start(Options { node: None, ..Options::with_namespace(NAMESPACE) });
        for n in [0, 2] {
            put(&cluster, n);
        }
        put_large(&cluster, resource);
        let daemon = Setup::new(&[]).cluster(cluster).answer_max(ANSWER_MAX).start().await.ready().await;
        let others = async || {
            assert_eq!(listed(&daemon).await, (200, json!(2)), "{resource}");
            assert_eq!(daemon.get("s2").await.status, 200, "{resource}");
        };
        others().await;
        let before = daemon.objects();
        for path in ["/api/sandboxes/s1", "/api/sandboxes/s1/presence"] {
            let answer = daemon.fetch(path).await;
            assert_eq!(answer.status, 503, "{resource} {path}: {answer}");
            assert!(answer.retry_after().is_some(), "{resource} {path}");
            assert!(answer.text().contains("too large to be read"), "{resource} {path}: {answer}");
        }
        let touch = daemon.call(Method::POST, "/api/sandboxes/s1/touch", None).await;
        assert_eq!(touch.status, 503, "{resource}: {touch}");
        assert_eq!(daemon.post("s1").await.status, 503, "{resource}");
        // Longer than the time after which an orphan is deleted, and than the interval of lists.
        sleep(Duration::from_secs(900)).await;
        others().await;
        assert_eq!(daemon.get("s1").await.status, 503, "{resource}");
        assert_eq!(daemon.objects(), before, "{resource}");
        let warned = daemon.logged("the object is too large to be read");
        assert_eq!(warned.lines().count(), 1, "{resource}: {warned}");
        assert!(warned.contains("sandbox-s1"), "{warned}");

        let shrink = |object: &mut Value| object["metadata"]["annotations"] = json!({});
        daemon.cluster.change(resource, NAMESPACE, large_name(resource), shrink).unwrap();
        recovered("it is shown", async || daemon.get("s1").await.status == 200).await;
        assert_eq!(listed(&daemon).await, (200, json!(3)), "{resource}");
    }
}

/// Guards that an object that becomes too large for an event of the watch, or for a list too, ends nothing, and that a
/// DELETE of it works.
#[tokio::test(start_paused = true)]
async fn an_object_that_grows_too_large() {
    for (size, readable) in [(ANSWER_MAX / 4, true), (ANSWER_MAX, false)] {
        let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
        let daemon = Setup::new(&[]).cluster(cluster).answer_max(ANSWER_MAX).start().await.ready().await;
        daemon.running("a").await;
        daemon.running("b").await;
        let note = "x".repeat(size);
        let annotate = |pod: &mut Value| pod["metadata"]["annotations"]["example.com/note"] = note.into();
        daemon.cluster.change("pods", NAMESPACE, "sandbox-a", annotate).unwrap();
        sleep(Duration::from_secs(10)).await;
        let expected = if readable { 200 } else { 503 };
        assert_eq!(daemon.get("a").await.status, expected, "{size}");
        assert_eq!(daemon.get("b").await.status, 200, "{size}");
        assert_eq!(daemon.unready().await, [""; 0], "{size}");
        assert!(daemon.logged("is longer than 64 KiB").contains("the watch of Pods"), "{size}");
        daemon.running("c").await;
        assert_eq!(daemon.delete("a").await.status, 200, "{size}");
        recovered("it is gone", async || daemon.get("a").await.status == 404).await;
        assert_eq!(listed(&daemon).await, (200, json!(2)), "{size}");
    }
}

/// Guards that each trouble that lasts is logged once, also after a harmless one, and so are the staleness that it causes
/// and its end.
#[tokio::test(start_paused = true)]
async fn each_lasting_trouble_is_logged_once() {
    let daemon = Daemon::start().await;
    daemon.running("a").await;
    // The harmless one: a list mends it.
    daemon.cluster.cut_watches();
    sleep(Duration::from_secs(5)).await;
    let lines = |words| daemon.logged(words).lines().count();
    assert_eq!(
        lines("the watch of Pods failed: ServerError (the connection broke"),
        1,
        "{}",
        daemon.logged("")
    );
    for (refusal, words) in
        [(Refusal::EtcdTimeout, "etcdserver: request timed out"), (Refusal::Forbidden, "is forbidden")]
    {
        daemon.cluster.clear_faults();
        daemon.cluster.fault(Rule::new(Effect::Refuse(refusal)).verb(Verb::List).resource("pods"));
        daemon.cluster.cut_watches();
        sleep(Duration::from_secs(300)).await;
        assert_eq!(daemon.get("a").await.status, 503);
        let told = daemon.logged("the watch is failing");
        assert_eq!(told.lines().filter(|line| line.contains(words)).count(), 1, "{told}");
        assert_eq!(lines("cluster state is stale: requests"), 1, "{}", daemon.logged("WARN"));
    }
    daemon.cluster.clear_faults();
    recovered("it is answered again", async || daemon.get("a").await.status == 200).await;
    sleep(Duration::from_secs(2)).await;
    for words in ["cluster state is fresh again", "cluster state is stale: requests"] {
        assert_eq!(lines(words), 1, "{words}: {}", daemon.logged(""));
    }
}
