use serde_json::{Value, json};

use super::*;
use crate::object::SandboxObject as _;

/// Parses the JSON of a Pod and converts it.
pub(super) fn seen(pod: &Value) -> ObservedPod {
    super::pod(&serde_json::from_value(pod.clone()).unwrap()).unwrap()
}

/// Returns the phase, the readiness and the reason of a Pod with this status.
fn told(status: &Value) -> (Phase, bool, Option<String>) {
    let pod = seen(&json!({"metadata": {"uid": "u"}, "status": status}));
    (pod.phase, pod.ready, pod.reason.map(|r| r.name.to_string()))
}

pub(super) fn recorded(file: &str) -> Vec<Value> {
    serde_json::from_str(file).unwrap()
}

/// Guards the reason, the words and the advice of every Pod state that was recorded from a real kubelet.
#[test]
fn recorded_states_have_their_reason() {
    let exits = "the sandbox container exits";
    let mut expected = vec![
        (
            "badmount",
            Phase::Pending,
            false,
            Some(("ContainerCreating", "the Pod's volumes or network are not set up yet", "a volume cannot")),
        ),
        (
            "crash",
            Phase::Running,
            false,
            Some(("Error", "container sandbox exited with code 3, restarted 4 times", exits)),
        ),
        ("done", Phase::Succeeded, false, Some(("Completed", "container sandbox exited with code 0", ""))),
        ("failed", Phase::Failed, false, Some(("Error", "container sandbox exited with code 3", exits))),
        (
            "neverpull",
            Phase::Pending,
            false,
            Some(("ErrImageNeverPull", "Container image \"docker.io/local/none:1\" is not", "SANDBOX_IMAGE")),
        ),
        (
            "nopull",
            Phase::Pending,
            false,
            Some(("ImagePullBackOff", "Back-off pulling image \"127.0.0.1:9/none/such:1\"", "SANDBOX_IMAGE")),
        ),
        ("ok", Phase::Running, true, None),
        (
            "oom",
            Phase::Running,
            false,
            Some((
                "OOMKilled",
                "container sandbox was killed: out of memory, limit 64Mi, exit code 137, restarted 4 times",
                "the sandbox needed more memory than its limit",
            )),
        ),
        (
            "relmount",
            Phase::Running,
            false,
            Some(("RunContainerError", "failed to create containerd task", "could not be started")),
        ),
        (
            "unready",
            Phase::Running,
            false,
            Some(("ContainersNotReady", "containers with unready status: [sandbox]", "")),
        ),
    ];
    for case in recorded(include_str!("../../../tests/recordings/pod-states.json")) {
        let name = case["name"].as_str().unwrap();
        let at = expected.iter().position(|(n, ..)| *n == name);
        let Some(at) = at else { panic!("{name} has no reason yet") };
        let (_, phase, ready, reason) = expected.remove(at);
        let pod = seen(&case["pod"]);
        assert_eq!((pod.phase, pod.ready), (phase, ready), "{name}");
        assert_eq!(pod.reason.as_ref().map(|r| &*r.name), reason.map(|(reason, ..)| reason), "{name}");
        if let (Some(told), Some((_, words, hint))) = (&pod.reason, reason) {
            let message = told.message.as_deref().unwrap_or_default();
            assert!(message.starts_with(words), "{name}: {message}");
            assert_eq!(told.hint().is_some(), !hint.is_empty(), "{name}: {:?}", told.hint());
            assert!(told.hint().unwrap_or_default().contains(hint), "{name}: {:?}", told.hint());
        }
        assert!(
            pod.created.is_some() && pod.version > ResourceVersion::UNKNOWN && !pod.terminating,
            "{name}"
        );
    }
    assert!(expected.is_empty(), "no such recordings: {expected:?}");
}

/// Guards that the scheduler's recorded message is passed on unchanged.
#[test]
fn a_pod_without_a_node_is_unschedulable() {
    let transcripts = recorded(include_str!("../../../tests/recordings/transcripts.json"));
    for name in ["pod-get-unschedulable", "pod-get-node-selector-mismatch", "pod-get-pvc-missing"] {
        let case = transcripts.iter().find(|case| case["name"] == name).unwrap();
        let reason = seen(&case["response"]["body"]).reason.unwrap();
        assert_eq!(&*reason.name, "Unschedulable", "{name}");
        assert!(reason.message.as_ref().is_some_and(|m| !m.is_empty()), "{name}");
    }
}

/// Guards the reasons along the recorded lives of two Pods: a healthy Pod has none, and a terminating Pod is marked as
/// such.
#[test]
fn recorded_lives_are_observed_in_order() {
    let lives = recorded(include_str!("../../../tests/recordings/pod-lifecycles.json"));
    let tell = |life: &str| -> Vec<(Phase, bool, bool, Option<String>)> {
        let life = lives.iter().find(|l| l["name"] == life).unwrap();
        let mut told: Vec<_> = life["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| {
                // The recording does not contain the uid.
                let mut event = event.clone();
                event["metadata"]["uid"] = "u".into();
                let pod = seen(&event);
                (pod.phase, pod.ready, pod.terminating, pod.reason.map(|r| r.name.to_string()))
            })
            .collect();
        told.dedup();
        told
    };
    let reason = |name: &str| Some(name.to_owned());
    assert_eq!(
        tell("life"),
        [
            (Phase::Pending, false, false, None),
            (Phase::Pending, false, false, reason("ContainerCreating")),
            (Phase::Running, false, false, reason("ContainersNotReady")),
            (Phase::Running, true, false, None),
            (Phase::Running, true, true, None),
            (Phase::Succeeded, false, true, reason("Completed")),
        ]
    );
    assert_eq!(
        tell("loop"),
        [
            (Phase::Pending, false, false, None),
            (Phase::Pending, false, false, reason("ContainerCreating")),
            (Phase::Running, true, false, None),
            (Phase::Running, false, false, reason("Error")),
            (Phase::Running, true, false, None),
            (Phase::Running, false, false, reason("Error")),
            (Phase::Running, false, false, reason("CrashLoopBackOff")),
            (Phase::Running, true, false, None),
            (Phase::Running, false, false, reason("Error")),
            (Phase::Running, false, true, reason("Error")),
            (Phase::Failed, false, true, reason("Error")),
        ]
    );
}

/// Guards the precedence of the reasons: the whole Pod, the scheduler, a failing container, a waiting container.
#[test]
fn the_reason_is_the_one_that_tells_most() {
    let crash = json!({"name": "sandbox", "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
    let waiting = |reason: &str| json!({"name": "sandbox", "state": {"waiting": {"reason": reason}}});
    let ended = |reason: &str, code: i64| json!({"name": "sandbox", "state": {"terminated": {"reason": reason, "exitCode": code}}});
    let oom_backoff = json!({
        "name": "sandbox", "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
    });
    let running = json!({"name": "broker", "state": {"running": {}}});
    for (status, reason) in [
        (
            json!({"phase": "Failed", "reason": "Evicted", "containerStatuses": [ended("Error", 137)]}),
            Some("Evicted"),
        ),
        (json!({"phase": "Unknown", "reason": "NodeLost"}), Some("NodeLost")),
        (json!({"phase": "Unknown"}), Some("NodeLost")),
        (
            json!({"phase": "Running", "conditions": [
                {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"},
            ]}),
            Some("PreemptionByScheduler"),
        ),
        (
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]}),
            Some("Unschedulable"),
        ),
        (json!({"phase": "Running", "containerStatuses": [running, crash]}), Some("CrashLoopBackOff")),
        (json!({"phase": "Running", "containerStatuses": [oom_backoff]}), Some("OOMKilled")),
        (json!({"phase": "Pending", "containerStatuses": [waiting("ErrImagePull")]}), Some("ErrImagePull")),
        (
            json!({"phase": "Pending", "containerStatuses": [waiting("InvalidImageName")]}),
            Some("InvalidImageName"),
        ),
        // The reason of an init container precedes that of the container that waits for it.
        (
            json!({"phase": "Pending", "initContainerStatuses": [waiting("ImagePullBackOff")],
                   "containerStatuses": [waiting("PodInitializing")]}),
            Some("ImagePullBackOff"),
        ),
        // A completed init container is not the end of the Pod's work.
        (
            json!({"phase": "Pending", "initContainerStatuses": [ended("Completed", 0)],
                   "containerStatuses": [waiting("PodInitializing")]}),
            Some("PodInitializing"),
        ),
        (json!({"phase": "Failed", "containerStatuses": [ended("", 1)]}), Some("Error")),
        (json!({"phase": "Pending"}), None),
    ] {
        assert_eq!(told(&status).2.as_deref(), reason, "{status}");
    }
    // A ready Pod has no reason, even if a container failed before.
    let well = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
                      "containerStatuses": [ended("Error", 1)]});
    assert_eq!(told(&well), (Phase::Running, true, None));
}

/// Guards that an unknown phase of another Kubernetes version is reported as unknown.
#[test]
fn an_odd_pod_is_unknown() {
    assert_eq!(told(&json!({"phase": "Hovering"})), (Phase::Unknown, false, None));
    assert_eq!(told(&json!(null)), (Phase::Unknown, false, None));
    let nameless: Pod = serde_json::from_value(json!({"metadata": {"name": "sandbox-a"}})).unwrap();
    assert_eq!(pod(&nameless), None, "without a uid nothing can be done with it");
}

/// Guards that only an object with both labels and the matching name is a sandbox's (invariant 9).
#[test]
fn ours_are_those_with_labels_and_name() {
    let object = |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}});
    let ours = json!({"app": "deer-flow-sandbox", "sandbox-id": "a"});
    for (pod, service, labels, both) in [
        ("sandbox-a", "sandbox-a-svc", ours.clone(), true),
        ("sandbox-b", "sandbox-b-svc", ours.clone(), false),
        ("sandbox-a-svc", "sandbox-a", ours, false),
        ("sandbox-a", "sandbox-a-svc", json!({"app": "deer-flow-sandbox"}), false),
        ("sandbox-a", "sandbox-a-svc", json!({"app": "nginx", "sandbox-id": "a"}), false),
        ("sandbox-a", "sandbox-a-svc", json!(null), false),
    ] {
        let pod: Pod = serde_json::from_value(object(pod, labels.clone())).unwrap();
        let service: Service = serde_json::from_value(object(service, labels.clone())).unwrap();
        assert_eq!(pod.sandbox_id().is_some(), both, "{pod:?}");
        assert_eq!(service.sandbox_id().is_some(), both, "{service:?}");
    }
}

/// Guards that the recorded answer to the Service's creation contains all parts of the URL.
#[test]
fn a_service_has_its_url_from_its_own_answer() {
    let transcripts = recorded(include_str!("../../../tests/recordings/transcripts.json"));
    let case = transcripts.iter().find(|case| case["name"] == "svc-create-nodeport").unwrap();
    let made: Service = serde_json::from_value(case["response"]["body"].clone()).unwrap();
    let template = manifest::Template { node_host: "10.0.0.1".to_owned(), ..manifest::Template::default() };
    let id = SandboxId::parse("a").unwrap();
    let seen = service(&template, &id, &made).unwrap();
    assert_eq!(seen.url.as_deref(), Some("http://10.0.0.1:32659"));
    assert!(!seen.terminating);
    // A Service without a node port is observed, but has no URL.
    let young: Service =
        serde_json::from_value(json!({"metadata": {"uid": "u"}, "spec": {"type": "NodePort"}})).unwrap();
    assert_eq!(service(&template, &id, &young).unwrap().url, None);
}

/// Guards that a container beside the sandbox is named when it fails, whatever the failure is.
#[test]
fn a_failing_container_beside_the_sandbox_is_named() {
    let waits = |name: &str, reason: &str| json!({"name": name, "state": {"waiting": {"reason": reason, "message": "why"}}});
    let runs = json!({"name": "sandbox", "state": {"running": {}}});
    for (status, container, message) in [
        (
            json!({"initContainerStatuses": [waits("lark-cli-init", "ErrImagePull")]}),
            Container::LarkInit,
            "container lark-cli-init: why",
        ),
        (
            json!({"initContainerStatuses": [waits("lark-cli-shim-init", "InvalidImageName")]}),
            Container::LarkBroker,
            "container lark-cli-shim-init: why",
        ),
        (
            json!({"containerStatuses": [runs, waits("lark-cli-broker", "ImagePullBackOff")]}),
            Container::LarkBroker,
            "container lark-cli-broker: why",
        ),
        (
            json!({"containerStatuses": [runs, waits("istio-proxy", "CrashLoopBackOff")]}),
            Container::Other,
            "container istio-proxy: why",
        ),
        (
            json!({"containerStatuses": [runs, {"name": "istio-proxy", "state": {"terminated": {"exitCode": 3}}}]}),
            Container::Other,
            "container istio-proxy exited with code 3",
        ),
        (json!({"containerStatuses": [waits("sandbox", "ErrImagePull")]}), Container::Sandbox, "why"),
    ] {
        let reason = seen(&json!({"metadata": {"uid": "u"}, "status": status})).reason.unwrap();
        assert_eq!((reason.container, reason.message.as_deref()), (container, Some(message)), "{status}");
    }
}

/// Guards that a Pod is not ready because of its node if Kubernetes says that its containers are ready.
#[test]
fn a_node_that_is_not_ready_is_the_reason() {
    let conditions = |ready: Value, containers: &str| json!({"phase": "Running", "conditions": [ready, {"type": "ContainersReady", "status": containers}]});
    let unready = json!({"type": "Ready", "status": "False"});
    let named = json!({"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady"});
    for (status, reason) in [
        (conditions(unready.clone(), "True"), "NodeNotReady"),
        (conditions(unready.clone(), "False"), "ContainersNotReady"),
        (conditions(unready.clone(), "Unknown"), "ContainersNotReady"),
        (json!({"phase": "Running", "conditions": [unready]}), "ContainersNotReady"),
        (
            json!({"phase": "Running", "reason": "NodeLost", "conditions": [{"type": "Ready", "status": "False"}]}),
            "NodeLost",
        ),
        (conditions(named, "True"), "ReadinessGatesNotReady"),
    ] {
        assert_eq!(told(&status).2.as_deref(), Some(reason), "{status}");
    }
}

/// Guards that an image pull is not suspected while the Pod's volumes or network are not set up.
#[test]
fn a_pod_without_volumes_or_network_is_not_pulling() {
    let waits = |name: &str, reason: &str| json!({"name": name, "state": {"waiting": {"reason": reason}}});
    // With an init container, all containers wait with another reason.
    for containers in [
        json!({"containerStatuses": [waits("sandbox", "ContainerCreating")]}),
        json!({
            "initContainerStatuses": [waits("lark-cli-init", "PodInitializing")],
            "containerStatuses": [waits("sandbox", "PodInitializing")],
        }),
    ] {
        let starting = |conditions: Value| {
            let mut status = containers.clone();
            status["phase"] = "Pending".into();
            status["conditions"] = conditions;
            seen(&json!({"metadata": {"uid": "u"}, "status": status})).reason.unwrap()
        };
        let condition = |status: &str| json!([{"type": "PodReadyToStartContainers", "status": status}]);
        let reason = starting(condition("False"));
        assert!(reason.hint().unwrap().contains("a volume cannot be mounted"), "{reason:?}");
        for conditions in [condition("True"), condition("Unknown"), json!([])] {
            let reason = starting(conditions);
            assert_eq!(reason.message, None);
            assert!(reason.hint().unwrap().contains("the image is being pulled"));
        }
    }
}
