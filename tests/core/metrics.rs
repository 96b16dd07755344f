//! `/metrics` of the whole daemon.

#![expect(clippy::float_cmp, reason = "counts are exact")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use http::Method;
use serde_json::{Value, json};
use simcluster::{Cluster, Effect, Options, Refusal, Rule, Verb};
use testkit::{Daemon, NAMESPACE, Setup, until, within};

/// More than the interval at which quotas are read.
const MINUTES: Duration = Duration::from_secs(130);

/// The series of a scrape, by their name with labels.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    async fn of(daemon: &Daemon) -> Self {
        let answer = daemon.fetch("/metrics").await;
        assert_eq!(answer.status, 200, "{answer}");
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        Self(
            answer
                .text()
                .lines()
                .filter(|line| !line.starts_with('#'))
                .map(|line| {
                    let (name, value) = line.rsplit_once(' ').unwrap();
                    (of_one_cluster(name), value.parse().unwrap())
                })
                .collect(),
        )
    }

    #[track_caller]
    fn get(&self, name: &str) -> f64 {
        let ours = format!("sandbox_provisioner_{name}");
        let found = self.0.get(&ours).or_else(|| self.0.get(name));
        *found.unwrap_or_else(|| panic!("there is no {name} in {:#?}", self.0.keys()))
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(&format!("sandbox_provisioner_{name}"))
    }

    /// Returns the names without labels and without the suffixes of histograms.
    fn names(&self) -> BTreeSet<String> {
        let bare = |series: &String| {
            let name = series.split('{').next().unwrap_or(series);
            let parts = ["_bucket", "_count", "_sum"];
            parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name).to_owned()
        };
        self.0.keys().map(bare).collect()
    }
}

/// Returns the series without the label that it has for the only cluster.
fn of_one_cluster(series: &str) -> String {
    let label = "cluster=\"default\"";
    series
        .replace(&format!("{{{label}}}"), "")
        .replace(&format!("{label},"), "")
        .replace(&format!(",{label}"), "")
}

/// Guards what is counted in the life of a few sandboxes.
#[tokio::test(start_paused = true)]
async fn lives_are_counted() {
    let daemon = Setup::new(&[]).start().await.ready().await;
    let before = Scrape::of(&daemon).await;
    assert_eq!(before.get("reaps_total{reason=\"TTLExpired\"}"), 0.0, "a counter exists from the start");
    assert_eq!((before.get("view_fresh"), before.get("actors")), (1.0, 0.0));

    daemon.running("a").await;
    daemon.running("b").await;
    let body = json!({"sandbox_id": "c", "ttl": "1m"});
    daemon.call(Method::POST, "/api/sandboxes", Some(body)).await;
    daemon.call(Method::POST, "/api/sandboxes", Some(json!({"sandbox_id": "C"}))).await;
    daemon.get("nobody").await;
    until("all are ready", async || Scrape::of(&daemon).await.get("sandboxes_ready") == 3.0).await;
    let full = Scrape::of(&daemon).await;
    assert_eq!(full.get("sandboxes{status=\"Running\",profile=\"\"}"), 3.0);
    assert_eq!((full.get("services"), full.get("orphans"), full.get("actors")), (3.0, 0.0, 3.0));
    assert_eq!(full.get("create_ready_duration_seconds_count"), 3.0);
    for stage in ["accepted", "created", "scheduled", "pulled", "started", "ready"] {
        let count = full.get(&format!("create_stage_duration_seconds_count{{stage=\"{stage}\"}}"));
        assert_eq!(count, 3.0, "{stage}");
    }
    let posts = "http_requests_total{route=\"/api/sandboxes\",method=\"POST\",code=\"200\"}";
    assert_eq!(full.get(posts), 3.0);
    assert_eq!(full.get("http_requests_total{route=\"/api/sandboxes\",method=\"POST\",code=\"422\"}"), 1.0);
    assert_eq!(full.get("create_failures_total{reason=\"InvalidRequest\"}"), 1.0);
    assert_eq!(
        full.get("http_requests_total{route=\"/api/sandboxes/{id}\",method=\"GET\",code=\"404\"}"),
        1.0
    );
    let creates = "rest_client_requests_total{code=\"201\",method=\"POST\",host=\"embedded\"}";
    assert_eq!(full.get(creates) - before.get(creates), 6.0);
    assert_eq!((full.get("calls_in_flight"), full.get("calls_queued")), (0.0, 0.0));

    daemon.delete("a").await;
    tokio::time::sleep(Duration::from_secs(65)).await;
    until("c is reaped", async || daemon.get("c").await.status == 404).await;
    until("the actors have ended", async || Scrape::of(&daemon).await.get("actors") == 1.0).await;
    let after = Scrape::of(&daemon).await;
    assert_eq!(after.get("deletes_total{reason=\"Requested\"}"), 1.0);
    assert_eq!(after.get("reaps_total{reason=\"TTLExpired\"}"), 1.0);
    assert_eq!(after.get("reap_lateness_seconds_count"), 1.0);
    assert!(after.get("reap_lateness_seconds_sum") < 2.0, "a reap is in time");
    assert_eq!(after.get("sandboxes{status=\"Running\",profile=\"\"}"), 1.0);
}

/// Guards that the lateness of a reap counts from the expiry that callers were shown.
#[tokio::test(start_paused = true)]
async fn a_late_reap_is_counted_as_late() {
    let daemon = Daemon::start().await;
    let body = json!({"sandbox_id": "a", "ttl": "1m"});
    daemon.call(Method::POST, "/api/sandboxes", Some(body)).await;
    daemon.cluster.set_away(true);
    tokio::time::sleep(Duration::from_secs(180)).await;
    daemon.cluster.set_away(false);
    until("a is reaped", async || daemon.get("a").await.status == 404).await;
    let late = Scrape::of(&daemon).await.get("reap_lateness_seconds_sum");
    assert!((115.0..200.0).contains(&late), "{late} s");
}

/// Guards that an API server's errors are counted by code, and the failures of the watch by cause.
#[tokio::test(start_paused = true)]
async fn faults_are_counted() {
    let daemon = Daemon::start().await;
    daemon.cluster.fault(Rule::new(Effect::Refuse(Refusal::EtcdTimeout)).verb(Verb::Create).times(1));
    daemon.post("a").await;
    daemon.cluster.set_away(true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    until("the view is stale", async || Scrape::of(&daemon).await.get("view_fresh") == 0.0).await;
    daemon.post("b").await;
    let scrape = Scrape::of(&daemon).await;
    assert!(scrape.get("rest_client_requests_total{code=\"500\",method=\"POST\",host=\"embedded\"}") >= 1.0);
    assert!(
        scrape.get("rest_client_requests_total{code=\"<error>\",method=\"GET\",host=\"embedded\"}") >= 1.0
    );
    assert!(scrape.get("watch_failures_total{kind=\"Pod\",cause=\"Unreachable\"}") >= 1.0);
    assert!(scrape.get("view_age_seconds{kind=\"Pod\"}") > 60.0);
    assert_eq!(scrape.get("create_failures_total{reason=\"Unreachable\"}"), 1.0);
}

/// Guards that the number of series does not depend on the number of sandboxes, that no id is a label, and that a scrape
/// makes no call to the cluster.
#[tokio::test(start_paused = true)]
async fn many_sandboxes_add_no_series() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let daemon = Daemon::on(cluster.clone()).await.ready().await;
    daemon.running("planted-0").await;
    // The first scrape and the first POST have series of their own.
    daemon.post("planted-0").await;
    Scrape::of(&daemon).await;
    let few = Scrape::of(&daemon).await.0.len();
    for n in 1..100 {
        daemon.post(&format!("planted-{n}")).await;
    }
    until("all run", async || Scrape::of(&daemon).await.get("sandboxes_ready") == 100.0).await;
    let mark = cluster.mark();
    let many = Scrape::of(&daemon).await;
    assert_eq!(cluster.calls_since(mark).len(), 0);
    assert_eq!(many.0.len(), few);
    assert!(many.0.len() < 600, "{}", many.0.len());
    assert!(many.0.keys().all(|series| !series.contains("planted")));
}

/// Guards that messages count while they wait behind a slow call of their sandbox, and no longer.
#[tokio::test(start_paused = true)]
async fn waiting_messages_are_counted() {
    let daemon = Daemon::start().await;
    daemon.running("a").await;
    daemon.cluster.fault(Rule::new(Effect::Delay(Duration::from_secs(3))).verb(Verb::Delete));
    let depths = async || {
        let scrape = Scrape::of(&daemon).await;
        (scrape.get("supervisor_mailbox_depth"), scrape.get("actor_mailbox_depth"))
    };
    let touch = "/api/sandboxes/a/touch";
    let touch = async || daemon.call(Method::POST, touch, None).await.status;
    let requests = async { futures::join!(daemon.delete("a"), touch(), touch()) };
    let during = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        depths().await
    };
    let ((deleted, ..), during) = futures::join!(requests, during);
    assert_eq!(deleted.status, 200, "{deleted}");
    assert_eq!(during, (0.0, 2.0), "the DELETE is executed, and the touches wait");
    until("all are handled", async || depths().await == (0.0, 0.0)).await;
}

/// Guards that a quota of the namespace is shown with what is used of it, and not any more once it is gone.
#[tokio::test(start_paused = true)]
async fn quotas_are_shown() {
    let daemon = Daemon::start().await;
    daemon.cluster.put("resourcequotas", quota()).unwrap();
    daemon.running("a").await;
    let pods = |kind| format!("quota_{kind}{{quota=\"team\",resource=\"pods\"}}");
    within(MINUTES, "the quota is shown", async || {
        let scrape = Scrape::of(&daemon).await;
        scrape.has(&pods("used")) && scrape.get(&pods("used")) == 1.0
    })
    .await;
    let scrape = Scrape::of(&daemon).await;
    assert_eq!(scrape.get(&pods("hard")), 5.0);
    assert_eq!(scrape.get("quota_hard{quota=\"team\",resource=\"requests.cpu\"}"), 10.0);
    daemon.cluster.remove("resourcequotas", NAMESPACE, "team").unwrap();
    within(MINUTES, "the quota is gone", async || !Scrape::of(&daemon).await.has(&pods("used"))).await;
}

fn quota() -> Value {
    let hard = json!({"pods": "5", "requests.cpu": "10"});
    json!({"metadata": {"name": "team", "namespace": NAMESPACE}, "spec": {"hard": hard}})
}

/// Guards the format of `OpenMetrics`, for a scraper that asks for it.
#[tokio::test(start_paused = true)]
async fn a_scraper_chooses_the_format() {
    let daemon = Daemon::start().await;
    let accept = [("accept", "application/openmetrics-text; version=1.0.0, text/plain;q=0.5")];
    let answer = daemon.call_with(Method::GET, "/metrics", &accept, None).await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(text.contains("# UNIT sandbox_provisioner_view_age_seconds seconds\n"), "{text}");
    let refused = daemon.call(Method::POST, "/metrics", None).await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
}

/// Guards who may read the metrics: everyone by default, and with the setting only a caller with the API key.
#[tokio::test(start_paused = true)]
async fn the_metrics_can_need_the_key() {
    let key = ("PROVISIONER_API_KEY", "a-key");
    let open = Setup::new(&[key]).start().await;
    let without_key = open.client().with_key(None);
    assert_eq!(without_key.fetch("/metrics").await.status, 200);
    let closed = Setup::new(&[key, ("PROVISIONER_METRICS_AUTH", "key")]).start().await;
    assert_eq!(closed.client().with_key(None).fetch("/metrics").await.status, 401);
    assert_eq!(closed.client().with_key(Some("a-key")).fetch("/metrics").await.status, 200);
}

/// Guards that docs/metrics.md describes every metric, and no other.
#[tokio::test(start_paused = true)]
async fn every_metric_is_documented() {
    let daemon = Setup::new(&[]).start().await.ready().await;
    daemon.cluster.fault(Rule::new(Effect::Refuse(Refusal::EtcdTimeout)).verb(Verb::Watch).times(1));
    daemon.cluster.cut_watches();
    daemon.cluster.put("resourcequotas", quota()).unwrap();
    daemon.running("a").await;
    daemon.post("B").await;
    daemon.cluster.set_behaviour("unschedulable".parse().unwrap());
    daemon.post("c").await;
    let page = include_str!("../../docs/metrics.md");
    let documented: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        // A connection without credentials has no such metrics; tests of the listening daemon guard them.
        .filter(|name| !name.starts_with("PROVISIONER_") && !name.contains("_credential_"))
        .map(str::to_owned)
        .collect();
    let mut served = Scrape::of(&daemon).await.names();
    let unschedulable = "sandboxes_not_ready{reason=\"Unschedulable\"}";
    within(MINUTES, "the watch has failed, a sandbox has no node, and the quota is shown", async || {
        let scrape = Scrape::of(&daemon).await;
        served = scrape.names();
        served.contains("sandbox_provisioner_watch_failures_total")
            && served.contains("sandbox_provisioner_quota_used")
            && scrape.has(unschedulable)
    })
    .await;
    assert_eq!(documented, served);
}
