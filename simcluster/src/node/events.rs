//! The Events a scheduler and a kubelet write about what goes wrong. What goes well is not reported: it would only fill
//! the store.

use serde_json::{Value, json};

use super::life::Stage;
use crate::clock::{Clock, stamp};
use crate::options::NodeOptions;
use crate::resource::EVENTS;
use crate::shared::State;
use crate::store::{Object, text_at};

/// What a kubelet has to say about a stage: reasons with messages.
pub(super) fn warnings(pod: &Value, stage: Stage) -> Vec<(&'static str, String)> {
    let container = &pod["spec"]["containers"][0];
    let (image, name) = (text_at(container, &["image"]), text_at(container, &["name"]));
    let waiting =
        |key| text_at(&pod["status"]["containerStatuses"][0], &["state", "waiting", key]).to_owned();
    match stage {
        Stage::PullFailed(_) => vec![
            ("Failed", format!("Failed to pull image {image:?}: {}", waiting("message"))),
            ("Failed", "Error: ErrImagePull".to_owned()),
        ],
        Stage::PullBackOff(_) => vec![("Failed", "Error: ImagePullBackOff".to_owned())],
        Stage::NeverPulled => {
            vec![("ErrImageNeverPull", waiting("message")), ("Failed", "Error: ErrImageNeverPull".to_owned())]
        }
        Stage::BackOff(_) => {
            let meta = &pod["metadata"];
            let message = format!(
                "Back-off restarting failed container {name} in pod {}_{}({})",
                text_at(meta, &["name"]),
                text_at(meta, &["namespace"]),
                text_at(meta, &["uid"])
            );
            vec![("BackOff", message)]
        }
        _ => Vec::new(),
    }
}

/// Writes the kubelet's warning about a Pod; one that was written before is counted up.
pub(super) fn warn(
    state: &mut State,
    clock: &Clock,
    node: &NodeOptions,
    pod: &Object,
    reason: &str,
    message: &str,
) {
    let now = clock.stamp();
    let place = (message.bytes().chain(pod.uid().bytes())).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let name = format!("{}.{place:016x}", pod.name());
    if let Some(before) = state.store.get(EVENTS, pod.namespace(), &name).cloned() {
        let mut event = before.value.clone();
        event["count"] = (event["count"].as_i64().unwrap_or(1) + 1).into();
        event["lastTimestamp"] = now.into();
        state.store.put(EVENTS, event);
        return;
    }
    let meta = metadata(state, pod, &name, &now);
    let source = json!({"component": "kubelet", "host": node.name});
    state.store.put(
        EVENTS,
        json!({
            "metadata": meta, "involvedObject": about(pod), "reason": reason, "message": message, "source": source,
            "firstTimestamp": now, "lastTimestamp": now, "count": 1, "type": "Warning", "eventTime": null,
            "reportingComponent": "kubelet", "reportingInstance": node.name,
        }),
    );
}

/// Writes the scheduler's warning about a Pod.
pub(super) fn failed_scheduling(
    state: &mut State,
    clock: &Clock,
    node: &NodeOptions,
    pod: &Object,
    message: &str,
) {
    let now = clock.now();
    let name = format!("{}.{:016x}", pod.name(), now.as_nanosecond());
    let meta = metadata(state, pod, &name, &stamp(now));
    let time = jiff::Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
    state.store.put(
        EVENTS,
        json!({
            "metadata": meta, "involvedObject": about(pod), "reason": "FailedScheduling", "message": message,
            "source": {}, "firstTimestamp": null, "lastTimestamp": null, "type": "Warning",
            "eventTime": format!("{time:.6}"), "action": "Scheduling", "reportingComponent": "default-scheduler",
            "reportingInstance": format!("default-scheduler-{}", node.name),
        }),
    );
}

fn metadata(state: &mut State, pod: &Object, name: &str, now: &str) -> Value {
    json!({"name": name, "namespace": pod.namespace(), "uid": state.random.uid(), "creationTimestamp": now})
}

fn about(pod: &Object) -> Value {
    json!({
        "kind": "Pod", "namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid(), "apiVersion": "v1",
        "resourceVersion": pod.version.to_string(),
    })
}
