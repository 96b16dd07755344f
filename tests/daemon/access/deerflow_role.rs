//! The daemon under exactly the role that DeerFlow's own Helm chart gives its provisioner.

use http::Method;
use serde_json::{Value, json};
use testkit::{Answer, Client, NAMESPACE, until};

use super::guarded::{Guarded, HOME};

/// The account, in a namespace of its own only because that is where the tests issue tokens.
const ACCOUNT: &str = "deer-flow-provisioner";

/// Returns the objects of the chart, without labels: `get`, `list`, `watch`, `create` and `delete` on Pods, their logs and
/// Services; `get`, `list` and `create` on namespaces; nothing else.
fn chart() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io";
    let version = format!("{rbac}/v1");
    let subjects = json!([{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": HOME}]);
    let rules = |resources: &[&str], verbs: &[&str]| json!([{"apiGroups": [""], "resources": resources, "verbs": verbs}]);
    let reference = |kind: &str| json!({"apiGroup": rbac, "kind": kind, "name": ACCOUNT});
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": HOME}}),
        json!({
            "apiVersion": version, "kind": "Role", "metadata": {"name": ACCOUNT, "namespace": NAMESPACE},
            "rules": rules(&["pods", "pods/log", "services"], &["get", "list", "watch", "create", "delete"]),
        }),
        json!({
            "apiVersion": version, "kind": "RoleBinding", "metadata": {"name": ACCOUNT, "namespace": NAMESPACE},
            "subjects": subjects, "roleRef": reference("Role"),
        }),
        json!({
            "apiVersion": version, "kind": "ClusterRole", "metadata": {"name": ACCOUNT},
            "rules": rules(&["namespaces"], &["get", "list", "create"]),
        }),
        json!({
            "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": {"name": ACCOUNT},
            "subjects": subjects, "roleRef": reference("ClusterRole"),
        }),
    ]
}

async fn guarded() -> Guarded {
    let guarded = Guarded::empty().await;
    for object in chart() {
        guarded.create(&object).await;
    }
    guarded
}

async fn send(client: &Client, method: Method, path: &str, body: &Value) -> Answer {
    client.call_with(method, path, &[("x-owner", "gateway-1")], Some(body.clone())).await
}

/// Guards that all of DeerFlow's contract works under DeerFlow's role, and that nothing is even asked for that the role
/// does not grant, except for the optional watch on Events and the quotas, each of which is asked for once.
#[tokio::test]
async fn deerflows_role_is_enough_for_deerflows_contract() {
    let guarded = guarded().await;
    let daemon = guarded.daemon(&guarded.token(ACCOUNT)).await;
    daemon.until_ready().await;
    let body = json!({"sandbox_id": "a", "max_shell_sessions": 12});
    let created = send(&daemon, Method::POST, "/api/sandboxes", &body).await;
    assert_eq!(created.status, 200, "{created:?}");
    daemon.until_phase("a", "Running").await;
    for path in ["/api/sandboxes/a", "/api/sandboxes", "/api/sandboxes/a/presence", "/api/capabilities"] {
        assert_eq!(daemon.fetch(path).await.status, 200, "{path}");
    }
    assert_eq!(send(&daemon, Method::POST, "/api/sandboxes", &body).await.status, 200);
    assert_eq!(send(&daemon, Method::DELETE, "/api/sandboxes/a", &Value::Null).await.status, 200);
    let again = send(&daemon, Method::POST, "/api/sandboxes", &body).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_ne!(again.body["container_id"], created.body["container_id"]);
    let _ = daemon.stop().await;
    let mut refused = guarded.refused();
    refused.sort();
    assert_eq!(refused, ["list events", "list resourcequotas"]);
}

/// Guards what `docs/deerflow.md` says of the rights that are missing: limits that were chosen at the create hold, the
/// Event of a reap is left out, a use is kept in memory, and only a change of limits is refused, in clear words.
#[tokio::test]
async fn what_needs_more_than_deerflows_role_says_so() {
    let guarded = guarded().await;
    let daemon = guarded.daemon(&guarded.token(ACCOUNT)).await;
    daemon.until_ready().await;
    for (id, limits) in [("idle", json!({"idle_timeout": "1h"})), ("short", json!({"ttl": "1s"}))] {
        let mut body = limits;
        body["sandbox_id"] = id.into();
        assert_eq!(send(&daemon, Method::POST, "/api/sandboxes", &body).await.status, 200);
    }
    let touched = send(&daemon, Method::POST, "/api/sandboxes/idle/touch", &Value::Null).await;
    assert_eq!(touched.status, 200, "{touched:?}");
    let refused = send(&daemon, Method::PATCH, "/api/sandboxes/idle", &json!({"ttl": "2h"})).await;
    assert_eq!(refused.status, 500, "{refused:?}");
    assert_eq!(refused.body["reason"], "Forbidden");
    let detail = refused.body["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("cannot patch resource \"pods\""), "{detail}");
    until("the short one is reaped", async || {
        daemon.get("short").await.body["reaped"]["reason"] == "TTLExpired"
    })
    .await;
    assert_eq!(daemon.get("idle").await.body["status"], "Running");
    until("the Event was refused", async || guarded.refused().contains(&"create events".to_owned())).await;
    let _ = daemon.stop().await;
    let mut refused = guarded.refused();
    refused.sort();
    refused.dedup();
    assert_eq!(refused, ["create events", "list events", "list resourcequotas", "patch pods"]);
}
