//! The front end of the routes, without a socket: error formats, deadlines, panics, request ids and keys.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header::ACCEPT};
use http_body_util::{BodyExt, Full};
use lifecycle::{
    error::{ClusterError, ClusterErrorKind, SandboxError},
    ids::SandboxId,
    operation::Operation,
};
use proptest::prelude::*;
use sandbox_provisioner::http::{body, frontend::Frontend};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    fake::{Fake, Script},
    server::{self, KEY},
};

/// A valid body of a create, and of a change.
const BODY: &str = r#"{"sandbox_id":"abc","idle_timeout":null}"#;

fn frontend(fake: &Fake) -> Frontend {
    server::frontend(fake.clone(), body::Limits::default(), Vec::new())
}

fn request(method: &str, target: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(target)
        .header("x-api-key", KEY)
        .header("content-type", "application/json")
}

async fn answer(frontend: &Frontend, request: http::request::Builder) -> Response<Bytes> {
    let answer = frontend.answer(request.body(Full::<Bytes>::from(BODY)).unwrap(), None).await;
    let (parts, body) = answer.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

fn json_of(answer: &Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

fn header<'a>(answer: &'a Response<Bytes>, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

fn id() -> SandboxId {
    SandboxId::parse("abc").unwrap()
}

/// Guards the status, `detail`, `reason` and `Retry-After` of every error.
#[tokio::test]
async fn errors_have_their_status() {
    let fault = |kind| ClusterError::new(kind, "no more");
    let wait = Duration::from_millis(1500);
    let (operation, after) = (Operation::CreatePod, Duration::from_secs(9));
    let (forbidden, quota) = (fault(ClusterErrorKind::Forbidden), fault(ClusterErrorKind::QuotaExceeded));
    for (error, status, retry_after, reason) in [
        (SandboxError::BadRequest("no".into()), 400, None, None),
        (SandboxError::NotOurs { id: id(), what: "Pod \"x\"".into() }, 409, None, Some("NotOurs")),
        (
            SandboxError::StillTerminating { id: id(), retry_after: wait },
            503,
            Some("2"),
            Some("StillTerminating"),
        ),
        (SandboxError::Owned { id: id(), owner: "gw".into(), retry_after: wait }, 409, None, Some("Owned")),
        (SandboxError::Refused { operation, fault: forbidden }, 500, None, Some("Forbidden")),
        (
            SandboxError::Unavailable { operation, fault: quota, retry_after: wait },
            503,
            Some("2"),
            Some("QuotaExceeded"),
        ),
        (SandboxError::Stale { why: "x".into(), retry_after: Duration::ZERO }, 503, Some("1"), Some("Stale")),
        (SandboxError::TimedOut { operation, after }, 504, Some("5"), Some("TimedOut")),
        (SandboxError::Unanswered { operation, after }, 504, Some("5"), Some("TimedOut")),
        (SandboxError::Busy { retry_after: wait }, 503, Some("2"), Some("Busy")),
        (SandboxError::Overloaded { what: "7 wait".into(), retry_after: wait }, 503, Some("2"), Some("Busy")),
        (SandboxError::Restarting { id: id() }, 503, Some("1"), Some("Restarting")),
        (SandboxError::ShuttingDown { retry_after: wait }, 503, Some("2"), Some("ShuttingDown")),
    ] {
        let text = error.to_string();
        let frontend = frontend(&Fake::new(Script::Fails(error)));
        for (method, target) in [
            ("POST", "/api/sandboxes"),
            ("GET", "/api/sandboxes/abc"),
            ("DELETE", "/api/sandboxes/abc"),
            ("POST", "/api/sandboxes/abc/touch"),
            ("PATCH", "/api/sandboxes/abc"),
        ] {
            let answer = answer(&frontend, request(method, target)).await;
            assert_eq!(answer.status(), status, "{text}");
            assert_eq!(header(&answer, "retry-after"), retry_after, "{text}");
            assert_eq!(header(&answer, "content-type"), Some("application/json"), "{text}");
            let body = json_of(&answer);
            assert_eq!((&body["detail"], body["reason"].as_str()), (&json!(text), reason), "{text}");
        }
    }
}

/// Guards that draining answers waiting and later requests with 503 and counts them, except for those that are answered
/// without waiting.
#[tokio::test]
async fn draining_answers_every_request() {
    let fake = Fake::new(Script::Hangs);
    let frontend = frontend(&fake);
    let waiting = tokio::spawn({
        let frontend = frontend.clone();
        async move { answer(&frontend, request("POST", "/api/sandboxes")).await }
    });
    fake.called().await;
    frontend.drain_token().cancel();
    for answer in [waiting.await.unwrap(), answer(&frontend, request("GET", "/api/sandboxes/abc")).await] {
        assert_eq!((answer.status().as_u16(), header(&answer, "retry-after")), (503, Some("2")));
        assert_eq!(json_of(&answer)["detail"], "the service is shutting down; try again in 2 s");
    }
    assert_eq!(answer(&frontend, request("GET", "/health")).await.status(), 200);
    assert_eq!(frontend.rejected(), 2);
}

/// Guards that a client that accepts problem documents gets one, with the same text and headers as in FastAPI's format.
#[tokio::test]
async fn problem_documents_are_sent_on_request() {
    let fault = ClusterError::new(ClusterErrorKind::QuotaExceeded, "");
    let retry_after = Duration::from_secs(3);
    let failing = Fake::new(Script::Fails(SandboxError::Unavailable {
        operation: Operation::CreatePod,
        fault,
        retry_after,
    }));
    let frontend = frontend(&failing);
    for (method, target, key, status, title) in [
        ("GET", "/api/sandboxes", "wrong", 401, "Unauthorized"),
        ("GET", "/zzz", KEY, 404, "Not Found"),
        ("GET", "/api/sandboxes/A%20b", KEY, 404, "Not Found"),
        ("PUT", "/api/sandboxes", KEY, 405, "Method Not Allowed"),
        ("GET", "/api/sandboxes", KEY, 503, "Service Unavailable"),
    ] {
        let ask = || Request::builder().method(method).uri(target).header("x-api-key", key);
        let plain = answer(&frontend, ask()).await;
        let problem =
            answer(&frontend, ask().header(ACCEPT, "text/html, Application/Problem+JSON;q=0.9")).await;
        assert_eq!(header(&problem, "content-type"), Some("application/problem+json"), "{target}");
        assert_eq!((plain.status().as_u16(), problem.status().as_u16()), (status, status), "{target}");
        assert_eq!(header(&plain, "allow"), header(&problem, "allow"), "{target}");
        assert_eq!(header(&plain, "retry-after"), header(&problem, "retry-after"), "{target}");
        let text = serde_json::from_slice::<Value>(plain.body())
            .map_or(json!("Unauthorized"), |b| b["detail"].clone());
        let body = json_of(&problem);
        assert_eq!(body["status"], json!(status), "{body}");
        assert_eq!((&body["title"], &body["type"]), (&json!(title), &json!("about:blank")), "{body}");
        assert_eq!((&body["detail"], &body["instance"]), (&text, &json!(target)), "{body}");
    }
}

/// Guards that a problem document of a validation error contains the errors of the fields, also as one text.
#[tokio::test]
async fn validation_problems_name_the_fields() {
    let ask = request("POST", "/api/sandboxes").header(ACCEPT, "application/problem+json");
    let ask = ask.body(Full::<Bytes>::from(r#"{"thread_id":"t"}"#)).unwrap();
    let answer = frontend(&Fake::default()).answer(ask, None).await;
    assert_eq!(answer.status(), 422);
    let body: Value =
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(body["detail"], json!("body.sandbox_id: Field required"));
    assert_eq!(body["errors"][0]["type"], json!("missing"));
}

/// Guards that a wildcard or a media type with `q=0` does not select problem documents.
#[tokio::test]
async fn wildcards_get_the_default_format() {
    for accept in ["*/*", "application/*", "application/json", "application/problem+json;q=0", ""] {
        let answer = answer(&frontend(&Fake::default()), request("GET", "/zzz").header(ACCEPT, accept)).await;
        assert_eq!(header(&answer, "content-type"), Some("application/json"), "{accept}");
    }
}

/// Guards that every request is answered with a 504 before its client times out.
#[tokio::test(start_paused = true)]
async fn a_hanging_backend_is_a_504() {
    let frontend = frontend(&Fake::new(Script::Hangs));
    for (method, target, seconds, client_waits) in [
        ("POST", "/api/sandboxes", 25, 30),
        ("GET", "/api/sandboxes", 8, 10),
        ("GET", "/api/sandboxes/abc", 8, 10),
        ("DELETE", "/api/sandboxes/abc", 12, 15),
        ("PATCH", "/api/sandboxes/abc", 12, 15),
        ("POST", "/api/sandboxes/abc/touch", 12, 15),
        ("POST", "/api/sandboxes/", 25, 30),
    ] {
        let start = Instant::now();
        let answer = answer(&frontend, request(method, target)).await;
        assert_eq!(answer.status(), 504, "{method}");
        assert_eq!(start.elapsed(), Duration::from_secs(seconds), "{method}");
        assert!(seconds < client_waits);
        assert_eq!(header(&answer, "retry-after"), Some("5"), "{method}");
        let detail = json_of(&answer)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(&format!("{seconds} s")), "{detail}");
    }
}

/// Guards that a panic is a 500, and does not affect the next request.
#[tokio::test]
async fn a_panic_affects_one_request_only() {
    let frontend = frontend(&Fake::new(Script::Panics));
    let first = answer(&frontend, request("GET", "/api/sandboxes/abc")).await;
    assert_eq!((first.status().as_u16(), json_of(&first)), (500, json!({"detail": "Internal Server Error"})));
    assert!(header(&first, "x-request-id").is_some());
    assert_eq!(answer(&frontend, request("GET", "/health")).await.status(), 200);
}

/// Guards that every response has a request id: the caller's own if it is valid.
#[tokio::test]
async fn every_response_has_a_request_id() {
    let frontend = frontend(&Fake::default());
    let mut seen = Vec::new();
    for target in ["/health", "/zzz", "/api/sandboxes", "/api/sandboxes/A", "*"] {
        let sent = answer(&frontend, request("GET", target).header("x-request-id", "trace-1.a_b")).await;
        assert_eq!(header(&sent, "x-request-id"), Some("trace-1.a_b"), "{target}");
        let generated = answer(&frontend, request("GET", target).header("x-request-id", "no good")).await;
        let generated = header(&generated, "x-request-id").unwrap().to_owned();
        assert!(!seen.contains(&generated), "{generated} is repeated");
        seen.push(generated);
    }
}

/// Guards that all of `/api` requires the key, whether or not the route exists, and that nothing else does.
#[tokio::test]
async fn the_key_is_checked_before_the_routes() {
    let fake = Fake::default();
    let frontend = frontend(&fake);
    for (method, target, status) in [
        ("GET", "/api", 401),
        ("GET", "/api/", 401),
        ("PUT", "/api/sandboxes", 401),
        ("DELETE", "/api/sandboxes/abc", 401),
        ("PATCH", "/api/sandboxes/abc", 401),
        ("POST", "/api/sandboxes/abc/touch", 401),
        ("GET", "/api/reaper", 401),
        ("POST", "/api/reaper/resume", 401),
        ("GET", "http://host/api/sandboxes", 401),
        ("GET", "/apis", 404),
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
        ("GET", "/health", 200),
        ("PUT", "/health", 405),
    ] {
        let bare = Request::builder().method(method).uri(target);
        assert_eq!(answer(&frontend, bare).await.status(), status, "{method} {target}");
    }
    assert_eq!(fake.calls(), Vec::<String>::new());
}

/// Guards that targets without a path are a 404, and that the absolute form is served.
#[tokio::test]
async fn unusual_targets_are_answered() {
    let frontend = frontend(&Fake::default());
    for (method, target, status) in [
        ("OPTIONS", "*", 404),
        ("CONNECT", "host:80", 404),
        ("GET", "http://host/health", 200),
        ("GET", "http://host", 404),
        ("GET", "http://host/api/sandboxes?x=1", 200),
        ("GET", "//health", 404),
        ("GET", "/", 404),
    ] {
        assert_eq!(answer(&frontend, request(method, target)).await.status(), status, "{method} {target}");
    }
}

/// Guards that a list is serialized once until something changes.
#[tokio::test]
async fn lists_are_cached_until_a_change() {
    let fake = Fake::with_sandboxes(1);
    let frontend = frontend(&fake);
    let list = async || json_of(&answer(&frontend, request("GET", "/api/sandboxes")).await);
    assert_eq!(list().await["count"], 1);
    assert_eq!(list().await["count"], 1);
    assert_eq!(fake.calls(), ["list"]);
    answer(&frontend, request("POST", "/api/sandboxes")).await;
    assert_eq!(list().await["count"], 2);
    assert_eq!(fake.calls(), ["list", "create abc", "list"]);
}

/// Guards that a list has the order of the backend, and its length.
#[tokio::test]
async fn lists_are_counted() {
    let answer = answer(&frontend(&Fake::with_sandboxes(3)), request("GET", "/api/sandboxes")).await;
    let body = json_of(&answer);
    let ids: Vec<_> = body["sandboxes"].as_array().unwrap().iter().map(|s| s["sandbox_id"].clone()).collect();
    assert_eq!((&body["count"], ids), (&json!(3), vec![json!("s0"), json!("s1"), json!("s2")]));
}

proptest! {
    /// Guards that for any method and target the response is JSON and not a 5xx, and that the backend is called only with
    /// valid ids.
    #[test]
    fn any_target_is_answered(
        method in prop_oneof!["GET", "DELETE", "POST", "PATCH", "PUT", "HEAD", "OPTIONS", "[A-Z]{1,8}"],
        prefix in prop_oneof![Just("/api/sandboxes/"), Just("/api/"), Just("/")],
        rest in "([a-zA-Z0-9._~!$&'()*+,;=:@/-]|%[0-9a-fA-F]{2}|%){0,40}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let fake = Fake::default();
        let target = format!("{prefix}{rest}");
        prop_assume!(target.parse::<http::Uri>().is_ok());
        let answer = runtime.block_on(answer(&frontend(&fake), request(&method, &target)));
        prop_assert!(!answer.status().is_server_error(), "{method} {target}: {answer:?}");
        prop_assert!(serde_json::from_slice::<Value>(answer.body()).is_ok(), "{method} {target}: {answer:?}");
        for call in fake.calls() {
            let id = call.split(' ').nth(1).unwrap_or("list");
            prop_assert!(SandboxId::parse(id).is_ok(), "{method} {target}: {call}");
        }
    }
}
