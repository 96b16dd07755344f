//! `GET /api/sandboxes/{id}/timeline`: the response, and which requests get it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use lifecycle::{
    error::SandboxError,
    lifetime::{Clocks, LifetimeAnnotations, ReapReason},
    observed::{ObservedPod, ObservedService, PodTimes, ResourceVersion, Uid},
    phase::{Phase, Reason},
    spec::ObservedSpec,
    timeline::{Report, Snapshot, Step, TEXT_MAX, Timeline},
};
use sandbox_provisioner::http::body;
use serde_json::{Value, json};

use crate::{
    fake::{Fake, Script},
    server::{self, KEY},
};

const PATH: &str = "/api/sandboxes/abc/timeline";

/// Returns the status, the `Allow` header and the body of a request with this key.
async fn ask(fake: &Fake, method: &str, path: &str, key: &str) -> (u16, Option<String>, Value) {
    let frontend = server::frontend(fake.clone(), body::Limits::default(), Vec::new());
    let request = Request::builder().method(method).uri(path).header("x-api-key", key);
    let answer = frontend.answer(request.body(Full::<Bytes>::default()).unwrap(), None).await;
    let allow = answer.headers().get("allow").map(|allow| allow.to_str().unwrap().to_owned());
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, allow, serde_json::from_slice(&body).unwrap_or_default())
}

fn pod() -> ObservedPod {
    ObservedPod {
        uid: Uid("u-1".into()),
        version: ResourceVersion(1),
        phase: Phase::Pending,
        ready: false,
        terminating: false,
        reason: None,
        created: None,
        times: PodTimes::default(),
        spec: ObservedSpec::default(),
        annotations: LifetimeAnnotations::default(),
    }
}

fn service() -> ObservedService {
    ObservedService {
        uid: Uid("s".into()),
        version: ResourceVersion(1),
        terminating: false,
        url: Some("http://h:30000".into()),
        internal_url: None,
    }
}

/// Returns the report of a sandbox that has pulled its image, was used, and was reaped.
fn report() -> Report {
    let start = Clocks { monotonic: Instant::now(), wall: "2026-01-02T03:04:05.006Z".parse().unwrap() };
    let after = |ms| Clocks { monotonic: start.monotonic + Duration::from_millis(ms), ..start };
    let mut timeline = Timeline::of_request(start.monotonic, None, start);
    let (service, ready) = (service(), ObservedPod { ready: true, ..pod() });
    let observe = |timeline: &mut Timeline, pod: Option<&ObservedPod>, reason: Option<Reason>, ms| {
        let reason = reason.map(Arc::new);
        let seen = Snapshot { pod, service: Some(&service), reason, is_shown: true, is_listed: false };
        timeline.observe(&seen, after(ms), TEXT_MAX);
    };
    let why = Reason::new("FailedMount", Some("volume \"user-data\" : no such directory"));
    observe(&mut timeline, Some(&pod()), Some(why), 20);
    timeline.record(Step::Pulling("registry/image:1".into()), None, after(1000), TEXT_MAX);
    let pulled = Step::Pulled { image: "registry/image:1".into(), was_present: false };
    timeline.record(pulled, None, after(12_034), TEXT_MAX);
    let pulled = Step::Pulled { image: "other".into(), was_present: true };
    timeline.record(pulled, None, after(12_034), TEXT_MAX);
    observe(&mut timeline, Some(&ready), None, 14_000);
    timeline.touch(after(15_000), TEXT_MAX);
    timeline.touch(after(16_000), TEXT_MAX);
    timeline.record(Step::Reaped(ReapReason::Idle), None, after(20_000), TEXT_MAX);
    observe(&mut timeline, None, None, 20_500);
    timeline.report(after(30_000))
}

/// Guards each field of the response.
#[tokio::test]
async fn a_timeline_says_where_the_time_went() {
    let fake = Fake::that_reports("abc", report());
    let (status, _, body) = ask(&fake, "GET", PATH, KEY).await;
    let hint =
        "check THREADS_HOST_PATH or USERDATA_PVC_NAME: the path or the claim must exist where the Pod runs";
    let wanted = json!({
        "sandbox_id": "abc", "container_id": "u-1", "over": true, "ready_after_ms": 14_000, "omitted": 0,
        "slowest": {"from": "pulling", "to": "pulled", "duration_ms": 11_034, "image": "registry/image:1"},
        "steps": [
            {"step": "accepted", "at": "2026-01-02T03:04:05.006Z", "duration_ms": 0},
            {"step": "creating", "at": "2026-01-02T03:04:05.006Z", "duration_ms": 0},
            {"step": "pod_created", "at": "2026-01-02T03:04:05.026Z", "duration_ms": 20},
            {"step": "service_created", "at": "2026-01-02T03:04:05.026Z", "duration_ms": 0},
            {"step": "warning", "at": "2026-01-02T03:04:05.026Z", "duration_ms": 0, "reason": "FailedMount",
             "message": "volume \"user-data\" : no such directory", "hint": hint},
            {"step": "pulling", "at": "2026-01-02T03:04:06.006Z", "duration_ms": 980, "image": "registry/image:1"},
            {"step": "pulled", "at": "2026-01-02T03:04:17.04Z", "duration_ms": 11_034, "image": "registry/image:1"},
            {"step": "pulled", "at": "2026-01-02T03:04:17.04Z", "duration_ms": 0, "image": "other",
             "message": "the image was on the node already"},
            {"step": "ready", "at": "2026-01-02T03:04:19.006Z", "duration_ms": 1966},
            {"step": "touched", "at": "2026-01-02T03:04:20.006Z", "duration_ms": 1000, "count": 2,
             "last_at": "2026-01-02T03:04:21.006Z"},
            {"step": "reaped", "at": "2026-01-02T03:04:25.006Z", "duration_ms": 6000, "reason": "IdleTimeout",
             "message": "the sandbox has had no activity for its idle timeout"},
            {"step": "gone", "at": "2026-01-02T03:04:25.506Z", "duration_ms": 500},
        ],
    });
    assert_eq!((status, body), (200, wanted));
}

/// Guards that the time of a start that has not ended yet has no end, and that it names its problem.
#[tokio::test]
async fn a_start_that_goes_on_has_no_end() {
    let start = Clocks { monotonic: Instant::now(), wall: "2026-01-02T03:04:05Z".parse().unwrap() };
    let mut timeline = Timeline::of_request(start.monotonic, None, start);
    let reason = Some(Arc::new(Reason::new("Unschedulable", Some("no room"))));
    let seen = Snapshot { pod: Some(&pod()), service: None, reason, is_shown: true, is_listed: false };
    timeline.observe(&seen, start, TEXT_MAX);
    let later = Clocks { monotonic: start.monotonic + Duration::from_secs(9), ..start };
    let (_, _, body) = ask(&Fake::that_reports("abc", timeline.report(later)), "GET", PATH, KEY).await;
    assert_eq!((&body["over"], &body["ready_after_ms"]), (&json!(false), &Value::Null));
    let hint = "no node has room or fits; see `kubectl describe pod` and `kubectl get nodes`";
    let slowest = json!({
        "from": "pod_created", "to": null, "duration_ms": 9000,
        "reason": "Unschedulable", "message": "no room", "hint": hint,
    });
    assert_eq!(body["slowest"], slowest);
}

/// Guards that a sandbox without a timeline is a 404, with when it was reaped; that other methods, keys and ids are answered
/// as for the sandbox itself; and that an error of the backend is one.
#[tokio::test]
async fn other_requests_are_answered_as_for_the_sandbox() {
    let reaped = Fake::that_reaped("abc");
    let (status, _, body) = ask(&reaped, "GET", PATH, KEY).await;
    assert_eq!((status, &body["reaped"]["reason"]), (404, &json!("IdleTimeout")));
    let fake = Fake::that_reports("abc", report());
    for (method, path, key, wanted, allow) in [
        ("GET", "/api/sandboxes/abc/timeline/", KEY, 200, None),
        ("GET", "/api/sandboxes/abd/timeline", KEY, 404, None),
        ("GET", "/api/sandboxes/a%20b/timeline", KEY, 404, None),
        ("GET", "/api/sandboxes/abc/timeline/x", KEY, 404, None),
        ("GET", PATH, "wrong", 401, None),
        ("HEAD", PATH, KEY, 405, Some("GET")),
        ("POST", PATH, KEY, 405, Some("GET")),
        ("DELETE", PATH, KEY, 405, Some("GET")),
    ] {
        let (status, allowed, _) = ask(&fake, method, path, key).await;
        assert_eq!((status, allowed.as_deref()), (wanted, allow), "{method} {path}");
    }
    assert_eq!(fake.calls(), ["timeline abc", "timeline abd"]);
    let stale = SandboxError::Stale { why: "x".to_owned(), retry_after: Duration::from_secs(5) };
    let (status, _, body) = ask(&Fake::new(Script::Fails(stale)), "GET", PATH, KEY).await;
    assert_eq!((status, &body["reason"]), (503, &json!("Stale")));
}
