//! The control endpoint, as `curl` uses it.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use simcluster::{AccessOptions, Cluster, Options, Rule, SessionKind, User};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use crate::client::{NS, SOON, create, get, is_ready, pod, send, still_cluster};

async fn control(cluster: &Cluster, method: &str, path: &str, body: &str) -> (u16, Value) {
    control_as(cluster, method, path, body, None).await
}

async fn control_as(
    cluster: &Cluster,
    method: &str,
    path: &str,
    body: &str,
    token: Option<&str>,
) -> (u16, Value) {
    let mut request =
        http::Request::builder().method(method).uri(format!("http://cluster/simcluster/v1{path}"));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    let answer = cluster.service().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

/// Guards that a rule is in force once written, is listed with its count of calls, and can be removed; and that the
/// record of calls shows none of this.
#[tokio::test(start_paused = true)]
async fn rules_come_and_go() {
    let cluster = still_cluster();
    let rule = r#"{"when": {"verb": "get"}, "timing": {"next": 1}, "effect": {"refuse": "unavailable"}}"#;
    let (status, made) = control(&cluster, "POST", "/faults", rule).await;
    assert_eq!((status, &made), (201, &json!({"id": 0})));
    assert_eq!(get(&cluster, "pods/a").await.0, 503);
    assert_eq!(get(&cluster, "pods/a").await.0, 404);
    let (_, listed) = control(&cluster, "GET", "/faults", "").await;
    assert_eq!((&listed["faults"][0]["id"], &listed["faults"][0]["matched"]), (&json!(0), &json!(2)));
    let read: Rule = serde_json::from_value(listed["faults"][0]["rule"].clone()).unwrap();
    assert_eq!(read, serde_json::from_str(rule).unwrap());
    assert_eq!(control(&cluster, "DELETE", "/faults/0", "").await.0, 200);
    assert_eq!(control(&cluster, "DELETE", "/faults/0", "").await.0, 404);
    assert_eq!(cluster.calls().len(), 2);
}

/// Guards that each kind of mistake is answered with its reason.
#[tokio::test(start_paused = true)]
async fn mistakes_are_refused_with_their_reason() {
    let cluster = still_cluster();
    let cases = [
        ("POST", "/faults", "{", 400, "invalid body: EOF"),
        ("POST", "/faults", r#"{"effect": "explode"}"#, 400, "invalid body: unknown variant `explode`"),
        ("POST", "/faults", r#"{"effect": "silent", "x": 1}"#, 400, "invalid body: unknown field `x`"),
        ("POST", "/faults", r#"{"effect": {"delay": "5"}}"#, 400, "invalid body: \"5\" is not a duration"),
        ("POST", "/faults", r#"{"effect": "silent", "when": {"resource": "pod"}}"#, 400, "unknown resource"),
        ("PATCH", "/faults", "", 405, "/simcluster/v1/faults does not support PATCH"),
        ("GET", "/fault", "", 404, "unknown path /simcluster/v1/fault;"),
        ("PUT", "/node", r#"{"behaviour": "explode"}"#, 400, "invalid body: \"explode\" is not a behaviour:"),
        ("PUT", "/server", r#"{"away": false, "for": "1s"}"#, 400, "\"for\" goes with"),
        ("POST", "/snapshots/7/restore", "", 404, "unknown snapshot \"7\""),
        ("POST", "/clock", r#"{"step": "later"}"#, 400, "\"later\" is not a duration"),
        ("GET", "/calls?since=x", "", 400, "since must be the number of a call"),
    ];
    for (method, path, body, status, start) in cases {
        let (found, answer) = control(&cluster, method, path, body).await;
        let error = answer["error"].as_str().unwrap();
        assert!(found == status && error.starts_with(start), "{method} {path} {body}: {found} {error}");
    }
    assert!(cluster.faults().is_empty() && !cluster.is_away());
}

/// Guards the way back: the endpoint answers while the server is away, and the absence ends by itself if so said.
#[tokio::test(start_paused = true)]
async fn the_server_goes_away_for_a_while_and_can_be_called_back() {
    let cluster = still_cluster();
    control(&cluster, "PUT", "/server", r#"{"away": true}"#).await;
    assert!(send(&cluster, "GET", "pods", &Value::Null).await.is_err());
    control(&cluster, "PUT", "/server", r#"{"away": false}"#).await;
    assert_eq!(get(&cluster, "pods").await.0, 200);
    control(&cluster, "PUT", "/server", r#"{"away": true, "for": "30s"}"#).await;
    tokio::time::sleep(std::time::Duration::from_millis(29_999)).await;
    assert!(cluster.is_away());
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    assert!(!cluster.is_away());
}

/// Guards the rest of the switches: each does what the handle does.
#[tokio::test(start_paused = true)]
async fn every_switch_is_within_reach() {
    let cluster = crate::client::cluster();
    create(&cluster, &pod("a")).await;
    let (_, snapshot) = control(&cluster, "POST", "/snapshots", "").await;
    cluster.remove("pods", NS, "a").unwrap();
    let path = format!("/snapshots/{}/restore", snapshot["id"]);
    assert_eq!(control(&cluster, "POST", &path, r#"{"keep_counting": true}"#).await.0, 200);
    assert_eq!(cluster.count("pods", Some(NS)), 1);

    let (_, node) = control(&cluster, "PUT", "/node", r#"{"behaviour": "oom", "lost": true}"#).await;
    assert_eq!((&node["behaviour"], &node["lost"]), (&json!("oom"), &json!(true)));
    assert!(cluster.is_node_lost());
    let path = format!("/pods/{NS}/b");
    control(&cluster, "PUT", &format!("{path}/behaviour"), r#"{"behaviour": "fail, after=1s"}"#).await;
    let (_, pods) = control(&cluster, "GET", "/pods", "").await;
    assert_eq!(pods["pods"][0]["behaviour"], "fail, after=1s");

    let session = r#"{"kind": "bash", "session_id": "s"}"#;
    assert_eq!(control(&cluster, "POST", &format!("{path}/sessions"), session).await.0, 201);
    assert_eq!(control(&cluster, "POST", &format!("{path}/sessions"), session).await.0, 409);
    assert_eq!(cluster.sessions(NS, "b")[0].kind, SessionKind::Bash);
    assert_eq!(control(&cluster, "DELETE", &format!("{path}/sessions/bash/s"), "").await.0, 200);
    assert!(cluster.sessions(NS, "b").is_empty());

    let before = cluster.now();
    control(&cluster, "POST", "/clock", r#"{"step": "-1h"}"#).await;
    assert_eq!(before.duration_since(cluster.now()), jiff::SignedDuration::from_hours(1));

    let (_, calls) = control(&cluster, "GET", "/calls?since=0", "").await;
    assert_eq!((&calls["next"], &calls["calls"][0]["verb"]), (&json!(1), &json!("create")));
    control(&cluster, "DELETE", "/calls", "").await;
    assert!(cluster.calls().is_empty());
    for (method, path, body) in [
        ("PUT", "/watches", r#"{"stalled": false}"#),
        ("POST", "/watches/cut", ""),
        ("POST", "/watches/expire", ""),
    ] {
        assert_eq!(control(&cluster, method, path, body).await.0, 200, "{path}");
    }
    assert_eq!(control(&cluster, "GET", "/", "").await.1["away"], false);
}

/// Guards that with RBAC only a cluster admin reaches the control endpoint.
#[tokio::test(start_paused = true)]
async fn only_who_may_do_everything_reaches_the_switches() {
    let access = AccessOptions::rbac().token("root", User::admin()).token("other", User::new("someone"));
    let cluster = Cluster::start(Options { access, ..Options::with_namespace(NS) });
    assert_eq!(control_as(&cluster, "GET", "/faults", "", None).await.0, 403);
    assert_eq!(control_as(&cluster, "GET", "/faults", "", Some("other")).await.0, 403);
    assert_eq!(control_as(&cluster, "GET", "/faults", "", Some("wrong")).await.0, 401);
    assert_eq!(control_as(&cluster, "GET", "/faults", "", Some("root")).await.0, 200);
}

async fn ask(listener: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(listener).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A connection that is closed unheard may be reset.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

/// Guards the same over a socket, in real time: while the server is away its listener is deaf to all else.
#[tokio::test]
async fn the_endpoint_is_heard_over_a_socket_while_the_server_is_away() {
    let cluster = still_cluster();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(simcluster::serve(listener, cluster.clone(), std::future::pending()));
    cluster.set_away(true);
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!(ask(address, &request("/api/v1/pods")).await, "");
    let answer = ask(address, &request("/simcluster/v1/")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"away\": true"), "{answer}");
}

/// Guards that a behaviour chosen at run time is followed by Pods that are there already.
#[tokio::test(start_paused = true)]
async fn a_pod_that_runs_follows_a_new_behaviour() {
    let cluster = crate::client::cluster();
    create(&cluster, &pod("a")).await;
    cluster.wait_for("pods", Some(NS), SOON, |pods| pods.iter().all(is_ready)).await.unwrap();
    let path = format!("/pods/{NS}/a/behaviour");
    control(&cluster, "PUT", &path, r#"{"behaviour": "evicted, after=2s"}"#).await;
    let pods = cluster.wait_for("pods", Some(NS), SOON, |p| p[0]["status"]["phase"] == "Failed").await;
    assert_eq!(pods.unwrap()[0]["status"]["reason"], "Evicted");
}
