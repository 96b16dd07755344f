//! Creating sandboxes with a workspace: the claim is created before the Pod, or found again.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use simcluster::{Effect, Refusal, Rule, Verb};
use testkit::{NAMESPACE, until};

use super::{claim, claim_calls, claims, cluster, create, delete, profile, with};

/// The message of an API server for a claim that exceeds a quota.
const QUOTA: &str = "persistentvolumeclaims \"workspace-0\" is forbidden: exceeded quota: storage, requested: \
                     requests.storage=10Gi, used: requests.storage=95Gi, limited: requests.storage=100Gi";

/// Makes a claim terminating for as long as it exists.
fn terminate(claim: &mut Value) {
    claim["metadata"]["finalizers"] = json!(["example.com/backup"]);
    claim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
}

/// Guards that a create makes the claim before the Pod with one call, that the Pod mounts it, and that the answers show
/// it.
#[tokio::test(start_paused = true)]
async fn a_sandbox_gets_its_workspace() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("mount_path = '/data'")).await;
    let made = create(&daemon, "a", "u", json!({"size": "20Gi", "when_deleted": "delete"})).await;
    assert_eq!(made.status, 200, "{made}");
    let claim = claim(&cluster);
    let id = claim["metadata"]["labels"]["sandbox-provisioner/workspace"].as_str().unwrap();
    assert_eq!(claim["metadata"]["name"], format!("workspace-{id}"));
    assert_eq!(claim["metadata"]["annotations"]["sandbox-provisioner/sandbox-id"], "a");
    assert_eq!(claim["metadata"]["annotations"]["sandbox-provisioner/when-deleted"], "delete");
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "20Gi");
    let shown = json!({"id": id, "size": "20Gi", "when_deleted": "delete"});
    assert_eq!(made.body["workspace"], shown);
    assert_eq!(daemon.get("a").await.body["workspace"], shown);
    let list = daemon.fetch("/api/sandboxes").await;
    assert_eq!(list.body["sandboxes"][0]["workspace"], shown);
    let pod = cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().any(|mount| mount["mountPath"] == "/data"), "{mounts:?}");
    assert_eq!(claim_calls(&cluster), ["create"]);
    until("it runs", async || daemon.get("a").await.body["status"] == "Running").await;
    let profiles = daemon.fetch("/api/profiles").await;
    let listed = json!({"size": "10Gi", "mount_path": "/data", "scope": "sandbox", "when_deleted": "keep", "keep_for": "7days"});
    assert_eq!(profiles.body["profiles"][0]["workspace"], listed);
}

/// Guards that a workspace takes the place of the thread's user data, with the sub-path that DeerFlow uses, and that the
/// next sandbox of the thread has the same one.
#[tokio::test(start_paused = true)]
async fn a_workspace_can_be_the_user_data() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("scope = 'thread', user_data = true")).await;
    for id in ["a", "b"] {
        let made = create(&daemon, id, "u", Value::Null).await;
        assert_eq!(made.status, 200, "{made}");
        let pod = cluster.object("pods", NAMESPACE, &format!("sandbox-{id}")).unwrap();
        let items = |list: &Value| list.as_array().unwrap().clone();
        let mount = items(&pod["spec"]["containers"][0]["volumeMounts"])
            .into_iter()
            .find(|mount| mount["mountPath"] == "/mnt/user-data")
            .unwrap();
        assert_eq!(mount["subPath"], "deer-flow/users/u/threads/t/user-data", "{mount}");
        let volume = items(&pod["spec"]["volumes"])
            .into_iter()
            .find(|volume| volume["name"] == mount["name"])
            .unwrap();
        let name = claim(&cluster)["metadata"]["name"].clone();
        assert_eq!(volume["persistentVolumeClaim"]["claimName"], name);
        let is_path = |volume: &Value| volume["hostPath"]["path"].to_string().contains("threads");
        assert!(!items(&pod["spec"]["volumes"]).iter().any(is_path), "{pod}");
        until("it runs", async || daemon.get(id).await.body["ready"] == true).await;
    }
}

/// Guards that a new workspace is made of the snapshot of its profile, and that an existing one keeps its data.
#[tokio::test(start_paused = true)]
async fn a_workspace_can_be_made_of_a_snapshot() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("scope = 'thread', source_snapshot = 'golden'")).await;
    create(&daemon, "a", "u", Value::Null).await;
    let source = json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "golden"});
    let made = claim(&cluster);
    assert_eq!(made["spec"]["dataSource"], source);
    delete(&daemon, "a").await;
    let again = create(&daemon, "b", "u", Value::Null).await;
    assert_eq!(again.status, 200, "{again}");
    assert_eq!(claim(&cluster)["metadata"]["uid"], made["metadata"]["uid"]);
}

/// Guards that without a workspace no call about claims is made.
#[tokio::test(start_paused = true)]
async fn without_a_workspace_there_is_no_claim() {
    let cluster = cluster();
    let daemon = with(&cluster, "[profiles.p]\ncpu = 1\n").await;
    let made = create(&daemon, "a", "u", Value::Null).await;
    assert_eq!((made.status, made.body.get("workspace")), (200, None));
    let all = cluster.calls().into_iter().filter(|call| call.resource == "persistentvolumeclaims");
    assert_eq!(all.count(), 0);
}

/// Guards that the next sandbox of a thread gets the same claim, with a PATCH that a concurrent delete would notice, and
/// that another user's thread of the same name does not.
#[tokio::test(start_paused = true)]
async fn a_thread_finds_its_workspace_again() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("scope = 'thread'")).await;
    create(&daemon, "a", "u", Value::Null).await;
    let first = claim(&cluster);
    delete(&daemon, "a").await;
    let again = create(&daemon, "b", "u", json!({"when_deleted": "delete"})).await;
    assert_eq!(again.status, 200, "{again}");
    let second = claim(&cluster);
    assert_eq!(first["metadata"]["uid"], second["metadata"]["uid"]);
    assert_ne!(first["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]);
    assert!(second["metadata"]["annotations"]["sandbox-provisioner/last-used"].is_string());
    assert_eq!(second["metadata"]["annotations"]["sandbox-provisioner/when-deleted"], "delete");
    let other = create(&daemon, "c", "v", Value::Null).await;
    assert_eq!(other.status, 200, "{other}");
    assert_eq!(claims(&cluster).len(), 2);
    assert_ne!(other.body["workspace"]["id"], again.body["workspace"]["id"]);
}

/// Guards that a new sandbox never gets the data of an earlier one whose workspace was to go with it.
#[tokio::test(start_paused = true)]
async fn a_leftover_is_replaced() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("when_deleted = 'delete'")).await;
    // The claim of an earlier process that was killed before it could delete it.
    create(&daemon, "a", "u", Value::Null).await;
    let leftover = claim(&cluster);
    cluster.remove("pods", NAMESPACE, "sandbox-a").unwrap();
    cluster.remove("services", NAMESPACE, "sandbox-a-svc").unwrap();
    until("it is gone", async || daemon.get("a").await.status == 404).await;
    let again = create(&daemon, "a", "u", Value::Null).await;
    assert_eq!(again.status, 200, "{again}");
    assert_ne!(claim(&cluster)["metadata"]["uid"], leftover["metadata"]["uid"]);
}

/// Guards the reason and the status for each claim that cannot be used, that it is not touched, and that nothing of the
/// sandbox is left.
#[tokio::test(start_paused = true)]
async fn claims_that_cannot_be_used_have_their_reason() {
    for (change, body, status, reason, words) in [
        (
            (|claim: &mut Value| claim["metadata"]["labels"] = json!({"app": "other"})) as fn(&mut Value),
            json!({}),
            409,
            "WorkspaceNotOurs",
            "is not managed by this service",
        ),
        (
            |claim| claim["metadata"]["annotations"]["sandbox-provisioner/user-id"] = "v".into(),
            json!({}),
            409,
            "WorkspaceNotOurs",
            "is not managed by this service",
        ),
        (|_| (), json!({"size": "50Gi"}), 409, "WorkspaceMismatch", "has 10Gi, and 50Gi is asked for"),
        (
            |claim| claim["spec"]["storageClassName"] = "slow".into(),
            json!({}),
            409,
            "WorkspaceMismatch",
            "has the storage class \"slow\", and \"fast\" is asked for",
        ),
        (
            |claim| claim["spec"]["accessModes"] = json!(["ReadWriteMany"]),
            json!({}),
            409,
            "WorkspaceMismatch",
            "has the access mode ReadWriteMany, and ReadWriteOnce is asked for",
        ),
        (
            |claim| claim["status"]["phase"] = "Lost".into(),
            json!({}),
            409,
            "WorkspaceLost",
            "has lost its volume",
        ),
        (terminate, json!({}), 503, "WorkspaceTerminating", "is still being deleted"),
    ] {
        let cluster = cluster();
        let daemon = with(&cluster, &profile("scope = 'thread', storage_class = 'fast'")).await;
        create(&daemon, "a", "u", Value::Null).await;
        delete(&daemon, "a").await;
        let name = claim(&cluster)["metadata"]["name"].as_str().unwrap().to_owned();
        cluster.change("persistentvolumeclaims", NAMESPACE, &name, change).unwrap();
        let before = claim(&cluster);
        let refused = create(&daemon, "b", "u", body).await;
        assert_eq!((refused.status, &refused.body["reason"]), (status, &json!(reason)), "{refused}");
        assert!(refused.body["detail"].as_str().unwrap().contains(words), "{refused}");
        assert_eq!(claim(&cluster), before, "{reason}");
        until("nothing is left", async || daemon.objects().is_empty()).await;
    }
}

/// Guards that a create waits for a claim that is being deleted, within its deadline.
#[tokio::test(start_paused = true)]
async fn a_create_waits_for_the_end_of_a_claim() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("scope = 'thread'")).await;
    create(&daemon, "a", "u", Value::Null).await;
    delete(&daemon, "a").await;
    let old = claim(&cluster);
    let name = old["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.change("persistentvolumeclaims", NAMESPACE, &name, terminate).unwrap();
    let release = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        cluster.remove("persistentvolumeclaims", NAMESPACE, &name).unwrap();
    };
    let (made, ()) = futures::join!(create(&daemon, "b", "u", Value::Null), release);
    assert_eq!(made.status, 200, "{made}");
    assert_ne!(claim(&cluster)["metadata"]["uid"], old["metadata"]["uid"]);
}

/// Guards that a create whose claim is refused makes no Pod, names the cause with a hint, and leaves nothing.
#[tokio::test(start_paused = true)]
async fn refused_claims_have_their_reason() {
    for (refusal, status, reason, hint) in [
        (Refusal::Forbidden, 500, "Forbidden", Some("workspaces need rights on persistentvolumeclaims")),
        (
            Refusal::Other { code: 403, reason: "Forbidden".into(), message: QUOTA.to_owned() },
            503,
            "QuotaExceeded",
            Some("the quota on claims or on their storage is used up"),
        ),
        (Refusal::Unavailable, 503, "Unreachable", None),
    ] {
        let cluster = cluster();
        let daemon = with(&cluster, &profile("scope = 'thread'")).await;
        cluster
            .fault(Rule::new(Effect::Refuse(refusal)).verb(Verb::Create).resource("persistentvolumeclaims"));
        let refused = create(&daemon, "a", "u", Value::Null).await;
        assert_eq!((refused.status, &refused.body["reason"]), (status, &json!(reason)), "{refused}");
        let shown = refused.body["hint"].as_str().unwrap_or_default();
        assert!(hint.is_none_or(|hint| shown.contains(hint)), "{refused}");
        let pods =
            cluster.calls().into_iter().filter(|call| call.resource == "pods" && call.verb == Verb::Create);
        assert_eq!(pods.count(), 0);
        until("nothing is left", async || daemon.objects().is_empty()).await;
        assert_eq!(claims(&cluster), Vec::<Value>::new());
    }
}

/// Guards that a lost answer to the create of a claim does not fail the create of the sandbox.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_read() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("scope = 'thread'")).await;
    cluster.fault(Rule::new(Effect::DropAnswer).verb(Verb::Create).resource("persistentvolumeclaims").nth(1));
    let made = create(&daemon, "a", "u", Value::Null).await;
    assert_eq!(made.status, 200, "{made}");
    assert_eq!(claims(&cluster).len(), 1);
}

/// Guards that a claim that a mutating admission has stripped of its labels is deleted again.
#[tokio::test(start_paused = true)]
async fn an_altered_claim_is_deleted() {
    let cluster = cluster();
    let daemon = with(&cluster, &profile("scope = 'thread'")).await;
    let labels = json!({"metadata": {"labels": {"sandbox-provisioner/workspace": null}}});
    cluster.fault(Rule::new(Effect::Mutate(labels)).verb(Verb::Create).resource("persistentvolumeclaims"));
    let refused = create(&daemon, "a", "u", Value::Null).await;
    assert_eq!((refused.status, &refused.body["reason"]), (500, &json!("Mutated")), "{refused}");
    assert_eq!(claims(&cluster), Vec::<Value>::new());
}

/// Guards that a request that does not fit its profile is refused with the path and the bound, and that nothing of it
/// reaches the cluster.
#[tokio::test(start_paused = true)]
async fn bad_requests_reach_nothing() {
    let cluster = cluster();
    let daemon = with(&cluster, &(profile("scope = 'user'") + "[profiles.plain]\n")).await;
    for (body, status, words) in [
        (
            json!({"profile": "p"}),
            400,
            "belongs to a user, so the request needs a user_id other than 'default'",
        ),
        (json!({"profile": "p", "user_id": "default"}), 400, "needs a user_id"),
        (
            json!({"profile": "p", "user_id": "u", "workspace": {"size": "101Gi"}}),
            400,
            "101Gi is above 100Gi",
        ),
        (json!({"profile": "p", "user_id": "u", "workspace": {"size": "1Mi"}}), 400, "1Mi is below 1Gi"),
        (json!({"profile": "p", "user_id": "u", "workspace": {"size": "-1Gi"}}), 400, "a number of bytes"),
        (json!({"profile": "p", "user_id": "u", "workspace": {"size": 5}}), 400, "a number of bytes"),
        (json!({"profile": "p", "user_id": "u", "workspace": {"size": []}}), 422, "valid string"),
        (json!({"profile": "p", "user_id": "u", "workspace": {"when_deleted": "drop"}}), 422, "keep"),
        (json!({"profile": "p", "user_id": "u", "workspace": {"when_deleted": true}}), 422, "valid string"),
        (
            json!({"profile": "p", "user_id": "u", "workspace": {"storage_class": "x"}}),
            422,
            "size, when_deleted",
        ),
        (json!({"profile": "p", "user_id": "u", "workspace": "20Gi"}), 422, "dictionary"),
        (json!({"profile": "plain", "workspace": {}}), 400, "the profile plain has no workspace"),
        (json!({"workspace": {"size": "1Gi"}}), 400, "only a profile can have a workspace"),
        (
            json!({"profile": "p", "user_id": "u", "skills_container_path": "/workspace"}),
            400,
            "overlaps /workspace",
        ),
    ] {
        let mut request = body.clone();
        request["sandbox_id"] = "a".into();
        let refused = daemon.call(Method::POST, "/api/sandboxes", Some(request)).await;
        assert_eq!(refused.status, status, "{body}: {refused}");
        assert!(refused.body["detail"].to_string().contains(words), "{body}: {refused}");
    }
    assert_eq!(daemon.calls(), Vec::<String>::new());
}
