//! The request bodies that Gateways of both versions send, each through a whole life of its sandbox.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use simcluster::NodeOptions;
use testkit::Daemon;

use super::{object, start};

const RECORDED: &str = include_str!("../../recordings/manifests-2.1.json");

/// The longest time until a Pod is ready. Its readiness probe starts after 5 s.
const START: Duration = Duration::from_secs(30);

/// Guards that every body is served from POST to DELETE and created again at once, with host paths and with claims;
/// and that bodies that 2.1 rejects are rejected before any object is created.
#[tokio::test(start_paused = true)]
async fn real_request_bodies_are_served_through_a_whole_life() {
    let cases: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    let is_gateways = |case: &&Value| case["case"].as_str().unwrap().contains("gateway-");
    let cases: Vec<_> = cases.iter().filter(is_gateways).collect();
    assert_eq!(cases.len(), 52, "the recording is whole");
    for case in cases {
        let name = case["case"].as_str().unwrap();
        let daemon = start(case["env"].as_object().unwrap(), Some(NodeOptions::default())).await;
        // The claims are the operator's; no Pod is scheduled before they exist.
        for claim in ["skills", "userdata"] {
            let metadata = json!({"name": claim, "namespace": daemon.namespace()});
            let requests = json!({"storage": "1Gi"});
            let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": requests}});
            let claim = json!({"metadata": metadata, "spec": spec});
            daemon.cluster.put("persistentvolumeclaims", claim).unwrap();
        }
        if case["error"].is_null() {
            lives(&daemon, name, &case["request"]).await;
        } else {
            let refused = daemon.call(Method::POST, "/api/sandboxes", Some(case["request"].clone())).await;
            assert_eq!(case["error"]["status"], refused.status, "{name}");
            assert_eq!(refused.body["detail"], case["error"]["detail"], "{name}");
            assert_eq!(daemon.objects(), [""; 0], "{name}");
        }
    }
}

async fn lives(daemon: &Daemon, name: &str, body: &Value) {
    let id = body["sandbox_id"].as_str().unwrap();
    let path = format!("/api/sandboxes/{id}");
    let ok = async |method: Method, path: &str, body: &Value| {
        let body = (!body.is_null()).then(|| body.clone());
        let answer = daemon.call(method.clone(), path, body).await;
        assert_eq!(answer.status, 200, "{name}: {method} {path}: {answer:?}");
        answer.body
    };

    let created = ok(Method::POST, "/api/sandboxes", body).await;
    tokio::time::sleep(START).await;
    let pod = object(daemon, "pods", &format!("sandbox-{id}")).unwrap();
    let is_ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    assert!(
        pod["status"]["conditions"].as_array().unwrap().iter().any(is_ready),
        "{name}: {}",
        pod["status"]
    );

    let shown = ok(Method::GET, &path, &Value::Null).await;
    let mut expected = created.clone();
    expected["status"] = "Running".into();
    expected["ready"] = true.into();
    for field in ["reason", "message", "hint"] {
        expected.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(shown, expected, "{name}");
    let sessions = body["max_shell_sessions"].as_u64().unwrap_or(10);
    assert_eq!(shown["max_shell_sessions"], sessions, "{name}");
    assert_eq!(shown["container_id"], pod["metadata"]["uid"], "{name}");
    assert_eq!(shown["lark_cli_broker"], body["provision_lark_cli_broker"], "{name}");
    let listed = ok(Method::GET, "/api/sandboxes", &Value::Null).await;
    let mut item = shown.clone();
    for field in ["thread_id", "user_id"] {
        assert!(item.as_object_mut().unwrap().remove(field).is_some(), "{name}: {field}");
    }
    assert_eq!(listed, json!({"sandboxes": [item], "count": 1}), "{name}");
    assert_eq!(
        ok(Method::POST, "/api/sandboxes", body).await["container_id"],
        shown["container_id"],
        "{name}"
    );

    let presence = |uid: &Value| json!({"sandbox_id": id, "exists": !uid.is_null(), "container_id": uid});
    let presence_path = format!("{path}/presence");
    assert_eq!(
        ok(Method::GET, &presence_path, &Value::Null).await,
        presence(&shown["container_id"]),
        "{name}"
    );
    assert_eq!(
        ok(Method::DELETE, &path, &Value::Null).await,
        json!({"ok": true, "sandbox_id": id}),
        "{name}"
    );
    assert_eq!(daemon.fetch(&path).await.status, 404, "{name}");
    let going = ok(Method::GET, &presence_path, &Value::Null).await;
    assert_eq!(going, presence(&shown["container_id"]), "{name}: a terminating Pod is present");

    let again = ok(Method::POST, "/api/sandboxes", body).await;
    assert_ne!(again["container_id"], shown["container_id"], "{name}");
    ok(Method::DELETE, &path, &Value::Null).await;
    tokio::time::sleep(START).await;
    assert_eq!(ok(Method::GET, &presence_path, &Value::Null).await, presence(&Value::Null), "{name}");
    assert_eq!(daemon.objects(), [""; 0], "{name}");
}

/// Guards the message for a daemon and a Gateway with different state directories, the likeliest configuration mistake.
#[tokio::test(start_paused = true)]
async fn state_directories_that_differ_are_named() {
    let daemon = start(json!({"DEER_FLOW_HOST_BASE_DIR": "/srv"}).as_object().unwrap(), None).await;
    let mount = json!({"host_path": "/.deer-flow/x", "container_path": "/mnt/acp-workspace"});
    let body = json!({"sandbox_id": "a", "extra_mounts": [mount]});
    let refused = daemon.call(Method::POST, "/api/sandboxes", Some(body)).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.body["detail"], "Extra mount host path is outside DeerFlow state: /.deer-flow/x");
    let hint = refused.body["hint"].as_str().unwrap();
    assert!(hint.contains("must lie in /srv") && hint.contains("DEER_FLOW_HOST_BASE_DIR"), "{hint}");
}
