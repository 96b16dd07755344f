//! The health endpoints.

use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use sandbox_provisioner::{admin::Check, http::body};
use serde_json::{Value, json};

use crate::{fake::Fake, server};

fn checks(namespace: Result<(), String>) -> Vec<Check> {
    let check = |name, outcome| Check { name, outcome, optional: false };
    vec![check("watch-pods", Ok(())), check("namespace", namespace)]
}

async fn ask(checks: Vec<Check>, method: &str, target: &str, accept: &str) -> Response<String> {
    let frontend = server::frontend(Fake::default(), body::Limits::default(), checks);
    let request = Request::builder().method(method).uri(target).header("accept", accept);
    let answer = frontend.answer(request.body(Empty::<bytes::Bytes>::new()).unwrap(), None).await;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, String::from_utf8(body.to_vec()).unwrap())
}

/// Guards that the texts are those of Kubernetes' own components, with the checks if requested or if one fails.
#[tokio::test]
async fn readiness_has_the_format_of_kubernetes() {
    let failing = || checks(Err("the namespace \"x\"\nis missing".to_owned()));
    let passed = "[+]watch-pods ok\n[+]namespace ok\nreadyz check passed\n";
    let failed =
        "[+]watch-pods ok\n[-]namespace failed: the namespace \"x\" is missing\nreadyz check failed\n";
    for (checks, target, status, body) in [
        (failing(), "/livez", 200, "ok"),
        (checks(Ok(())), "/readyz", 200, "ok"),
        (checks(Ok(())), "/readyz?verbose", 200, passed),
        (checks(Ok(())), "/readyz?x&verbose=true", 200, passed),
        (failing(), "/readyz", 503, failed),
        (failing(), "/readyz?verbose", 503, failed),
    ] {
        let answer = ask(checks, "GET", target, "*/*").await;
        assert_eq!((answer.status().as_u16(), answer.body().as_str()), (status, body), "{target}");
        assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8", "{target}");
    }
}

/// Guards that a client that accepts JSON gets the same report as JSON.
#[tokio::test]
async fn readiness_is_json_on_request() {
    let answer = ask(checks(Err("gone".to_owned())), "GET", "/readyz", "application/json").await;
    let wanted = json!({"status": "failed", "checks": [
        {"name": "watch-pods", "ok": true}, {"name": "namespace", "ok": false, "message": "gone"},
    ]});
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    assert_eq!(serde_json::from_str::<Value>(answer.body()).unwrap(), wanted);
}

/// Guards that a failed optional check is shown, and that the daemon is ready without it.
#[tokio::test]
async fn an_optional_check_is_only_shown() {
    let optional = || {
        let missing = Check { name: "watch-events", outcome: Err("no right".to_owned()), optional: true };
        checks(Ok(())).into_iter().chain([missing]).collect()
    };
    let answer = ask(optional(), "GET", "/readyz?verbose", "*/*").await;
    let text = "[+]watch-pods ok\n[+]namespace ok\n[-]watch-events failed (optional): no right\nreadyz check passed\n";
    assert_eq!((answer.status().as_u16(), answer.body().as_str()), (200, text));
    let answer = ask(optional(), "GET", "/readyz", "application/json").await;
    let report: Value = serde_json::from_str(answer.body()).unwrap();
    assert_eq!((answer.status().as_u16(), &report["status"]), (200, &json!("ok")));
    let shown = json!({"name": "watch-events", "ok": false, "optional": true, "message": "no right"});
    assert_eq!(report["checks"][2], shown);
}

/// Guards that probes may use GET and HEAD, and no other method.
#[tokio::test]
async fn health_endpoints_are_read_only() {
    for (method, status) in [("HEAD", 200), ("POST", 405), ("DELETE", 405)] {
        for target in ["/livez", "/readyz"] {
            assert_eq!(ask(checks(Ok(())), method, target, "").await.status(), status, "{method} {target}");
        }
    }
}
