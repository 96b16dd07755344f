mod kept_requests;
mod logs;
mod resizes;
mod slow_admission;

use std::time::Duration;

use lifecycle::{
    budget::POST_PATIENCE,
    lifetime::{LifetimeAnnotations, LifetimePatch, LimitsPatch},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::{
    connect::Limits,
    fake::{self, Answer, Asked, Log, failure, pod, service},
};

fn id() -> SandboxId {
    SandboxId::parse("a").unwrap()
}

fn create_pod(cluster: &KubeCluster) -> BoxFuture<'_, Outcome<Creation<ObservedPod>>> {
    let manifests = cluster.manifests(&CreateRequest::new(id())).unwrap();
    cluster.create_pod(id(), manifests.pod.unwrap(), until())
}

fn create_service(cluster: &KubeCluster) -> BoxFuture<'_, Outcome<Creation<ObservedService>>> {
    let manifests = cluster.manifests(&CreateRequest::new(id())).unwrap();
    cluster.create_service(id(), manifests.service, until())
}

/// The time until which the caller of a create that begins now waits.
fn until() -> std::time::Instant {
    (Instant::now() + POST_PATIENCE).into_std()
}

fn uid() -> Uid {
    Uid("ua".into())
}

fn only() -> Preconditions {
    Preconditions { uid: uid(), version: None }
}

/// Creates the calls on a scripted API server.
fn writes(script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> (KubeCluster, Log) {
    limited(script, Limits::default())
}

fn limited(
    script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static,
    limits: Limits,
) -> (KubeCluster, Log) {
    let (connection, log) = fake::limited(script, limits);
    (KubeCluster::new(connection, Arc::default(), ProbeOptions::default()), log)
}

fn storm() -> Answer {
    Answer::Text(429, vec![("retry-after", "1")], "Too many requests, please try again later.\n")
}

fn kind<T: std::fmt::Debug>(outcome: &Outcome<T>) -> (bool, ClusterErrorKind) {
    match outcome {
        Outcome::Done(done) => panic!("done: {done:?}"),
        Outcome::Refused(fault) => (true, fault.kind),
        Outcome::Unknown(fault) => (false, fault.kind),
    }
}

/// Guards that a create makes two writes and no read, and that the Service's answer contains the node port.
#[tokio::test(start_paused = true)]
async fn a_create_is_one_post_for_each_object() {
    let (writes, log) = writes(|_, asked| {
        if asked.path.ends_with("/pods") {
            Answer::Json(201, pod("a", "ua", 5, "Pending"))
        } else {
            Answer::Json(201, service("a", "us", 6, 31234))
        }
    });
    let (pod, service) = futures::future::join(create_pod(&writes), create_service(&writes)).await;
    let Outcome::Done(Creation::AsSent(pod)) = pod else { panic!("{pod:?}") };
    let Outcome::Done(Creation::AsSent(service)) = service else { panic!("{service:?}") };
    assert_eq!((pod.uid, pod.version.0, pod.terminating), (uid(), 5, false));
    assert_eq!(service.url.as_deref(), Some("http://host.docker.internal:31234"));
    let mut lines = log.lines();
    lines.sort();
    assert_eq!(lines, ["POST /api/v1/namespaces/rec/pods", "POST /api/v1/namespaces/rec/services"]);
    let sent = log.all();
    let named: Vec<&Value> = sent.iter().map(|asked| &asked.body["metadata"]["name"]).collect();
    assert!(named.contains(&&json!("sandbox-a")) && named.contains(&&json!("sandbox-a-svc")), "{named:?}");
}

/// Guards that without a connection every call is refused at once with the reason.
#[tokio::test(start_paused = true)]
async fn calls_without_a_connection_are_refused() {
    let connection = Connection::new("rec", Limits::default());
    let cluster = KubeCluster::new(connection, Arc::default(), ProbeOptions::default());
    let begun = Instant::now();
    let created = create_pod(&cluster).await;
    assert_eq!(kind(&created), (true, ClusterErrorKind::Unreachable));
    assert!(matches!(created, Outcome::Refused(fault) if fault.message == "not connected yet"));
    assert_eq!(kind(&cluster.delete_pod(id(), only()).await), (true, ClusterErrorKind::Unreachable));
    assert!(
        matches!(cluster.read(id(), KnownUids::default()).await, Err(fault) if fault.kind == ClusterErrorKind::Unreachable)
    );
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// Invariant 10: guards that each operation makes at most three calls during a storm of 429, waits as the server asks,
/// and reports that nothing was done.
#[tokio::test(start_paused = true)]
async fn a_storm_costs_three_calls_an_operation() {
    let (writes, log) = writes(|_, _| storm());
    let begun = Instant::now();
    assert_eq!(kind(&create_pod(&writes).await), (true, ClusterErrorKind::TooManyRequests));
    assert_eq!(log.len(), 3);
    assert!(begun.elapsed() >= Duration::from_secs(2), "Retry-After: 1 was waited for twice");
    assert_eq!(kind(&writes.delete_pod(id(), only()).await), (true, ClusterErrorKind::TooManyRequests));
    assert_eq!(log.len(), 6);
    assert!(
        matches!(writes.read(id(), KnownUids::default()).await, Err(f) if f.kind == ClusterErrorKind::TooManyRequests)
    );
    assert!(log.len() <= 12, "two reads of at most three calls each");
}

/// Guards that a create is not retried after a lost answer, because the caller reads first, and that a delete is
/// retried.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_unknown() {
    for lost in [
        || Answer::Broken(std::io::ErrorKind::ConnectionReset),
        || failure(500, "", "etcdserver: request timed out"),
        || Answer::Json(201, json!({"metadata": {"name": "sandbox-a"}})),
    ] {
        let (writes, log) = writes(move |_, _| lost());
        let (certain, _) = kind(&create_pod(&writes).await);
        assert!(!certain);
        assert_eq!(log.len(), 1);
    }
    let (writes, log) = writes(|before, _| match before {
        0 => Answer::Broken(std::io::ErrorKind::ConnectionReset),
        _ => failure(404, "NotFound", "pods \"sandbox-a\" not found"),
    });
    assert_eq!(writes.delete_pod(id(), only()).await, Outcome::Done(Deletion::Gone));
    assert_eq!(log.len(), 2);
}

/// Guards that the outcome is unknown if any of several attempts may have taken effect, even if the last one was
/// rejected.
#[tokio::test(start_paused = true)]
async fn unknown_is_not_forgotten_by_a_later_refusal() {
    let (writes, _) = writes(|before, _| match before {
        0 => Answer::Broken(std::io::ErrorKind::ConnectionReset),
        _ => failure(403, "Forbidden", "pods is forbidden: User \"x\" cannot delete resource \"pods\""),
    });
    assert_eq!(kind(&writes.delete_pod(id(), only()).await), (false, ClusterErrorKind::Forbidden));
}

/// Guards that an unreachable cluster is reported as certainly not having acted, and that a silent one ends the call at
/// its deadline.
#[tokio::test(start_paused = true)]
async fn an_absent_cluster_is_told_in_time() {
    let (refusing, log) = writes(|_, _| Answer::Broken(std::io::ErrorKind::ConnectionRefused));
    assert_eq!(kind(&create_pod(&refusing).await), (true, ClusterErrorKind::Unreachable));
    assert_eq!(log.len(), 3);
    let (silent, log) = writes(|_, _| Answer::Silence);
    let begun = Instant::now();
    assert_eq!(kind(&create_service(&silent).await), (false, ClusterErrorKind::TimedOut));
    let Limits { write, read, .. } = Limits::default();
    assert_eq!(begun.elapsed(), write + read, "a read is not answered either");
    assert_eq!(log.len(), 2);
}

/// Guards that calls over the limit wait, and that they are rejected without being sent at their deadline.
#[tokio::test(start_paused = true)]
async fn calls_in_flight_are_bounded() {
    let limits = Limits { in_flight: 2, ..Limits::default() };
    let (writes, log) = limited(|_, _| Answer::Silence, limits);
    let outcomes = futures::future::join_all((0..5).map(|_| create_pod(&writes))).await;
    let certain = outcomes.iter().filter(|o| kind(o) == (true, ClusterErrorKind::TooManyRequests)).count();
    assert_eq!((log.len(), certain), (2, 3));
}

/// Guards that creates never use all calls in flight, so that deletes and reads are not blocked by waiting creates.
#[tokio::test(start_paused = true)]
async fn creates_leave_calls_to_others() {
    let limits = Limits { in_flight: 4, ..Limits::default() };
    assert_eq!(limits.creates_at_once(), 1);
    assert_eq!(
        (Limits::default().creates_at_once(), Limits { in_flight: 1, ..limits }.creates_at_once()),
        (24, 1)
    );
    let (writes, log) = limited(
        |_, asked| if asked.method == "POST" { Answer::Silence } else { failure(404, "NotFound", "gone") },
        limits,
    );
    let creates = futures::future::join_all((0..50).map(|_| create_pod(&writes)));
    let others = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let begun = Instant::now();
        assert_eq!(writes.delete_pod(id(), only()).await, Outcome::Done(Deletion::Gone));
        assert_eq!(writes.read(id(), KnownUids::default()).await, Ok(Lookup::default()));
        begun.elapsed()
    };
    let (_, took) = futures::join!(creates, others);
    assert_eq!(took, Duration::ZERO);
    assert_eq!(log.lines().iter().filter(|line| line.starts_with("POST")).count(), 3);
}

/// Guards that errors that a retry cannot fix are returned at once.
#[tokio::test(start_paused = true)]
async fn what_does_not_pass_by_itself_is_not_repeated() {
    let quota = "pods \"a\" is forbidden: exceeded quota: q, requested: pods=1";
    for (code, reason, message, meant) in [
        (409, "AlreadyExists", "pods \"sandbox-a\" already exists", ClusterErrorKind::AlreadyExists),
        (
            409,
            "AlreadyExists",
            "object is being deleted: pods \"a\" already exists",
            ClusterErrorKind::Terminating,
        ),
        (403, "Forbidden", quota, ClusterErrorKind::QuotaExceeded),
        (
            500,
            "InternalError",
            "failed to allocate a nodePort: range is full",
            ClusterErrorKind::NodePortsExhausted,
        ),
        (401, "Unauthorized", "Unauthorized", ClusterErrorKind::Unauthorized),
        (422, "Invalid", "Pod \"a\" is invalid", ClusterErrorKind::Invalid),
    ] {
        let (writes, log) = writes(move |_, _| failure(code, reason, message));
        assert_eq!(kind(&create_pod(&writes).await), (true, meant));
        assert_eq!(log.len(), 1, "{message}");
    }
}

/// Guards that a create recreates a deleted namespace once and then continues.
#[tokio::test(start_paused = true)]
async fn a_missing_namespace_is_made_once() {
    let (writes, log) = writes(|before, asked| match (asked.method.as_str(), before) {
        ("POST", 0) => Answer::Json(
            404,
            json!({"status": "Failure", "reason": "NotFound", "message": "namespaces \"rec\" not found", "code": 404,
                   "details": {"name": "rec", "kind": "namespaces"}}),
        ),
        ("GET", _) => failure(404, "NotFound", "namespaces \"rec\" not found"),
        ("POST", 2) => Answer::Json(201, json!({})),
        _ => Answer::Json(201, pod("a", "ua", 5, "Pending")),
    });
    assert!(matches!(create_pod(&writes).await, Outcome::Done(_)));
    assert_eq!(
        log.lines(),
        [
            "POST /api/v1/namespaces/rec/pods",
            "GET /api/v1/namespaces/rec",
            "POST /api/v1/namespaces",
            "POST /api/v1/namespaces/rec/pods",
        ]
    );
}

/// Guards that a create keeps its deadline if the namespace cannot be created.
#[tokio::test(start_paused = true)]
async fn a_silent_namespace_keeps_the_deadline() {
    let (writes, _) = writes(|before, _| match before {
        0 => Answer::Json(
            404,
            json!({"status": "Failure", "reason": "NotFound", "message": "namespaces \"rec\" not found", "code": 404}),
        ),
        _ => Answer::Silence,
    });
    let begun = Instant::now();
    let (certain, _) = kind(&create_pod(&writes).await);
    assert!(certain);
    assert!(begun.elapsed() <= Limits::default().write, "{:?}", begun.elapsed());
}

/// Invariant 9: guards that a delete has the uid as a precondition, and that a Pod gets its grace period.
#[tokio::test(start_paused = true)]
async fn a_delete_carries_its_uid() {
    let (writes, log) = writes(|_, _| failure(404, "NotFound", "not found"));
    assert_eq!(writes.delete_pod(id(), only()).await, Outcome::Done(Deletion::Gone));
    assert_eq!(writes.delete_service(id(), only()).await, Outcome::Done(Deletion::Gone));
    let asked = log.all();
    assert_eq!(
        log.lines(),
        [
            "DELETE /api/v1/namespaces/rec/pods/sandbox-a",
            "DELETE /api/v1/namespaces/rec/services/sandbox-a-svc",
        ]
    );
    assert_eq!(asked[0].body["preconditions"], json!({"uid": "ua"}));
    assert_eq!(asked[0].body["gracePeriodSeconds"], 10);
    assert_eq!(asked[1].body["preconditions"], json!({"uid": "ua"}));
}

/// Guards that a delete with an outdated resourceVersion returns the conflict at once, and does not count as a
/// completed deletion.
#[tokio::test(start_paused = true)]
async fn a_delete_of_another_state_is_refused() {
    // The recorded text of the API server, and the text of its storage layer.
    for message in [
        "Operation cannot be fulfilled on Pod \"sandbox-a\": the ResourceVersion in the precondition (5) does not \
         match the ResourceVersion in record (7). The object might have been modified",
        "Operation cannot be fulfilled on pods \"sandbox-a\": StorageError: invalid object, Code: 4, Key: /pods/a, \
         ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: ResourceVersion in precondition: 5, \
         ResourceVersion in object meta: 7",
    ] {
        let (writes, log) = writes(move |_, _| failure(409, "Conflict", message));
        let only = Preconditions { uid: uid(), version: Some(ResourceVersion(5)) };
        assert_eq!(kind(&writes.delete_pod(id(), only).await), (true, ClusterErrorKind::Conflict));
        assert_eq!(log.len(), 1, "trying again would change nothing");
        assert_eq!(log.all()[0].body["preconditions"], json!({"uid": "ua", "resourceVersion": "5"}));
    }
}

/// Guards that annotations are written by one patch that changes only annotations, is bound to the uid, and removes
/// absent ones.
#[tokio::test(start_paused = true)]
async fn marks_are_one_patch() {
    let (writes, log) = writes(|_, asked| {
        let mut answer = pod("a", "ua", 8, "Running");
        answer["metadata"]["annotations"] = asked.body["metadata"]["annotations"].clone();
        Answer::Json(200, answer)
    });
    let patch = LifetimePatch {
        limits: LimitsPatch { ttl: Some(None), idle_timeout: Some(Some(Duration::from_secs(900))) },
        last_activity: Some("2026-11-21T04:20:13.25Z".parse().unwrap()),
        owner: None,
    };
    let annotations = patch.clone().applied_to(&LifetimeAnnotations::default());
    let Outcome::Done(seen) = writes.write_annotations(id(), uid(), patch).await else { panic!("not done") };
    assert_eq!((seen.uid, seen.version, seen.annotations), (uid(), ResourceVersion(8), annotations));
    assert_eq!(log.lines(), ["PATCH /api/v1/namespaces/rec/pods/sandbox-a"]);
    let expected = json!({"metadata": {"uid": "ua", "annotations": {
        "sandbox-provisioner/ttl": null,
        "sandbox-provisioner/idle-timeout": "15m",
        "sandbox-provisioner/last-activity": "2026-11-21T04:20:13.25Z",
    }}});
    assert_eq!(log.all()[0].body, expected);
}

/// Guards that a patch of a deleted or recreated Pod is refused, for every error that the API server may return, and
/// that a patch is retried after a lost answer.
#[tokio::test(start_paused = true)]
async fn a_patch_of_another_life_is_refused() {
    let conflict = "Operation cannot be fulfilled on pods \"sandbox-a\": the UID in the precondition (ua) does not \
                    match the UID in record (ub). The object might have been deleted and then recreated";
    let invalid = || {
        let cause = json!({"reason": "FieldValueInvalid", "field": "metadata.uid",
                           "message": "Invalid value: \"ua\": field is immutable"});
        Answer::Json(
            422,
            json!({"status": "Failure", "reason": "Invalid", "message": "Pod \"sandbox-a\" is invalid", "code": 422,
                   "details": {"name": "sandbox-a", "kind": "Pod", "causes": [cause]}}),
        )
    };
    let write = async |answer: Box<dyn Fn(usize) -> Answer + Send + Sync>| {
        let (writes, log) = writes(move |before, _| answer(before));
        let outcome = writes.write_annotations(id(), uid(), LifetimePatch::default()).await;
        (outcome, log.len())
    };
    let (outcome, calls) = write(Box::new(move |_| failure(409, "Conflict", conflict))).await;
    assert_eq!((kind(&outcome), calls), ((true, ClusterErrorKind::Conflict), 1));
    let (outcome, _) = write(Box::new(move |_| invalid())).await;
    assert_eq!(kind(&outcome), (true, ClusterErrorKind::Conflict));
    let gone = "pods \"sandbox-a\" not found";
    let (outcome, calls) = write(Box::new(move |_| failure(404, "NotFound", gone))).await;
    assert_eq!((kind(&outcome), calls), ((true, ClusterErrorKind::NotFound), 1));
    let (outcome, calls) = write(Box::new(|before| match before {
        0 => Answer::Broken(std::io::ErrorKind::ConnectionReset),
        _ => Answer::Json(200, pod("a", "ua", 8, "Running")),
    }))
    .await;
    assert!(matches!(outcome, Outcome::Done(_)));
    assert_eq!(calls, 2);
}

/// Guards that the deletion time, the grace period and the finalizers in a delete's answer distinguish a terminating
/// object from a removed one.
#[tokio::test(start_paused = true)]
async fn a_deleted_object_is_gone_or_leaving() {
    let uid_conflict = "Operation cannot be fulfilled on Pod \"a\": the UID in the precondition (1) does not match \
                        the UID in record (2). The object might have been deleted and then recreated";
    for (answer, leaving) in [
        (json!({"deletionTimestamp": "2026-11-21T04:20:48Z", "deletionGracePeriodSeconds": 10}), true),
        (json!({"deletionTimestamp": "2026-11-21T04:20:48Z", "deletionGracePeriodSeconds": 0}), false),
        (
            json!({"deletionTimestamp": "2026-11-21T04:20:48Z", "deletionGracePeriodSeconds": 0, "finalizers": ["x/y"]}),
            true,
        ),
        (json!({"deletionTimestamp": "2026-11-21T04:20:48Z"}), true),
        // A recorded deletion of a Service shows its last state.
        (json!({}), false),
    ] {
        let mut deleted = pod("a", "ua", 7, "Running");
        deleted["metadata"].as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
        let shown = deleted.clone();
        let (writes, _) = writes(move |_, _| Answer::Json(200, shown.clone()));
        match writes.delete_pod(id(), only()).await {
            Outcome::Done(Deletion::Terminating(pod)) => assert!(leaving && pod.terminating, "{answer}"),
            Outcome::Done(Deletion::Gone) => assert!(!leaving, "{answer}"),
            other => panic!("{other:?}"),
        }
    }
    let (conflict, log) = writes(move |_, _| failure(409, "Conflict", uid_conflict));
    assert_eq!(
        conflict.delete_pod(id(), only()).await,
        Outcome::Done(Deletion::Gone),
        "the name has a new life"
    );
    assert_eq!(log.len(), 1);
    let (status, _) =
        writes(|_, _| Answer::Json(200, json!({"kind": "Status", "status": "Success", "details": {}})));
    assert_eq!(status.delete_service(id(), only()).await, Outcome::Done(Deletion::Gone));
}

/// Guards that a Pod whose labels were changed is recognised by its container, and that an object with a known uid is
/// ours with any labels.
#[tokio::test(start_paused = true)]
async fn a_relabelled_object_is_recognised() {
    let (writes, _) = writes(|_, asked| {
        let mut found = if asked.path.contains("/pods/") {
            pod("a", "ua", 5, "Running")
        } else {
            service("a", "us", 6, 30001)
        };
        found["metadata"]["labels"] = json!({"team": "x"});
        Answer::Json(200, found)
    });
    let Lookup { seen, foreign } = writes.read(id(), KnownUids::default()).await.unwrap();
    assert_eq!(seen, Observed::default());
    assert_eq!(foreign, Some(Foreign { what: "Pod \"sandbox-a\"".into(), is_relabelled: true }));
    let known = KnownUids { pod: Some(uid()), service: None };
    let Lookup { seen, foreign } = writes.read(id(), known).await.unwrap();
    assert!(seen.pod.is_some() && seen.service.is_none());
    assert_eq!(foreign, Some(Foreign { what: "Service \"sandbox-a-svc\"".into(), is_relabelled: true }));
}

/// Guards that a create whose answer differs from the request is reported as altered, and that an object with another
/// name is deleted under it.
#[tokio::test(start_paused = true)]
async fn an_altered_create_is_reported() {
    let (stripped, log) = writes(|_, _| {
        let mut object = pod("a", "ua", 5, "Pending");
        object["metadata"]["labels"] = json!({"team": "x"});
        Answer::Json(201, object)
    });
    let Outcome::Done(Creation::Altered(pod_of_a, fault)) = create_pod(&stripped).await else {
        panic!("not altered")
    };
    assert_eq!((pod_of_a.uid, fault.kind, log.len()), (uid(), ClusterErrorKind::Mutated, 1));
    let (renamed, log) = writes(|_, asked| {
        let mut object = pod("a", "ua", 5, "Pending");
        object["metadata"]["name"] = json!("x-sandbox-a");
        if asked.method == "POST" { Answer::Json(201, object) } else { Answer::Json(200, json!({})) }
    });
    assert!(matches!(create_pod(&renamed).await, Outcome::Done(Creation::Altered(..))));
    assert_eq!(
        log.lines(),
        ["POST /api/v1/namespaces/rec/pods", "DELETE /api/v1/namespaces/rec/pods/x-sandbox-a"]
    );
    assert_eq!(log.all()[1].body["preconditions"], json!({"uid": "ua"}));
}

/// Guards that a lookup makes two reads, and that it reports missing and foreign objects.
#[tokio::test(start_paused = true)]
async fn a_look_tells_ours_absent_and_strange() {
    let (ours, log) = writes(|_, asked| {
        if asked.path.contains("/pods/") {
            Answer::Json(200, pod("a", "ua", 5, "Running"))
        } else {
            failure(404, "NotFound", "services \"sandbox-a-svc\" not found")
        }
    });
    let seen = ours.read(id(), KnownUids::default()).await.unwrap().seen;
    assert!(seen.pod.is_some_and(|pod| pod.uid == uid()) && seen.service.is_none());
    assert_eq!(log.len(), 2);

    // A foreign Pod does not hide the result of the Service, not even an error.
    for (status, there) in [(200, true), (404, false), (403, false)] {
        let (strange, _) = writes(move |_, asked| {
            if asked.path.contains("/pods/") {
                let mut found = pod("a", "ua", 5, "Running");
                found["metadata"]["labels"] = json!({"app": "nginx"});
                found["spec"] = json!({"containers": [{"name": "nginx"}]});
                return Answer::Json(200, found);
            }
            match status {
                200 => Answer::Json(200, service("a", "us", 6, 30001)),
                404 => failure(404, "NotFound", "not found"),
                _ => failure(403, "Forbidden", "no"),
            }
        });
        match strange.read(id(), KnownUids::default()).await {
            Ok(look) => {
                let foreign = Foreign { what: "Pod \"sandbox-a\"".into(), is_relabelled: false };
                assert_eq!(look.foreign, Some(foreign));
                assert_eq!((look.seen.pod, look.seen.service.is_some()), (None, there));
            }
            Err(fault) => assert_eq!((fault.kind, status), (ClusterErrorKind::Forbidden, 403)),
        }
    }
}
