//! Limits, activity, owners and the reaper in the HTTP API.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use sandbox_provisioner::http::{body, frontend::Frontend};
use serde_json::{Value, json};

use crate::{
    fake::{Fake, UID},
    server::{self, KEY},
};

const JSON: (&str, &str) = ("content-type", "application/json");
const ABC: &str = "/api/sandboxes/abc";
const TOUCH: &str = "/api/sandboxes/abc/touch";

fn frontend(fake: &Fake) -> Frontend {
    server::frontend(fake.clone(), body::Limits::default(), Vec::new())
}

/// Returns the status and the body of the response.
async fn ask(
    frontend: &Frontend,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, Value) {
    let answer = answer(frontend, method, target, headers, body).await;
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
}

async fn answer(
    frontend: &Frontend,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response<Bytes> {
    let request = Request::builder().method(method).uri(target).header("x-api-key", KEY);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = frontend.answer(request.body(Full::<Bytes>::from(body.to_owned())).unwrap(), None).await;
    let (parts, body) = answer.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

/// Guards that a create passes the limits and the owner to the backend.
#[tokio::test]
async fn a_create_passes_limits_and_owner() {
    let fake = Fake::default();
    let frontend = frontend(&fake);
    let body = r#"{"sandbox_id":"abc","ttl":"2h 30m","idle_timeout":"90s"}"#;
    let (status, _) = ask(&frontend, "POST", "/api/sandboxes", &[JSON, ("x-owner", "gw-1")], body).await;
    assert_eq!(status, 200);
    ask(&frontend, "POST", "/api/sandboxes", &[JSON], r#"{"sandbox_id":"abc","ttl":null}"#).await;
    assert_eq!(fake.calls(), ["create abc by gw-1 for Some(9000s), Some(90s)", "create abc"]);
}

/// Guards that a touch ignores its body and its content type, and returns the sandbox.
#[tokio::test]
async fn a_touch_ignores_its_body() {
    let fake = Fake::default();
    let frontend = frontend(&fake);
    assert_eq!(ask(&frontend, "POST", TOUCH, &[], "").await.0, 404);
    ask(&frontend, "POST", "/api/sandboxes", &[JSON], r#"{"sandbox_id":"abc"}"#).await;
    for (headers, body) in
        [(&[][..], ""), (&[JSON][..], "not JSON"), (&[JSON, ("x-owner", "gw-1")], r#"{"ttl":1}"#)]
    {
        let (status, body) = ask(&frontend, "POST", TOUCH, headers, body).await;
        assert_eq!((status, &body["sandbox_id"], &body["status"]), (200, &json!("abc"), &json!("Running")));
    }
    let slash = format!("{TOUCH}/");
    assert_eq!(ask(&frontend, "POST", &slash, &[], "").await.0, 200);
    assert_eq!(fake.calls()[2..], ["touch abc", "touch abc", "touch abc by gw-1", "touch abc"]);
}

/// Guards that a PATCH distinguishes an absent limit from null, and returns the changed sandbox.
#[tokio::test]
async fn a_patch_changes_the_given_limits() {
    let fake = Fake::default();
    let frontend = frontend(&fake);
    ask(&frontend, "POST", "/api/sandboxes", &[JSON], r#"{"sandbox_id":"abc"}"#).await;
    for (body, call) in [
        (r#"{"ttl":"1h"}"#, "change abc to Some(Some(3600s)), None"),
        (r#"{"ttl":null,"more":1}"#, "change abc to Some(None), None"),
        (r#"{"idle_timeout":"1m","ttl":"1h"}"#, "change abc to Some(Some(3600s)), Some(Some(60s))"),
    ] {
        let (status, answer) = ask(&frontend, "PATCH", ABC, &[JSON], body).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(
            answer,
            json!({
                "sandbox_id": "abc", "sandbox_url": "http://127.0.0.1:31234", "status": "Running",
                "max_shell_sessions": 10, "container_id": UID, "lark_cli_broker": false, "ready": true,
                "expires_at": "2026-01-02T03:19:05Z", "idle_since": "2026-01-02T03:04:05Z",
                "reap_reason": "IdleTimeout",
            })
        );
        assert_eq!(fake.calls().last().map(String::as_str), Some(call));
    }
    let (_, list) = ask(&frontend, "GET", "/api/sandboxes", &[], "").await;
    assert_eq!(list["sandboxes"][0]["reap_reason"], "IdleTimeout", "lists contain it too");
}

/// Guards that an invalid PATCH makes no call.
#[tokio::test]
async fn an_invalid_patch_makes_no_call() {
    let fake = Fake::with_sandboxes(1);
    let frontend = frontend(&fake);
    let text = ("content-type", "text/plain");
    for (header, body, kind, place) in [
        (JSON, "{}", "value_error", json!(["body"])),
        (JSON, "", "missing", json!(["body"])),
        (JSON, "{", "json_invalid", json!(["body", 1])),
        (JSON, r#"{"ttl":90}"#, "time_delta_type", json!(["body", "ttl"])),
        (JSON, r#"{"ttl":"0s"}"#, "time_delta_parsing", json!(["body", "ttl"])),
        (text, r#"{"ttl":"1h"}"#, "model_attributes_type", json!(["body"])),
    ] {
        let (status, answer) = ask(&frontend, "PATCH", "/api/sandboxes/s0", &[header], body).await;
        let entry = &answer["detail"][0];
        assert_eq!((status, &entry["type"], &entry["loc"]), (422, &json!(kind), &place), "{body}");
    }
    let large = format!(r#"{{"ttl":"{}"}}"#, " ".repeat(2 << 20));
    assert_eq!(ask(&frontend, "PATCH", "/api/sandboxes/s0", &[JSON], &large).await.0, 413);
    assert_eq!(fake.calls(), Vec::<String>::new());
}

/// Guards that an invalid owner is rejected by every call that accepts one. If it were ignored, the caller would lose
/// its protection without notice.
#[tokio::test]
async fn invalid_owners_are_refused() {
    let fake = Fake::with_sandboxes(1);
    let frontend = frontend(&fake);
    let long = "x".repeat(129);
    for bad in [&[("x-owner", "a b")][..], &[("x-owner", "")], &[("x-owner", &long)], &[("x-owner", "a"); 2]]
    {
        for (method, target, body) in [
            ("POST", "/api/sandboxes", r#"{"sandbox_id":"abc"}"#),
            ("POST", TOUCH, ""),
            ("PATCH", ABC, r#"{"ttl":"1h"}"#),
            ("DELETE", ABC, ""),
        ] {
            let (status, answer) = ask(&frontend, method, target, &[&[JSON], bad].concat(), body).await;
            let entry = &answer["detail"][0];
            assert_eq!((status, &entry["loc"]), (422, &json!(["header", "x-owner"])), "{method} {bad:?}");
            assert!(entry["msg"].as_str().unwrap().contains("1 to 128 visible ASCII"), "{entry}");
        }
    }
    // The errors of the body follow.
    let (_, both) = ask(&frontend, "POST", "/api/sandboxes", &[JSON, ("x-owner", "")], "{}").await;
    let places: Vec<&Value> =
        both["detail"].as_array().unwrap().iter().map(|entry| &entry["loc"][1]).collect();
    assert_eq!(places, ["x-owner", "sandbox_id"]);
    assert_eq!(fake.calls(), Vec::<String>::new());
}

/// Guards that a DELETE passes the owner to the backend.
#[tokio::test]
async fn a_delete_passes_its_owner() {
    let fake = Fake::with_sandboxes(1);
    let frontend = frontend(&fake);
    for headers in [&[("X-Owner", "gw-2")][..], &[]] {
        assert_eq!(ask(&frontend, "DELETE", "/api/sandboxes/s0", headers, "").await.0, 200);
    }
    assert_eq!(fake.calls(), ["delete s0 by gw-2", "delete s0"]);
}

/// Guards that the 404 of a reaped sandbox contains the reason, in both formats and for each call. The 404 of a sandbox
/// that never existed does not.
#[tokio::test]
async fn the_404_of_a_reaped_sandbox_has_the_reason() {
    let frontend = frontend(&Fake::that_reaped("abc"));
    let reaped = json!({
        "reason": "IdleTimeout",
        "message": "the sandbox has had no activity for its idle timeout",
        "at": "2026-01-02T03:04:05.678Z",
    });
    let change = r#"{"ttl":"1h"}"#;
    for (method, target, body) in [("GET", ABC, ""), ("POST", TOUCH, ""), ("PATCH", ABC, change)] {
        let wanted = json!({
            "detail": "Sandbox 'abc' not found", "sandbox_id": "abc", "status": "NotFound", "reaped": reaped,
        });
        assert_eq!(ask(&frontend, method, target, &[JSON], body).await, (404, wanted), "{method}");
        let problem = [JSON, ("accept", "application/problem+json")];
        let (status, answer) = ask(&frontend, method, target, &problem, body).await;
        assert_eq!((status, &answer["reaped"]), (404, &reaped), "{method}");
        assert_eq!(answer["detail"], "Sandbox 'abc' not found", "{method}");
        // In a problem document `status` is the HTTP status.
        assert_eq!(
            (&answer["status"], &answer["sandbox_status"]),
            (&json!(404), &json!("NotFound")),
            "{method}"
        );
    }
    for id in ["abd", "No"] {
        let detail = format!("Sandbox '{id}' not found");
        let wanted = json!({"detail": detail, "sandbox_id": id, "status": "NotFound"});
        for (method, path) in [("GET", ""), ("POST", "/touch"), ("PATCH", "")] {
            let target = format!("/api/sandboxes/{id}{path}");
            assert_eq!(
                ask(&frontend, method, &target, &[JSON], change).await,
                (404, wanted.clone()),
                "{method}"
            );
        }
    }
}

/// Guards that the API returns the state of the reaper, and resumes it once.
#[tokio::test]
async fn the_reaper_can_be_resumed() {
    let frontend = frontend(&Fake::that_reaped("abc"));
    let state = |stopped: Value| json!({"stopped_until": stopped, "reaped": 1, "rehearsed": 0});
    let resumed = |was_stopped: bool| json!({"ok": true, "was_stopped": was_stopped});
    for (method, target, wanted) in [
        ("GET", "/api/reaper", state(json!("2026-01-02T04:04:05Z"))),
        ("POST", "/api/reaper/resume", resumed(true)),
        ("GET", "/api/reaper", state(Value::Null)),
        ("POST", "/api/reaper/resume", resumed(false)),
    ] {
        assert_eq!(ask(&frontend, method, target, &[], "").await, (200, wanted), "{method} {target}");
    }
}

/// Guards `Allow` for other methods. For a sandbox itself it is that of DeerFlow's provisioner.
#[tokio::test]
async fn other_methods_are_refused() {
    let frontend = frontend(&Fake::default());
    for (method, target, allow) in [
        ("GET", TOUCH, "POST"),
        ("DELETE", TOUCH, "POST"),
        ("PATCH", TOUCH, "POST"),
        ("POST", "/api/reaper", "GET"),
        ("HEAD", "/api/reaper", "GET"),
        ("GET", "/api/reaper/resume", "POST"),
        ("PUT", ABC, "DELETE"),
        ("POST", ABC, "DELETE"),
        ("PATCH", "/api/sandboxes", "POST"),
    ] {
        let answer = answer(&frontend, method, target, &[JSON], "{}").await;
        assert_eq!(answer.status(), 405, "{method} {target}");
        assert_eq!(answer.headers()["allow"], allow, "{method} {target}");
    }
    for target in
        ["/api/sandboxes/abc/touch/x", "/api/sandboxes/a%2Fb/touch", "/api/reaper/x", "/api/reapers"]
    {
        assert_eq!(
            ask(&frontend, "POST", target, &[], "").await,
            (404, json!({"detail": "Not Found"})),
            "{target}"
        );
    }
}
