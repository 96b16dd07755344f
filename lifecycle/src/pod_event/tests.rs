use super::*;
use crate::{
    lifetime::LifetimeAnnotations,
    observed::{PodTimes, Uid},
    spec::ObservedSpec,
};

/// Returns a Pod that is not ready, with this reason in its status.
fn pod(phase: Phase, reason: Option<Reason>) -> ObservedPod {
    ObservedPod {
        uid: Uid("u".into()),
        version: ResourceVersion(1),
        phase,
        ready: false,
        terminating: false,
        reason: reason.map(Into::into),
        created: None,
        times: PodTimes::default(),
        spec: ObservedSpec::default(),
        annotations: LifetimeAnnotations::default(),
    }
}

fn creating() -> ObservedPod {
    pod(Phase::Pending, Some(Reason::new("ContainerCreating", None)))
}

/// Returns these Events, in this order.
fn events(told: &[(&str, &str)]) -> PodEvents {
    let mut events = PodEvents::default();
    for (version, (reason, message)) in (10..).zip(told) {
        if let Some(event) = PodEvent::new(reason, message, ResourceVersion(version)) {
            events.record(event, false);
        }
    }
    events
}

/// Guards that each Event that says why a Pod does not start gives its reason, its words and advice.
#[test]
fn each_event_is_a_reason() {
    for (reason, message, advice) in [
        ("FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.", "no node has room"),
        (
            "FailedAttachVolume",
            "AttachVolume.Attach failed for volume \"pvc-1\" : timed out",
            "USERDATA_PVC_NAME",
        ),
        (
            "FailedMount",
            "MountVolume.SetUp failed for volume \"skills\" : hostPath type check failed: /x is not a directory",
            "SKILLS_HOST_PATH",
        ),
        (
            "FailedMount",
            "MountVolume.SetUp failed for volume \"user-data\" : no such file",
            "THREADS_HOST_PATH",
        ),
        ("FailedMount", "MountVolume.SetUp failed for volume \"extra-0\" : no", "DEER_FLOW_HOST_BASE_DIR"),
        (
            "FailedMount",
            "MountVolume.SetUp failed for volume \"skills-custom\" : no",
            "DEER_FLOW_HOST_BASE_DIR",
        ),
        (
            "FailedMount",
            "Unable to attach or mount volumes: unmounted volumes=[x]",
            "host paths or the claims",
        ),
        (
            "FailedCreatePodSandBox",
            "Failed to create pod sandbox: cni plugin not initialized",
            "network plug-in",
        ),
        ("Failed", "Failed to pull image \"i\": 401 Unauthorized", "kubectl describe pod"),
        ("BackOff", "Back-off restarting failed container sandbox in pod sandbox-a", "tried again"),
        ("Killing", "Container sandbox failed liveness probe, will be restarted", "SANDBOX_BOOT_TIMEOUT"),
        ("Killing", "Stopping container sandbox", "kubelet stops"),
        ("Preempted", "Preempted by pod 1-2 on node n", "higher priority"),
        ("Evicted", "The node was low on resource: memory.", "ran short"),
        ("NodeNotReady", "Node is not ready", "kubectl get nodes"),
    ] {
        let told = events(&[("Pulled", "already present"), (reason, message)]).explain(&creating()).unwrap();
        assert_eq!((&*told.name, told.message.as_deref()), (reason, Some(message)));
        assert!(told.hint().unwrap().contains(advice), "{reason}: {:?}", told.hint());
    }
    let unready = pod(Phase::Running, Some(Reason::new("ContainersNotReady", None)));
    let told = events(&[("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")]);
    assert_eq!(&*told.explain(&unready).unwrap().name, "Unhealthy");
}

/// Guards that a reason of the Pod's status that says more than "not ready yet" is kept, and so is a Pod that is ready.
#[test]
fn a_better_reason_is_kept() {
    let told = events(&[("FailedMount", "MountVolume.SetUp failed"), ("BackOff", "Back-off")]);
    for name in ["Unschedulable", "CrashLoopBackOff", "OOMKilled", "InvalidImageName", "Evicted"] {
        assert_eq!(told.explain(&pod(Phase::Pending, Some(Reason::new(name, None)))), None, "{name}");
    }
    assert_eq!(told.explain(&ObservedPod { ready: true, ..creating() }), None);
    assert_eq!(told.explain(&pod(Phase::Succeeded, None)), None);
    assert_eq!(PodEvents::default().explain(&creating()), None);
}

/// Guards that trouble that has passed is not told: a later step of the start ends it.
#[test]
fn a_later_step_ends_the_trouble() {
    let mount = ("FailedMount", "MountVolume.SetUp failed");
    let pulling = ("Pulling", "Pulling image \"i\"");
    let told = events(&[mount, pulling]).explain(&creating()).unwrap();
    assert_eq!((&*told.name, told.message.as_deref()), ("ContainerCreating", Some("Pulling image \"i\"")));
    assert!(told.hint().unwrap().starts_with("the image is being pulled"));
    assert_eq!(events(&[mount, pulling, ("Pulled", "")]).explain(&creating()), None);
    let unready = pod(Phase::Running, Some(Reason::new("ContainersNotReady", None)));
    assert_eq!(events(&[mount, ("Pulled", "")]).explain(&unready), None);
}

/// Guards that the words of the scheduler are not told once the Pod has a node, and that earlier trouble of the node is
/// told in any order.
#[test]
fn a_node_ends_the_words_of_the_scheduler() {
    let unscheduled = ("FailedScheduling", "0/1 nodes are available");
    let times = PodTimes { scheduled: Some(Timestamp::UNIX_EPOCH), ..PodTimes::default() };
    let scheduled = ObservedPod { times, ..creating() };
    let reason = |told: &[_], pod: &_| events(told).explain(pod).map(|reason| reason.name.to_string());
    let mount = ("FailedMount", "MountVolume.SetUp failed");
    for (told, before, after) in [
        (&[unscheduled][..], Some("FailedScheduling"), None),
        (&[mount, unscheduled], Some("FailedScheduling"), Some("FailedMount")),
        (&[unscheduled, mount], Some("FailedMount"), Some("FailedMount")),
    ] {
        assert_eq!(reason(told, &creating()).as_deref(), before, "{told:?}");
        assert_eq!(reason(told, &scheduled).as_deref(), after, "{told:?}");
    }
}

/// Guards that the reason contains the registry's message, also while the pull waits for its next try, and that the
/// kubelet's repetitions of the status do not hide it.
#[test]
fn the_words_of_the_registry_are_kept() {
    let words = "Failed to pull image \"i\": 401 Unauthorized";
    let told = events(&[
        ("Failed", words),
        ("Failed", "Error: ErrImagePull"),
        ("BackOff", "Back-off pulling image \"i\""),
        ("Failed", "Error: ImagePullBackOff"),
    ]);
    for name in ["ErrImagePull", "ImagePullBackOff"] {
        let status = Reason::new(name, Some("Back-off pulling image \"i\""));
        let explained = told.explain(&pod(Phase::Pending, Some(status))).unwrap();
        assert_eq!((&*explained.name, explained.message.as_deref()), (name, Some(words)));
    }
    assert!(PodEvent::new("Failed", "Error: failed to start container", ResourceVersion(1)).is_some());
}

/// Guards that a Pod that the cluster itself deletes has the reason, and that one that its client deletes has none.
#[test]
fn a_deletion_by_the_cluster_has_a_reason() {
    let dying = ObservedPod { terminating: true, ..pod(Phase::Running, None) };
    let reason = events(&[("Preempted", "Preempted by pod x")]).explain(&dying).unwrap();
    assert_eq!(&*reason.name, "Preempted");
    assert_eq!(events(&[("Killing", "Stopping container sandbox")]).explain(&dying), None);
    let lost = ObservedPod { reason: Some(Reason::new("NodeLost", None).into()), ..dying };
    assert_eq!(events(&[("NodeNotReady", "Node is not ready")]).explain(&lost), None);
}

/// Guards that only the newest Event of each reason is kept, in whatever order they arrive, and that other reasons cost
/// nothing.
#[test]
fn only_the_newest_of_each_reason_is_kept() {
    let event =
        |message: &str, version| PodEvent::new("FailedMount", message, ResourceVersion(version)).unwrap();
    let mut told = PodEvents::default();
    assert!(told.record(event("first", 5), false));
    assert!(told.record(event("second", 9), false));
    assert!(!told.record(event("late", 7), false) && !told.record(event("again", 9), false));
    assert_eq!(told.explain(&creating()).unwrap().message.as_deref(), Some("second"));
    assert_eq!(PodEvent::new("FailedToDance", "x", ResourceVersion(1)), None);
    let long = PodEvent::new("FailedMount", &"ä".repeat(2000), ResourceVersion(1)).unwrap();
    assert!(long.message.len() <= Reason::MESSAGE_MAX && long.message.ends_with('…'));
    let pulled = PodEvent::new("Pulled", "", ResourceVersion(20)).unwrap();
    for event in [pulled, event("listed again", 30)] {
        assert!(!PodEvents::default().record(event, true), "a Pod that is ready has started");
    }
}
