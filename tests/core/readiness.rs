//! When a sandbox is ready, and requests that wait for that.

use std::time::Duration;

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use simcluster::{Behaviour, Cluster, NodeOptions, Options};
use testkit::{Answer, Client, Daemon, NAMESPACE, Setup};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// How late the answer to a wait may be.
const AT_ONCE: Duration = Duration::from_millis(100);

/// How much longer than a sandbox needs to be ready a test waits.
const SOON: Duration = Duration::from_secs(30);

/// Starts a daemon whose sandboxes behave so.
async fn daemon(behaviour: &str) -> Daemon {
    with(behaviour, &[]).await
}

async fn with(behaviour: &str, variables: &[(&str, &str)]) -> Daemon {
    let behaviour: Behaviour = behaviour.parse().unwrap();
    let node = Some(NodeOptions { behaviour, ..NodeOptions::default() });
    let cluster = Cluster::start(Options { node, ..Options::with_namespace(NAMESPACE) });
    Setup::new(variables).cluster(cluster).start().await.ready().await
}

async fn create(client: &Client, id: &str, query: &str) -> Answer {
    let path = format!("/api/sandboxes?{query}");
    client.call(Method::POST, &path, Some(json!({ "sandbox_id": id }))).await
}

/// Starts a GET in a task of its own, and lets it begin to wait.
async fn get(daemon: &Daemon, id: &str, query: &str) -> JoinHandle<Answer> {
    let (client, path) = (daemon.client(), format!("/api/sandboxes/{id}?{query}"));
    let task = tokio::spawn(async move { client.fetch(&path).await });
    sleep(Duration::from_millis(1)).await;
    task
}

fn state(answer: &Answer) -> (u16, &str, &Value) {
    (answer.status, answer.body["status"].as_str().unwrap_or_default(), &answer.body["ready"])
}

/// The addresses to which the sandbox's Service sends, which is when its URL works.
fn endpoints(cluster: &Cluster, id: &str) -> usize {
    let found = cluster.object("endpoints", NAMESPACE, &format!("sandbox-{id}-svc")).unwrap_or_default();
    found["subsets"][0]["addresses"].as_array().map_or(0, Vec::len)
}

/// Waits until the URL works. Returns when that was.
async fn works(cluster: &Cluster, id: &str) -> Instant {
    let found = |_: &[Value]| endpoints(cluster, id) == 1;
    cluster.wait_for("endpoints", Some(NAMESPACE), SOON, found).await.unwrap();
    Instant::now()
}

/// Guards the default probes: the URL of an image that boots at once works within 1.2 s of the POST, and of one that
/// needs 3 s within a second of its boot; the answers of all routes then say so. DeerFlow's probes need 5 s.
#[tokio::test(start_paused = true)]
async fn a_url_works_within_a_second_of_the_boot() {
    for (behaviour, probes, from, to) in
        [("normal", "fast", 0, 1200), ("boot=3s", "fast", 3000, 4200), ("normal", "deerflow", 5000, 6200)]
    {
        let daemon = with(behaviour, &[("SANDBOX_PROBES", probes)]).await;
        let posted = Instant::now();
        assert_eq!(state(&daemon.post("a").await), (200, "Pending", &json!(false)));
        let took = works(&daemon.cluster, "a").await - posted;
        let (from, to) = (Duration::from_millis(from), Duration::from_millis(to));
        assert!(from <= took && took <= to, "{behaviour} {probes}: {took:?}");
        let ready = get(&daemon, "a", "").await.await.unwrap();
        assert_eq!(state(&ready), (200, "Running", &json!(true)));
        assert_eq!(daemon.post("a").await.body["ready"], true);
        assert_eq!(daemon.fetch("/api/sandboxes").await.body["sandboxes"][0]["ready"], true);
        let touched = daemon.call(Method::POST, "/api/sandboxes/a/touch", None).await;
        assert_eq!(state(&touched), (200, "Running", &json!(true)));
        let patch = Some(json!({"ttl": "1h"}));
        assert_eq!(daemon.call(Method::PATCH, "/api/sandboxes/a", patch).await.body["ready"], true);
    }
}

/// Guards that an image that boots slowly lives, within its budget and no longer. DeerFlow's probes restart it.
#[tokio::test(start_paused = true)]
async fn a_slow_boot_survives_within_its_budget() {
    for (variables, restarts) in [
        (&[][..], 0),
        (&[("SANDBOX_BOOT_TIMEOUT", "2m")], 0),
        (&[("SANDBOX_BOOT_TIMEOUT", "40s")], 1),
        (&[("SANDBOX_PROBES", "deerflow")], 2),
    ] {
        let daemon = with("boot=100s", variables).await;
        daemon.post("a").await;
        sleep(Duration::from_secs(102)).await;
        let pod = daemon.cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
        assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], restarts, "{variables:?}");
        assert_eq!(daemon.get("a").await.body["ready"], restarts == 0, "{variables:?}");
    }
}

/// Guards that a waiting POST and a waiting GET are answered as soon as the sandbox is ready, without a call to the
/// cluster beyond those of the create.
#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_the_sandbox_is_ready() {
    let daemon = daemon("boot=8s").await;
    let client = daemon.client();
    let posted = tokio::spawn(async move { create(&client, "a", "wait=ready").await });
    sleep(Duration::from_secs(1)).await;
    let waiting = get(&daemon, "a", "wait=ready&timeout=20s").await;
    let worked = works(&daemon.cluster, "a").await;
    for answer in [posted.await.unwrap(), waiting.await.unwrap()] {
        assert_eq!(state(&answer), (200, "Running", &json!(true)), "{answer}");
        assert!(worked.elapsed() <= AT_ONCE, "{:?}", worked.elapsed());
    }
    assert_eq!(daemon.calls(), ["create pods sandbox-a", "create services sandbox-a-svc"]);
    let again = create(&daemon, "a", "wait=ready").await;
    assert_eq!((state(&again), again.took < AT_ONCE), ((200, "Running", &json!(true)), true));
}

/// Guards that a wait ends at once for a sandbox that will not be ready by itself.
#[tokio::test(start_paused = true)]
async fn a_wait_ends_for_a_permanent_failure() {
    for (behaviour, status, reason) in
        [("image-never-pull", "Pending", "ErrImageNeverPull"), ("evicted, after=0s", "Failed", "Evicted")]
    {
        let daemon = daemon(behaviour).await;
        let answer = create(&daemon, "a", "wait=ready").await;
        // An eviction follows readiness, which may end the wait first.
        let answer = if answer.body["ready"] == true {
            get(&daemon, "a", "wait=ready").await.await.unwrap()
        } else {
            answer
        };
        assert_eq!(state(&answer), (200, status, &json!(false)));
        assert_eq!(answer.body["reason"], reason);
        assert!(answer.took < Duration::from_secs(1), "{:?}", answer.took);
    }
    let daemon = daemon("creating").await;
    daemon.post("a").await;
    let waiting = get(&daemon, "a", "wait=ready").await;
    sleep(Duration::from_secs(2)).await;
    let invalid = json!([{"name": "sandbox", "state": {"waiting": {"reason": "InvalidImageName"}}}]);
    let change = |pod: &mut Value| pod["status"]["containerStatuses"] = invalid;
    daemon.cluster.change("pods", NAMESPACE, "sandbox-a", change).unwrap();
    let told = Instant::now();
    let answer = waiting.await.unwrap();
    assert_eq!(
        (state(&answer), &answer.body["reason"]),
        ((200, "Pending", &json!(false)), &json!("InvalidImageName"))
    );
    assert!(told.elapsed() <= AT_ONCE, "{:?}", told.elapsed());
}

/// Guards that a wait ends with a 200 when its time is up, that the time counts from the request, and that the longest
/// one is answered before any client gives up.
#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_its_time_is_up() {
    let daemon = daemon("never-ready").await;
    for (query, seconds) in [("wait=ready&timeout=3s", 3), ("wait=ready&timeout=25s", 25), ("wait=ready", 25)]
    {
        let start = Instant::now();
        let posted = create(&daemon, &format!("s{seconds}"), query).await;
        let got = get(&daemon, &format!("s{seconds}"), query).await.await.unwrap();
        for answer in [posted, got] {
            assert_eq!(state(&answer), (200, "Running", &json!(false)));
            assert_eq!(answer.took.as_secs(), seconds);
        }
        assert!(start.elapsed() < 2 * Duration::from_secs(seconds) + AT_ONCE);
    }
}

/// Guards that a wait for a sandbox that is deleted ends as a GET then would, and that one for a sandbox that does not
/// exist does not wait.
#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_the_sandbox_is_deleted() {
    let daemon = daemon("never-ready").await;
    let client = daemon.client();
    let posted = tokio::spawn(async move { create(&client, "a", "wait=ready").await });
    sleep(Duration::from_secs(1)).await;
    let waiting = get(&daemon, "a", "wait=ready").await;
    daemon.delete("a").await;
    let deleted = Instant::now();
    assert_eq!(waiting.await.unwrap().to_string(), daemon.get("a").await.to_string());
    assert_eq!(state(&posted.await.unwrap()), (200, "Terminating", &json!(false)));
    assert!(deleted.elapsed() <= AT_ONCE, "{:?}", deleted.elapsed());
    let missing = get(&daemon, "b", "wait=ready").await.await.unwrap();
    assert_eq!((missing.status, missing.took < AT_ONCE), (404, true));
}

/// Guards that waits end with the state reached when the daemon drains, and that later ones do not wait.
#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_the_daemon_drains() {
    let daemon = daemon("never-ready").await;
    daemon.post("a").await;
    sleep(Duration::from_secs(1)).await;
    let waiting = get(&daemon, "a", "wait=ready").await;
    daemon.fleet().end_waits();
    let drained = Instant::now();
    assert_eq!(state(&waiting.await.unwrap()), (200, "Running", &json!(false)));
    let later = get(&daemon, "a", "wait=ready").await.await.unwrap();
    assert_eq!(state(&later), (200, "Running", &json!(false)));
    assert!(drained.elapsed() <= AT_ONCE, "{:?}", drained.elapsed());
}

/// Guards that waits are limited in number, for one sandbox and in all, that a POST over the limit creates nothing, and
/// that other requests are not delayed.
#[tokio::test(start_paused = true)]
async fn waits_are_limited() {
    let daemon = daemon("never-ready").await;
    for n in 0..8 {
        assert_eq!(daemon.post(&format!("s{n}")).await.status, 200);
    }
    let mut waiting = Vec::new();
    for n in 0..512 {
        waiting.push(get(&daemon, &format!("s{}", n % 8), "wait=ready&timeout=20s").await);
    }
    let one = get(&daemon, "s0", "wait=ready").await.await.unwrap();
    assert_eq!(
        one.to_string(),
        "503 after 2 s | Busy | 64 requests for sandbox 's0' are waiting already; try again in 2 s"
    );
    let all = create(&daemon, "new", "wait=ready").await;
    assert_eq!(
        all.to_string(),
        "503 after 2 s | Busy | too many requests are being served; try again in 2 s"
    );
    assert_eq!(daemon.get("new").await.status, 404);
    for answer in [daemon.get("s0").await, daemon.post("s0").await, daemon.post("other").await] {
        assert_eq!((answer.status, answer.took < AT_ONCE), (200, true), "{answer}");
    }
    for answer in join_all(waiting).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    assert_eq!(get(&daemon, "s0", "wait=ready&timeout=1s").await.await.unwrap().status, 200);
}

/// Guards that a wait does not count as use.
#[tokio::test(start_paused = true)]
async fn a_wait_does_not_count_as_use() {
    let daemon = daemon("never-ready").await;
    let body = json!({"sandbox_id": "a", "idle_timeout": "1h"});
    daemon.call(Method::POST, "/api/sandboxes", Some(body)).await;
    sleep(Duration::from_secs(100)).await;
    let expiry = async || daemon.fetch("/api/sandboxes").await.body["sandboxes"][0]["expires_at"].clone();
    let before = expiry().await;
    let answer = get(&daemon, "a", "wait=ready&timeout=20s").await.await.unwrap();
    assert_eq!((&answer.body["expires_at"], expiry().await), (&before, before.clone()));
}

/// Guards that a wait that ends without a fresh state is a 503 for a GET; a POST has created its sandbox and says so.
#[tokio::test(start_paused = true)]
async fn a_wait_on_a_stale_state() {
    let daemon = with("never-ready", &[("PROVISIONER_STALENESS_LIMIT", "40s")]).await;
    daemon.post("a").await;
    sleep(Duration::from_secs(1)).await;
    daemon.cluster.away_for(Duration::from_secs(60));
    sleep(Duration::from_secs(20)).await;
    let waiting = get(&daemon, "a", "wait=ready").await.await.unwrap();
    assert_eq!((waiting.status, &waiting.body["reason"]), (503, &json!("Stale")), "{waiting}");
}
