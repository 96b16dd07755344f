//! The timelines of sandboxes: where the time of a start goes, and why a sandbox ended.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use simcluster::{Behaviour, Cluster, Effect, NodeOptions, Options, Refusal, Rule};
use testkit::{Daemon, NAMESPACE, Setup};
use tokio::time::sleep;

fn cluster(behaviour: &str) -> Cluster {
    let behaviour: Behaviour = behaviour.parse().unwrap();
    let node = Some(NodeOptions { behaviour, ..NodeOptions::default() });
    Cluster::start(Options { node, ..Options::with_namespace(NAMESPACE) })
}

async fn daemon(behaviour: &str) -> Daemon {
    Setup::new(&[]).cluster(cluster(behaviour)).start().await.ready().await
}

async fn timeline(daemon: &Daemon) -> Value {
    let answer = daemon.fetch("/api/sandboxes/a/timeline").await;
    assert_eq!(answer.status, 200, "{answer}");
    answer.body
}

/// Returns the names of all steps.
fn names(timeline: &Value) -> Vec<&str> {
    timeline["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect()
}

/// Returns the first step with this name.
fn step<'a>(timeline: &'a Value, name: &str) -> &'a Value {
    let found = timeline["steps"].as_array().unwrap().iter().find(|step| step["step"] == name);
    found.unwrap_or_else(|| panic!("{name}: {timeline}"))
}

/// Returns a duration of the report in milliseconds.
fn ms(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}

/// Guards that a start with a slow pull shows the pull as its slowest step, with the image, while it goes on and afterwards; that
/// all durations together are the time to readiness; and that a restarted daemon knows the same from Kubernetes' objects and
/// Events, in whole seconds.
#[tokio::test(start_paused = true)]
async fn a_slow_pull() {
    let mut daemon = daemon("pull=11s, boot=2s").await;
    daemon.post("a").await;
    sleep(Duration::from_secs(8)).await;
    let starting = timeline(&daemon).await;
    let image = &step(&starting, "pulling")["image"];
    let slowest = &starting["slowest"];
    assert_eq!(
        (&slowest["from"], &slowest["to"], &slowest["image"]),
        (&json!("pulling"), &Value::Null, image)
    );
    assert!((7000..8000).contains(&ms(&slowest["duration_ms"])), "{slowest}");
    assert_eq!(starting["ready_after_ms"], Value::Null);

    sleep(Duration::from_secs(60)).await;
    let pull = json!({"from": "pulling", "to": "pulled", "duration_ms": 11_000, "image": image});
    let ready = timeline(&daemon).await;
    let start = [
        "accepted",
        "creating",
        "pod_created",
        "service_created",
        "scheduled",
        "pulling",
        "pulled",
        "started",
    ];
    let names_of = |timeline: &Value| {
        names(timeline).into_iter().filter(|name| *name != "warning").map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names_of(&ready), [&start[..], &["ready"]].concat());
    assert_eq!(ready["slowest"], pull);
    let steps = ready["steps"].as_array().unwrap();
    let sum: u64 = steps.iter().filter(|s| s["step"] != "warning").map(|step| ms(&step["duration_ms"])).sum();
    assert_eq!(ms(&ready["ready_after_ms"]), sum);
    assert!((13_000..14_500).contains(&sum), "{sum}");

    daemon.restart().await;
    daemon.until_ready().await;
    sleep(Duration::from_secs(2)).await;
    let adopted = timeline(&daemon).await;
    let known = ["pod_created", "scheduled", "pulling", "pulled", "started", "ready"];
    assert_eq!(names(&adopted), known);
    assert_eq!(adopted["slowest"], pull);
    assert!(ms(&adopted["ready_after_ms"]).abs_diff(sum) <= 1000, "{adopted}");
    daemon.delete("a").await;
    sleep(Duration::from_secs(60)).await;
    let over = timeline(&daemon).await;
    assert_eq!(names(&over), [&known[..], &["deleting", "terminating", "gone"]].concat());
    assert_eq!(over["over"], true);
    assert_eq!(step(&over, "deleting")["reason"], "Requested");
    assert_eq!(daemon.get("a").await.status, 404);
}

/// Guards that without the right to watch Events the time of the pull shows between the scheduling and the start.
#[tokio::test(start_paused = true)]
async fn without_the_right_to_watch_events() {
    let cluster = cluster("pull=11s");
    cluster.fault(Rule::new(Effect::Refuse(Refusal::Forbidden)).resource("events"));
    let daemon = Setup::new(&[]).cluster(cluster).start().await.ready().await;
    daemon.post("a").await;
    sleep(Duration::from_secs(20)).await;
    let slowest = &timeline(&daemon).await["slowest"];
    assert_eq!((&slowest["from"], &slowest["to"]), (&json!("scheduled"), &json!("started")));
    assert!((11_000..12_000).contains(&ms(&slowest["duration_ms"])), "{slowest}");
}

/// Guards that a start that does not go on names its problem, with the hint of a GET.
#[tokio::test(start_paused = true)]
async fn a_start_that_does_not_go_on() {
    for (behaviour, from, reason, hint) in [
        ("mount-error", "scheduled", "FailedMount", "check DEER_FLOW_HOST_BASE_DIR"),
        ("unschedulable", "service_created", "Unschedulable", "no node has room or fits"),
        ("image-pull-error", "pulling", "ImagePullBackOff", "check SANDBOX_IMAGE"),
        ("never-ready", "started", "Unhealthy", "it is starting, or does not answer its probe"),
    ] {
        let daemon = daemon(behaviour).await;
        daemon.post("a").await;
        sleep(Duration::from_secs(60)).await;
        let timeline = timeline(&daemon).await;
        let slowest = &timeline["slowest"];
        assert_eq!(
            (&slowest["from"], &slowest["to"]),
            (&json!(from), &Value::Null),
            "{behaviour}: {timeline}"
        );
        assert!(ms(&slowest["duration_ms"]) > 55_000, "{behaviour}: {slowest}");
        assert_eq!(slowest["reason"], reason, "{behaviour}");
        assert!(slowest["hint"].as_str().unwrap().starts_with(hint), "{behaviour}: {slowest}");
        let got = daemon.get("a").await;
        assert_eq!(
            (&got.body["reason"], &got.body["hint"]),
            (&slowest["reason"], &slowest["hint"]),
            "{behaviour}"
        );
    }
}

/// Guards that an exit of the container shows, with how the container came back.
#[tokio::test(start_paused = true)]
async fn a_container_that_is_killed() {
    let daemon = daemon("oom, failures=1").await;
    daemon.post("a").await;
    sleep(Duration::from_secs(60)).await;
    let timeline = timeline(&daemon).await;
    assert_eq!(step(&timeline, "warning")["reason"], "OOMKilled");
    let names = names(&timeline);
    let after = names.iter().position(|name| *name == "not_ready").unwrap();
    assert_eq!(names[after - 1], "ready");
    assert_eq!(
        names[after..].iter().filter(|name| **name != "warning").collect::<Vec<_>>(),
        [&"not_ready", &"restarted", &"ready"]
    );
    assert_eq!(step(&timeline, "ready")["at"], timeline["steps"][after - 1]["at"]);
}

/// Guards that uses are one step, and that a sandbox that was reaped says why for an hour.
#[tokio::test(start_paused = true)]
async fn uses_and_a_reap() {
    let setup = Setup::new(&[("PROVISIONER_REAP_GRACE", "1s")]);
    let daemon = setup.cluster(cluster("normal")).start().await.ready().await;
    let body = json!({"sandbox_id": "a", "idle_timeout": "10m"});
    daemon.call(Method::POST, "/api/sandboxes", Some(body)).await;
    for _ in 0..20 {
        sleep(Duration::from_secs(60)).await;
        daemon.call(Method::POST, "/api/sandboxes/a/touch", None).await;
    }
    let used = timeline(&daemon).await;
    assert_eq!(names(&used).last(), Some(&"touched"));
    assert_eq!(step(&used, "touched")["count"], 20);
    // Its activity probe is not answered, so it counts as busy for ten minutes.
    sleep(Duration::from_secs(25 * 60)).await;
    assert_eq!(daemon.get("a").await.status, 404);
    let over = timeline(&daemon).await;
    let count = names(&over).len();
    assert_eq!(names(&over)[count - 4..], ["touched", "reaped", "terminating", "gone"]);
    assert_eq!(step(&over, "reaped")["reason"], "IdleTimeout");
    sleep(Duration::from_secs(60 * 60)).await;
    let forgotten = daemon.fetch("/api/sandboxes/a/timeline").await;
    assert_eq!(forgotten.to_string(), daemon.get("a").await.to_string());
    assert_eq!(forgotten.status, 404);
}

/// Guards that a sandbox that was created again shows its own timeline, and how long its POST has waited for the end of the
/// earlier one.
#[tokio::test(start_paused = true)]
async fn a_sandbox_that_is_created_again() {
    let daemon = daemon("terminate=8s").await;
    daemon.post("a").await;
    sleep(Duration::from_secs(10)).await;
    daemon.delete("a").await;
    let again = daemon.post("a").await;
    assert_eq!(again.status, 200, "{again}");
    sleep(Duration::from_secs(5)).await;
    let timeline = timeline(&daemon).await;
    assert_eq!(names(&timeline)[..4], ["accepted", "predecessor_gone", "creating", "pod_created"]);
    assert_eq!(timeline["slowest"]["to"], "predecessor_gone");
    assert!((7000..9000).contains(&ms(&timeline["slowest"]["duration_ms"])), "{timeline}");
    assert_eq!(timeline["over"], false);
}

/// Guards that a stale state is a 503, as for a GET, and that an outage leaves the times of Kubernetes.
#[tokio::test(start_paused = true)]
async fn an_outage_of_the_api_server() {
    let setup = Setup::new(&[("PROVISIONER_STALENESS_LIMIT", "40s")]);
    let daemon = setup.cluster(cluster("pull=20s")).start().await.ready().await;
    daemon.post("a").await;
    sleep(Duration::from_secs(2)).await;
    daemon.cluster.away_for(Duration::from_secs(80));
    sleep(Duration::from_secs(60)).await;
    let stale = daemon.fetch("/api/sandboxes/a/timeline").await;
    assert_eq!((stale.status, &stale.body["reason"]), (503, &json!("Stale")), "{stale}");
    sleep(Duration::from_secs(60)).await;
    let timeline = timeline(&daemon).await;
    assert_eq!(timeline["slowest"]["to"], "pulled");
    assert!((19_000..21_000).contains(&ms(&timeline["slowest"]["duration_ms"])), "{timeline}");
    assert!((19_000..22_000).contains(&ms(&timeline["ready_after_ms"])), "{timeline}");
}
