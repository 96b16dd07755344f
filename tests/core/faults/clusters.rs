//! Several clusters, of which some are full, away or drained.

use std::time::Duration;

use http::Method;
use lifecycle::{
    ids::{ClusterName, SandboxId},
    placement::order::sort,
};
use serde_json::{Value, json};
use simcluster::{Cluster, Options};
use testkit::{Daemon, NAMESPACE, Setup};
use tokio::time::sleep;

use super::recovered;

const NAMES: [&str; 3] = ["east", "north", "west"];

/// More than the staleness limit.
const STALE: Duration = Duration::from_secs(70);

/// More than the default of `cluster_loss_timeout`.
const LOST: Duration = Duration::from_secs(310);

/// Three clusters and a daemon on them.
struct Fleet {
    clusters: [Cluster; 3],
    daemon: Daemon,
}

impl Fleet {
    /// Starts the clusters, each with these lines in its table.
    async fn start(table: &str) -> Self {
        Self::with(table, "").await
    }

    /// Does the same as [`Fleet::start`], with these lines at the end of the settings file.
    async fn with(table: &str, file: &str) -> Self {
        let clusters = NAMES.map(|_| Cluster::start(Options::with_namespace(NAMESPACE)));
        let last = format!("{table}\n{file}");
        let tables = [table, table, &last];
        let tables = NAMES.into_iter().zip(tables).zip(&clusters);
        let tables = tables.map(|((name, table), cluster)| (name, table, cluster.clone()));
        let daemon = Setup::new(&[]).clusters(tables).start().await.ready().await;
        let fleet = Self { clusters, daemon };
        for name in NAMES {
            recovered("each cluster is listed", async || {
                fleet
                    .daemon
                    .fetch("/readyz?verbose")
                    .await
                    .text()
                    .contains(&format!("[+]{name}/watch-pods ok"))
            })
            .await;
        }
        fleet
    }

    fn cluster(&self, name: &str) -> &Cluster {
        &self.clusters[NAMES.iter().position(|one| *one == name).unwrap()]
    }

    /// Returns the names of the clusters that have a Pod and a Service of the sandbox.
    fn holders(&self, id: &str) -> Vec<&'static str> {
        let has = |cluster: &Cluster, resource: &str, name: &str| {
            let object = cluster.object(resource, NAMESPACE, name);
            object.is_some_and(|object| object["metadata"]["deletionTimestamp"].is_null())
        };
        let both = |cluster: &Cluster| {
            has(cluster, "pods", &format!("sandbox-{id}"))
                && has(cluster, "services", &format!("sandbox-{id}-svc"))
        };
        NAMES
            .into_iter()
            .zip(&self.clusters)
            .filter(|(_, cluster)| both(cluster))
            .map(|(name, _)| name)
            .collect()
    }

    /// Sets how many of a resource the cluster allows.
    fn limit(&self, name: &str, resource: &str, most: u32) {
        let quota = json!({
            "metadata": {"name": "team", "namespace": NAMESPACE},
            "spec": {"hard": { resource: most.to_string() }},
        });
        self.cluster(name).put("resourcequotas", quota).unwrap();
    }

    /// Returns the cluster that a GET names.
    async fn shown(&self, id: &str) -> Value {
        self.daemon.get(id).await.body["cluster"].clone()
    }
}

/// Returns an id whose clusters are asked in this order.
fn id_for(order: [&str; 3]) -> String {
    let names = NAMES.map(|name| ClusterName::parse(name).unwrap());
    let is_so = |text: &String| {
        let mut sorted = names.clone();
        sort(&SandboxId::parse(text).unwrap(), &mut sorted, |name| (name, 100));
        sorted.iter().map(ClusterName::as_str).eq(order)
    };
    (0..1000).map(|number| format!("s{number}")).find(is_so).unwrap()
}

/// Guards that a sandbox goes to the next cluster when a quota refuses its Pod or its Service, that nothing is left on the
/// full one, and that the error has every refusal when all are full.
#[tokio::test(start_paused = true)]
async fn a_full_cluster_passes_sandboxes_on() {
    for resource in ["pods", "services"] {
        let fleet = Fleet::start("").await;
        let id = id_for(["west", "north", "east"]);
        fleet.limit("west", resource, 0);
        let answer = fleet.daemon.post(&id).await;
        assert_eq!((answer.status, &answer.body["cluster"]), (200, &json!("north")), "{answer}");
        assert_eq!(fleet.shown(&id).await, "north");
        recovered("nothing is left", async || {
            fleet.cluster("west").count("pods", Some(NAMESPACE)) == 0
                && fleet.cluster("west").count("services", Some(NAMESPACE)) == 0
        })
        .await;
        assert_eq!(fleet.holders(&id), ["north"]);

        fleet.limit("north", "pods", 0);
        fleet.limit("east", "pods", 0);
        fleet.limit("west", "pods", 0);
        let answer = fleet.daemon.post("z").await;
        assert_eq!((answer.status, &answer.body["reason"]), (503, &json!("NoCluster")), "{answer}");
        let detail = answer.body["detail"].as_str().unwrap();
        for name in NAMES {
            assert!(
                detail.contains(&format!("{name}: Pod creation failed for now: QuotaExceeded")),
                "{detail}"
            );
        }
        assert!(answer.header("retry-after").is_some(), "{answer}");
    }
}

/// Guards that a full cluster keeps no claim of a sandbox that another cluster takes, and that a sandbox whose claim stays there
/// does not get a second one.
#[tokio::test(start_paused = true)]
async fn a_workspace_is_on_one_cluster() {
    let profile = "[profiles.keep]\nworkspace = { size = '1Gi', scope = 'sandbox', when_deleted = 'keep' }\n";
    let fleet = Fleet::with("", profile).await;
    let claims = |name: &str| fleet.cluster(name).count("persistentvolumeclaims", Some(NAMESPACE));
    let post = async |id: &str| {
        let body = json!({"sandbox_id": id, "profile": "keep"});
        fleet.daemon.call(Method::POST, "/api/sandboxes", Some(body)).await
    };
    let id = id_for(["west", "north", "east"]);
    fleet.limit("west", "pods", 0);
    let answer = post(&id).await;
    assert_eq!((answer.status, &answer.body["cluster"]), (200, &json!("north")), "{answer}");
    assert_eq!([claims("west"), claims("north"), claims("east")], [0, 1, 0]);

    // The Pod was created there, and its claim with it.
    let id = id_for(["east", "north", "west"]);
    fleet.limit("east", "services", 0);
    let answer = post(&id).await;
    assert_eq!((answer.status, &answer.body["reason"]), (503, &json!("QuotaExceeded")), "{answer}");
    assert_eq!([claims("west"), claims("north"), claims("east")], [0, 1, 1]);
    assert!(fleet.cluster("east").remove("resourcequotas", NAMESPACE, "team").is_ok());
    assert_eq!(post(&id).await.body["cluster"], "east");
}

/// Guards what callers see of a cluster that is lost, that its sandbox is made again elsewhere after the time-out, and that
/// the older one is deleted when the cluster returns.
#[tokio::test(start_paused = true)]
async fn a_lost_cluster_is_replaced() {
    let fleet = Fleet::start("").await;
    let (lost, kept) = (id_for(["west", "east", "north"]), id_for(["north", "east", "west"]));
    assert_eq!(fleet.daemon.post(&lost).await.body["cluster"], "west");
    assert_eq!(fleet.daemon.post(&kept).await.body["cluster"], "north");
    let unused = json!({"sandbox_id": "unused", "cluster": "west"});
    assert_eq!(fleet.daemon.call(Method::POST, "/api/sandboxes", Some(unused)).await.body["cluster"], "west");
    fleet.cluster("west").set_away(true);
    sleep(STALE).await;
    let daemon = &fleet.daemon;
    for answer in [daemon.get(&lost).await, daemon.post(&lost).await, daemon.delete("unused").await] {
        assert_eq!(answer.status, 503, "{answer}");
        assert!(answer.to_string().contains("west"), "{answer}");
    }
    assert_eq!(fleet.shown(&kept).await, "north");
    let all = fleet.daemon.fetch("/api/sandboxes").await;
    assert_eq!((&all.body["count"], &all.body["incomplete"]), (&json!(1), &json!(["west"])), "{all}");
    for (selected, count, incomplete) in [
        ("north", 1, None),
        ("east,north", 1, None),
        ("west", 0, Some("west")),
        ("west,north", 1, Some("west")),
    ] {
        let page = fleet.daemon.fetch(&format!("/api/sandboxes?cluster={selected}")).await;
        assert_eq!((page.status, &page.body["count"]), (200, &json!(count)), "{selected}: {page}");
        assert_eq!(page.header("incomplete-clusters"), incomplete, "{selected}");
        assert_eq!(page.body.get("incomplete"), incomplete.map(|name| json!([name])).as_ref(), "{selected}");
    }
    let unknown = fleet.daemon.fetch("/api/sandboxes?cluster=south").await;
    assert_eq!(unknown.status, 422, "{unknown}");
    assert_eq!(unknown.body["detail"][0]["msg"], "Input should be 'east', 'north' or 'west'", "{unknown}");

    sleep(LOST).await;
    let answer = fleet.daemon.post(&lost).await;
    assert_eq!((answer.status, &answer.body["cluster"]), (200, &json!("east")), "{answer}");
    let pod = fleet.cluster("east").object("pods", NAMESPACE, &format!("sandbox-{lost}")).unwrap();
    assert_eq!(pod["metadata"]["annotations"]["sandbox-provisioner/replacement"], "lost");
    assert_eq!(fleet.holders(&lost), ["east", "west"]);

    fleet.cluster("west").set_away(false);
    recovered("the older one is deleted", async || fleet.holders(&lost) == ["east"]).await;
    recovered("the delete is completed", async || fleet.holders("unused").is_empty()).await;
    assert_eq!(fleet.shown(&lost).await, "east");
    assert_eq!(fleet.holders(&kept), ["north"]);
}

/// Guards that a restarted daemon makes no sandbox again that a cluster which is away may have.
#[tokio::test(start_paused = true)]
async fn a_restart_forgets_no_lost_sandbox() {
    let mut fleet = Fleet::start("").await;
    let id = id_for(["west", "east", "north"]);
    fleet.daemon.post(&id).await;
    fleet.cluster("west").set_away(true);
    fleet.daemon.restart().await;
    sleep(Duration::from_secs(10)).await;
    for answer in [fleet.daemon.post(&id).await, fleet.daemon.get(&id).await, fleet.daemon.get("other").await]
    {
        assert_eq!(answer.status, 503, "{answer}");
        assert!(answer.to_string().contains("'west' is away"), "{answer}");
    }
    fleet.cluster("west").set_away(false);
    recovered("it is found again", async || fleet.shown(&id).await == "west").await;
    assert_eq!(fleet.holders(&id), ["west"]);
}

/// Guards a drain and a move with real Pods: the drained cluster keeps its sandbox, the sandbox is made elsewhere with the
/// same request, and the old one is deleted once the new one is ready.
#[tokio::test(start_paused = true)]
async fn a_drained_cluster_is_emptied() {
    let fleet = Fleet::start("shares_data = true").await;
    let id = id_for(["west", "east", "north"]);
    let body = json!({"sandbox_id": id, "thread_id": "t-1", "user_id": "alice", "max_shell_sessions": 3, "ttl": "2h"});
    let made = fleet.daemon.call(Method::POST, "/api/sandboxes", Some(body)).await;
    assert_eq!(made.body["cluster"], "west", "{made}");
    let drained = fleet.daemon.call(Method::PATCH, "/api/clusters/west", Some(json!({"drain": true}))).await;
    assert_eq!(drained.status, 200, "{drained}");
    assert_eq!(fleet.daemon.post(&id).await.body["cluster"], "west");
    let path = format!("/api/sandboxes/{id}/move");
    let moved = fleet.daemon.call(Method::POST, &path, Some(json!({"cluster": "north"}))).await;
    assert!([200, 202].contains(&moved.status), "{moved}");
    recovered("it is moved", async || fleet.holders(&id) == ["north"] && fleet.shown(&id).await == "north")
        .await;
    let pod = fleet.cluster("north").object("pods", NAMESPACE, &format!("sandbox-{id}")).unwrap();
    let annotations = &pod["metadata"]["annotations"];
    for (key, value) in [("thread-id", "t-1"), ("user-id", "alice"), ("ttl", "2h"), ("replacement", "move")] {
        assert_eq!(annotations[format!("sandbox-provisioner/{key}")], value, "{annotations}");
    }
    let now = fleet.daemon.get(&id).await;
    assert_eq!(now.body["max_shell_sessions"], 3, "{now}");
    assert_ne!(now.body["sandbox_url"], made.body["sandbox_url"]);
    let again = fleet.daemon.call(Method::POST, &path, Some(json!({"cluster": "west"}))).await;
    assert_eq!(again.status, 503, "{again}");
}

/// Guards that a move keeps a resize, and that the time to live goes on.
#[tokio::test(start_paused = true)]
async fn a_move_keeps_what_was_changed() {
    let profile = "
        [profiles.default]
        cpu = '1'
        memory = '1Gi'
        [profiles.default.overrides]
        cpu = { max = '4' }";
    let fleet = Fleet::with("shares_data = true", profile).await;
    let id = id_for(["west", "east", "north"]);
    let body = json!({"sandbox_id": id, "ttl": "2h", "idle_timeout": "3h"});
    let made = fleet.daemon.call(Method::POST, "/api/sandboxes", Some(body)).await;
    assert_eq!(
        (&made.body["cluster"], &made.body["resources"]["cpu"]),
        (&json!("west"), &json!("1")),
        "{made}"
    );
    let path = format!("/api/sandboxes/{id}");
    let change = json!({"resources": {"cpu": "2"}, "ttl": "1h"});
    let changed = fleet.daemon.call(Method::PATCH, &path, Some(change)).await;
    assert_eq!((changed.status, &changed.body["resources"]["cpu"]), (200, &json!("2")), "{changed}");
    sleep(Duration::from_secs(600)).await;
    let old = fleet.daemon.get(&id).await.body;
    fleet.daemon.call(Method::POST, &format!("{path}/move"), Some(json!({"cluster": "north"}))).await;
    recovered("it is moved", async || fleet.holders(&id) == ["north"] && fleet.shown(&id).await == "north")
        .await;
    let new = fleet.daemon.get(&id).await.body;
    assert_eq!(new["resources"], old["resources"], "{new}");
    assert_ne!(new["created_at"], old["created_at"]);
    let time = |sandbox: &Value| sandbox["expires_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let late = time(&new).duration_since(time(&old)).as_millis();
    assert!((-1000..=1000).contains(&late), "{late} ms: {old} {new}");
    let pod = fleet.cluster("north").object("pods", NAMESPACE, &format!("sandbox-{id}")).unwrap();
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(annotations["sandbox-provisioner/first-created"], old["created_at"], "{annotations}");
}

/// Guards that the Pods of a single cluster have neither annotation of several clusters, and that a sandbox whose data is on
/// a node does not move.
#[tokio::test(start_paused = true)]
async fn data_does_not_move() {
    let fleet = Fleet::start("").await;
    let id = id_for(["west", "east", "north"]);
    fleet.daemon.post(&id).await;
    let path = format!("/api/sandboxes/{id}/move");
    let refused = fleet.daemon.call(Method::POST, &path, Some(json!({"cluster": "north"}))).await;
    assert_eq!((refused.status, &refused.body["reason"]), (409, &json!("MoveRefused")), "{refused}");
    assert!(refused.to_string().contains("shares_data"), "{refused}");

    let alone = Daemon::start().await.ready().await;
    alone.post("a").await;
    let pod = alone.cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    for key in ["request", "replacement", "first-created"] {
        assert!(pod["metadata"]["annotations"][format!("sandbox-provisioner/{key}")].is_null(), "{pod}");
    }
}
