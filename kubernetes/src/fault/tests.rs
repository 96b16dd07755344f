use std::collections::BTreeMap;

use Certainty::{NotDone, Unknown};
use serde_json::Value;

use super::*;
use crate::fake::{self, Answer};

/// The meaning of each recorded error of a real API server. A recording without an entry fails the test.
const RECORDED: &[(&str, ClusterErrorKind, Certainty)] = &[
    ("apf-429", ClusterErrorKind::TooManyRequests, NotDone),
    ("namespace-get-missing", ClusterErrorKind::NotFound, NotDone),
    ("pod-create-already-exists", ClusterErrorKind::AlreadyExists, NotDone),
    ("pod-create-bad-quantity", ClusterErrorKind::Invalid, NotDone),
    ("pod-create-hostpath-dotdot", ClusterErrorKind::Invalid, NotDone),
    ("pod-create-invalid-label-value", ClusterErrorKind::Invalid, NotDone),
    ("pod-create-invalid-name-uppercase", ClusterErrorKind::Invalid, NotDone),
    ("pod-create-name-too-long-254", ClusterErrorKind::Invalid, NotDone),
    ("pod-create-namespace-missing", ClusterErrorKind::NamespaceMissing, NotDone),
    ("pod-create-namespace-terminating", ClusterErrorKind::NamespaceTerminating, NotDone),
    ("pod-create-no-containers", ClusterErrorKind::Invalid, NotDone),
    ("pod-create-not-json", ClusterErrorKind::Invalid, NotDone),
    ("pod-create-quota-exceeded", ClusterErrorKind::QuotaExceeded, NotDone),
    ("pod-create-rbac-forbidden", ClusterErrorKind::Forbidden, NotDone),
    ("pod-create-unknown-field-strict", ClusterErrorKind::Invalid, NotDone),
    ("pod-create-volume-mount-missing-volume", ClusterErrorKind::Invalid, NotDone),
    ("pod-create-while-terminating", ClusterErrorKind::Terminating, NotDone),
    ("pod-create-wrong-kind", ClusterErrorKind::Invalid, NotDone),
    ("pod-delete-missing", ClusterErrorKind::NotFound, NotDone),
    ("pod-delete-uid-precondition-fails", ClusterErrorKind::Conflict, NotDone),
    ("pod-get-after-finalizer", ClusterErrorKind::NotFound, NotDone),
    ("pod-get-missing", ClusterErrorKind::NotFound, NotDone),
    ("pod-json-patch-test-fails", ClusterErrorKind::Invalid, NotDone),
    ("pod-list-bad-continue", ClusterErrorKind::Invalid, NotDone),
    ("pod-list-rv-future", ClusterErrorKind::TimedOut, Unknown),
    ("pod-merge-patch-stale-rv", ClusterErrorKind::Conflict, NotDone),
    ("pod-patch-immutable-spec", ClusterErrorKind::Invalid, NotDone),
    ("pods-list-anonymous", ClusterErrorKind::Forbidden, NotDone),
    ("pods-list-bad-token", ClusterErrorKind::Unauthorized, NotDone),
    ("pods-watch-bad-rv", ClusterErrorKind::ServerError, Unknown),
    ("svc-create-again", ClusterErrorKind::AlreadyExists, NotDone),
    ("svc-create-name-64", ClusterErrorKind::Invalid, NotDone),
    ("svc-create-nodeport-out-of-range", ClusterErrorKind::Invalid, NotDone),
    ("svc-create-nodeport-range-4", ClusterErrorKind::NodePortsExhausted, NotDone),
    ("svc-create-nodeport-taken", ClusterErrorKind::Invalid, NotDone),
    ("svc-create-quota-exceeded", ClusterErrorKind::QuotaExceeded, NotDone),
    ("svc-create-under-quota", ClusterErrorKind::QuotaExceeded, NotDone),
    ("svc-get-after-owner-deleted", ClusterErrorKind::NotFound, NotDone),
    ("svc-get-missing", ClusterErrorKind::NotFound, NotDone),
];

/// Sends a request to a server with one fixed answer, and classifies the result.
async fn meaning(verb: Verb, answer: impl Fn() -> Answer + Send + Sync + 'static) -> ClassifiedError {
    let (connection, _) = fake::server(move |_, _| answer());
    let request = http::Request::get("/x").body(Vec::new()).unwrap();
    let error =
        connection.calls().unwrap().request::<Value>(request, Duration::from_secs(8)).await.unwrap_err();
    classify(verb, &error)
}

/// Guards the meaning of every recorded error, parsed from its bytes.
#[tokio::test(start_paused = true)]
async fn recorded_errors_have_their_meaning() {
    let recorded: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/recordings/transcripts.json")).unwrap();
    let mut expected: BTreeMap<_, _> = RECORDED.iter().map(|(name, kind, c)| (*name, (*kind, *c))).collect();
    for case in recorded {
        let code = u16::try_from(case["response"]["status"].as_u64().unwrap()).unwrap();
        if code < 400 {
            continue;
        }
        let name = case["name"].as_str().unwrap();
        let verb = match (
            case["request"]["method"].as_str().unwrap(),
            name.contains("watch"),
            name.contains("list"),
        ) {
            ("POST", ..) => Verb::Create,
            ("DELETE", ..) => Verb::Delete,
            (_, true, _) => Verb::Watch,
            (_, _, true) => Verb::List,
            _ => Verb::Get,
        };
        let body = case["response"]["body"].clone();
        let failed = meaning(verb, move || match &body {
            Value::String(_) => {
                Answer::Text(code, vec![("retry-after", "1")], "Too many requests, please try again later.\n")
            }
            body => Answer::Json(code, body.clone()),
        })
        .await;
        let Some((kind, certainty)) = expected.remove(name) else { panic!("{name} has no meaning yet") };
        assert_eq!((failed.fault.kind, failed.certainty), (kind, certainty), "{name}: {}", failed.fault);
    }
    assert_eq!(expected.keys().collect::<Vec<_>>(), Vec::<&&str>::new(), "no such recordings");
}

/// Guards the meanings of errors that are not recorded, but known from Kubernetes' source and from operation.
#[tokio::test(start_paused = true)]
async fn further_errors_have_their_meaning() {
    let webhook = "admission webhook \"policy.example\" denied the request: no hostPath";
    let failing =
        "Internal error occurred: failed calling webhook \"policy.example\": context deadline exceeded";
    let account = "pods \"a\" is forbidden: error looking up service account rec/default: serviceaccount \"default\" not found";
    let security = "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": hostPath volumes";
    let ports = "Service \"a\" is invalid: spec.ports[0].nodePort: Internal error: failed to allocate a nodePort: range is full";
    let addresses = "Internal error occurred: failed to allocate a serviceIP: range is full";
    let quota = "Operation cannot be fulfilled on resourcequotas \"q\": the object has been modified";
    for (verb, code, reason, message, kind, certainty) in [
        (Verb::Create, 403, "", webhook, ClusterErrorKind::Denied, NotDone),
        (Verb::Create, 400, "BadRequest", webhook, ClusterErrorKind::Denied, NotDone),
        (Verb::Create, 500, "InternalError", failing, ClusterErrorKind::Unreachable, NotDone),
        (Verb::Create, 403, "Forbidden", account, ClusterErrorKind::NamespaceMissing, NotDone),
        (Verb::Create, 403, "Forbidden", security, ClusterErrorKind::Denied, NotDone),
        (Verb::Create, 422, "Invalid", ports, ClusterErrorKind::NodePortsExhausted, NotDone),
        (Verb::Create, 500, "InternalError", addresses, ClusterErrorKind::QuotaExceeded, NotDone),
        (Verb::Create, 409, "Conflict", quota, ClusterErrorKind::Conflict, NotDone),
        (Verb::Create, 500, "", "etcdserver: request timed out", ClusterErrorKind::ServerError, Unknown),
        (Verb::Create, 504, "Timeout", "request did not complete", ClusterErrorKind::TimedOut, Unknown),
        (
            Verb::Create,
            503,
            "ServiceUnavailable",
            "the server is currently unable",
            ClusterErrorKind::Unreachable,
            NotDone,
        ),
        (
            Verb::Create,
            404,
            "NotFound",
            "the server could not find the requested resource",
            ClusterErrorKind::Other,
            NotDone,
        ),
        (
            Verb::Get,
            404,
            "NotFound",
            "the server could not find the requested resource",
            ClusterErrorKind::NotFound,
            NotDone,
        ),
    ] {
        let failed = meaning(verb, move || fake::failure(code, reason, message)).await;
        assert_eq!((failed.fault.kind, failed.certainty), (kind, certainty), "{code} {message}");
        assert_eq!(failed.fault.message, message, "the cluster's own words are passed on");
    }
}

/// Guards that a failed connection attempt had no effect, and that the outcome of a broken connection is unknown.
#[tokio::test(start_paused = true)]
async fn no_answer_is_certain_only_without_a_connection() {
    for (kind, meant, certainty) in [
        (io::ErrorKind::ConnectionRefused, ClusterErrorKind::Unreachable, NotDone),
        (io::ErrorKind::ConnectionReset, ClusterErrorKind::ServerError, Unknown),
        (io::ErrorKind::BrokenPipe, ClusterErrorKind::ServerError, Unknown),
    ] {
        let failed = meaning(Verb::Create, move || Answer::Broken(kind)).await;
        assert_eq!((failed.fault.kind, failed.certainty), (meant, certainty), "{kind}");
    }
    let failed = meaning(Verb::Create, || Answer::Silence).await;
    assert_eq!((failed.fault.kind, failed.certainty), (ClusterErrorKind::TimedOut, Unknown));
    let failed = meaning(Verb::Create, || Answer::Text(201, vec![], "<html>welcome</html>")).await;
    assert_eq!(failed.certainty, Unknown, "a success that cannot be read was a success");
}

/// Guards that the wait is taken from the header, the `Status`, or the default for a 429.
#[tokio::test(start_paused = true)]
async fn retry_after_is_kept() {
    let seconds = |failed: ClassifiedError| failed.fault.retry_after.map(|wait| wait.as_secs());
    let with = |headers: &'static [(&'static str, &'static str)]| {
        move || Answer::Text(429, headers.to_vec(), "Too many requests")
    };
    assert_eq!(seconds(meaning(Verb::Get, with(&[("retry-after", "7")])).await), Some(7));
    assert_eq!(seconds(meaning(Verb::Get, with(&[])).await), Some(1));
    assert_eq!(
        seconds(meaning(Verb::Get, with(&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")])).await),
        Some(1)
    );
    let detailed = || {
        Answer::Json(
            504,
            serde_json::json!({"kind": "Status", "status": "Failure", "code": 504, "details": {"retryAfterSeconds": 3}}),
        )
    };
    assert_eq!(seconds(meaning(Verb::Get, detailed).await), Some(3));
    assert_eq!(seconds(meaning(Verb::Get, || fake::failure(500, "", "x")).await), None);
}

/// Guards that the error page of a proxy is not passed on. It may contain anything, including our own headers.
#[tokio::test(start_paused = true)]
async fn a_foreign_error_page_is_not_passed_on() {
    let page = "<html>Your request: Authorization: Bearer s3cret</html>";
    let failed = meaning(Verb::Get, move || Answer::Text(502, vec![], page)).await;
    assert!(failed.fault.message.starts_with("HTTP 502 without a Kubernetes status"), "{}", failed.fault);
    assert!(!failed.fault.message.contains("s3cret"));
    // Its status code is not trusted either: a wrong 404 would make callers delete a running sandbox.
    for verb in [Verb::Get, Verb::Delete, Verb::Create] {
        let failed = meaning(verb, || Answer::Text(404, vec![], "404 page not found\n")).await;
        assert_eq!(failed.fault.kind, ClusterErrorKind::Unreachable, "{verb:?}");
    }
}

const VERBS: [Verb; 4] = [Verb::Create, Verb::Delete, Verb::Patch, Verb::Get];

/// Guards against wrong answers for each status of a proxy, with each body that is not a `Status` of Kubernetes: none
/// says that an object is missing, exists or conflicts, that a permission is missing or that a retry is useless. A 413
/// is the exception, because the request stays too large.
#[tokio::test(start_paused = true)]
async fn no_status_of_a_proxy_is_one_of_kubernetes() {
    let bodies = [
        "<!doctype html><html>Please sign in</html>",
        "",
        "{}",
        "[]",
        "404 page not found\n",
        r#"{"message":"no Route matched with those values"}"#,
        r#"{"status":"Failure","message":"pods \"sandbox-a\" not found","reason":"NotFound","code":404}"#,
        r#"{"kind":"Error","status":"Failure","message":"exceeded quota","reason":"AlreadyExists","code":409}"#,
        "\u{1f}\u{8b}\u{8}\0gzip",
    ];
    let statuses = [300, 301, 302, 307, 400, 401, 402, 403, 404, 405, 407, 408, 409, 410, 412, 418, 422, 429];
    for code in statuses.into_iter().chain([431, 451, 499, 500, 501, 502, 503, 504, 505, 520, 599]) {
        for (body, verb) in bodies.iter().flat_map(|body| VERBS.map(|verb| (*body, verb))) {
            let failed = meaning(verb, move || Answer::Text(code, vec![], body)).await;
            let kind = match code {
                401 => ClusterErrorKind::Unauthorized,
                429 => ClusterErrorKind::TooManyRequests,
                408 | 504 => ClusterErrorKind::TimedOut,
                500..=503 | 505.. => ClusterErrorKind::ServerError,
                _ => ClusterErrorKind::Unreachable,
            };
            assert_eq!(failed.fault.kind, kind, "{verb:?} {code} {body}");
            assert!(failed.fault.kind.is_passing(), "a 503 with Retry-After: {code}");
            let unknown = code == 408 || code >= 500;
            assert_eq!(failed.certainty, if unknown { Unknown } else { NotDone }, "{code}");
            assert!(failed.fault.message.starts_with(&format!("HTTP {code}")), "{}", failed.fault);
            assert!(!failed.is_uid_conflict() && !failed.is_version_conflict());
        }
    }
    let failed = meaning(Verb::Create, || Answer::Text(413, vec![], "<html>")).await;
    assert_eq!((failed.fault.kind, failed.certainty), (ClusterErrorKind::Invalid, NotDone));
}

/// Guards that a success of a proxy is not taken for one of Kubernetes, that its outcome is unknown, and that the error
/// names the proxy's answer.
#[tokio::test(start_paused = true)]
async fn no_success_of_a_proxy_is_one_of_kubernetes() {
    let html = "HTTP 200 with text/html";
    let unreadable = "the answer could not be understood";
    for (code, headers, body, message) in [
        (200, vec![("content-type", "text/html; charset=utf-8")], "<html>", html),
        (200, vec![("content-type", "TEXT/HTML")], "{}", html),
        (200, vec![], "<html>", unreadable),
        (200, vec![], "", unreadable),
        (200, vec![], "[]", unreadable),
        (200, vec![], "{}", unreadable),
        (200, vec![("content-type", "application/json")], r#"{"status":"ok"}"#, unreadable),
        (200, vec![], r#"{"kind":7,"metadata":{"uid":"u"}}"#, unreadable),
        (
            200,
            vec![("content-type", "application/vnd.kubernetes.protobuf")],
            "k8s",
            "HTTP 200 with application/vnd",
        ),
        (200, vec![("content-encoding", "gzip")], "\u{1f}\u{8b}", "HTTP 200 with the encoding gzip"),
        (200, vec![("content-type", "text/Bearer s3cret")], "x", "HTTP 200 with text/bearer, which"),
        (202, vec![("content-type", "text/plain")], "queued", "HTTP 202 with text/plain"),
        (204, vec![], "", "HTTP 204 with no body"),
        (204, vec![("content-type", "application/json")], "", "HTTP 204 with no body"),
    ] {
        for verb in VERBS {
            let (headers, expected) = (headers.clone(), message);
            let failed = meaning(verb, move || Answer::Text(code, headers.clone(), body)).await;
            assert_eq!(
                (failed.fault.kind, failed.certainty),
                (ClusterErrorKind::ServerError, Unknown),
                "{body}"
            );
            assert!(failed.fault.message.starts_with(expected), "{verb:?} {code} {body}: {}", failed.fault);
            assert!(
                failed.fault.message.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                "{}",
                failed.fault
            );
        }
    }
    let json =
        || Answer::Text(200, vec![("content-type", "application/json; charset=utf-8")], r#"{"kind":"Pod"}"#);
    let (connection, _) = fake::server(move |_, _| json());
    let request = http::Request::get("/").body(Vec::new()).unwrap();
    let answer = connection.calls().unwrap().request::<Value>(request, Duration::from_secs(5)).await;
    assert_eq!(answer.unwrap()["kind"], "Pod");
}

/// Guards that credentials are masked in an answer in Kubernetes' own format, because a webhook or proxy may repeat
/// them.
#[tokio::test(start_paused = true)]
async fn credentials_in_an_answer_are_not_passed_on() {
    for (code, message, told) in [
        (403, "denied: Authorization: Bearer s3cret for x", "denied: Authorization: Bearer *** for x"),
        (500, "got 'basic s3cret'", "got 'basic ***"),
        (400, "a BEARER\ts3cret", "a BEARER\t***"),
        (422, "the name of the bearer", "the name of the bearer"),
        (401, "token s3cret has expired", CREDENTIALS_REFUSED),
    ] {
        let failed = meaning(Verb::Get, move || fake::failure(code, "", message)).await;
        assert_eq!(failed.fault.message, told);
    }
}
