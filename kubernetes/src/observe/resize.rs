//! The resize of the container `sandbox`, as the Pod reports it.
//!
//! Kubernetes has no field for it. The spec holds the wanted resources, the status those that the container has, and two
//! conditions say what the kubelet does about the difference. A condition, or the whole status, may be about an earlier
//! spec, which their `observedGeneration` tells since Kubernetes 1.34.

use lifecycle::{
    resize::{Resize, ResizeState},
    spec::Resources,
    text::shortened,
};

use crate::{
    names,
    profile::Quantity,
    spec::ContainerResources,
    types::{Condition, Pod},
};

/// The longest message that is kept, in bytes.
const MESSAGE_MAX: usize = 512;

/// Returns the resize that is in progress.
pub(super) fn of(pod: &Pod) -> Option<Box<Resize>> {
    let status = &pod.status;
    let sandbox = status
        .container_statuses
        .iter()
        .find(|status| status.name.as_deref() == Some(names::SANDBOX_CONTAINER));
    // A kubelet that cannot resize does not report it.
    let actual = sandbox.and_then(|status| status.resources.0.as_ref()).map(ContainerResources::limits);
    let generation = pod.metadata.generation.filter(|generation| *generation > 0);
    let facts = Facts {
        is_applied: actual.as_ref().map(|actual| is_same(&pod.spec.resources, actual)),
        pending: condition(pod, "PodResizePending"),
        in_progress: condition(pod, "PodResizeInProgress"),
        generation,
        observed: status.observed_generation.filter(|observed| *observed > 0),
    };
    let (state, message) = facts.state()?;
    let message = message.map(|text| shortened(text, MESSAGE_MAX).into());
    let actual = actual.map(|actual| Resources { ephemeral_storage: None, ..actual }).unwrap_or_default();
    Some(Box::new(Resize { state, message, actual }))
}

/// Returns the condition of this kind, if it is true.
fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a Condition> {
    let mut conditions = pod.status.conditions.iter();
    conditions.find(|c| c.kind.as_deref() == Some(kind) && c.status.as_deref() == Some("True"))
}

/// Returns whether a container has the wanted limits of CPU and memory, as far as both are known.
fn is_same(wanted: &Resources, actual: &Resources) -> bool {
    let same = |one: &Option<String>, other: &Option<String>| {
        one.as_ref().zip(other.as_ref()).is_none_or(|(one, other)| Quantity::is_same_text(one, other))
    };
    same(&wanted.cpu, &actual.cpu) && same(&wanted.memory, &actual.memory)
}

/// The parts of a Pod that tell how far a resize is.
struct Facts<'a> {
    /// Whether the container has the wanted resources; `None` if the kubelet does not report its resources.
    is_applied: Option<bool>,
    pending: Option<&'a Condition>,
    in_progress: Option<&'a Condition>,
    /// The generation of the spec.
    generation: Option<i64>,
    /// The generation that the status is about.
    observed: Option<i64>,
}

// === impl Facts ===

impl<'a> Facts<'a> {
    /// Returns the state of a resize that is not done, with the kubelet's message.
    fn state(&self) -> Option<(ResizeState, Option<&'a str>)> {
        let current = |condition: &&Condition| {
            let observed = condition.observed_generation.filter(|observed| *observed > 0).or(self.observed);
            observed.zip(self.generation).is_none_or(|(observed, generation)| observed >= generation)
        };
        let message = |condition: &'a Condition| condition.message.as_deref().filter(|text| !text.is_empty());
        if let Some(pending) = self.pending.filter(current) {
            let infeasible = pending.reason.as_deref() == Some("Infeasible");
            let state = if infeasible { ResizeState::Infeasible } else { ResizeState::Deferred };
            return Some((state, message(pending)));
        }
        if let Some(in_progress) = self.in_progress.filter(current) {
            return Some((ResizeState::InProgress, message(in_progress)));
        }
        (self.is_applied == Some(false)).then_some((ResizeState::Proposed, None))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Returns a Pod whose spec has two cores.
    fn pod(actual: Option<&str>, conditions: &Value, generation: Option<i64>, observed: Option<i64>) -> Pod {
        let resources = actual.map(|cpu| json!({"limits": {"cpu": cpu, "memory": "1Gi"}}));
        serde_json::from_value(json!({
            "metadata": {"generation": generation},
            "spec": {"containers": [{"name": "sandbox", "resources": {"limits": {"cpu": "2", "memory": "1024Mi"}}}]},
            "status": {
                "observedGeneration": observed,
                "conditions": conditions,
                "containerStatuses": [{"name": "other"}, {"name": "sandbox", "resources": resources}],
            },
        }))
        .unwrap()
    }

    fn pending(reason: &str, observed: Option<i64>) -> Value {
        json!([{
            "type": "PodResizePending", "status": "True", "reason": reason, "message": "why",
            "observedGeneration": observed,
        }])
    }

    fn in_progress(status: &str, observed: Option<i64>) -> Value {
        json!([{"type": "PodResizeInProgress", "status": status, "observedGeneration": observed}])
    }

    /// Guards the state for each combination of the spec, the status and the conditions, with and without generations.
    #[test]
    fn the_state_is_read_from_the_pod() {
        use ResizeState::{Deferred, InProgress, Infeasible, Proposed};
        let none = json!([]);
        for (actual, conditions, generation, observed, expected) in [
            // No resize.
            (Some("2"), &none, Some(1), Some(1), None),
            (Some("2000m"), &none, None, None, None),
            (None, &none, Some(2), Some(1), None),
            // The kubelet has not looked at it.
            (Some("1"), &none, None, None, Some(Proposed)),
            (Some("1"), &none, Some(2), Some(1), Some(Proposed)),
            (Some("1"), &none, Some(2), Some(2), Some(Proposed)),
            (Some("1"), &json!([{"type": "Ready", "status": "True"}]), None, None, Some(Proposed)),
            // The kubelet reports its progress.
            (Some("1"), &pending("Deferred", Some(2)), Some(2), Some(2), Some(Deferred)),
            (Some("1"), &pending("Infeasible", Some(2)), Some(2), Some(2), Some(Infeasible)),
            (Some("1"), &pending("Infeasible", None), None, None, Some(Infeasible)),
            (Some("1"), &pending("Infeasible", Some(0)), Some(2), Some(0), Some(Infeasible)),
            (Some("1"), &pending("Later", None), None, None, Some(Deferred)),
            (Some("1"), &in_progress("True", Some(2)), Some(2), Some(2), Some(InProgress)),
            (Some("1"), &in_progress("True", None), None, None, Some(InProgress)),
            (Some("2"), &in_progress("True", Some(2)), Some(2), Some(2), Some(InProgress)),
            (None, &in_progress("True", None), None, None, Some(InProgress)),
            (Some("1"), &in_progress("False", Some(2)), Some(2), Some(2), Some(Proposed)),
            // It says so of an earlier resize.
            (Some("1"), &pending("Infeasible", Some(2)), Some(3), Some(3), Some(Proposed)),
            (Some("1"), &pending("Infeasible", None), Some(3), Some(2), Some(Proposed)),
            (Some("2"), &pending("Infeasible", Some(2)), Some(3), Some(3), None),
            (Some("1"), &in_progress("True", Some(2)), Some(3), Some(2), Some(Proposed)),
        ] {
            let resize = of(&pod(actual, conditions, generation, observed));
            let state = resize.as_ref().map(|resize| resize.state);
            assert_eq!(state, expected, "{actual:?} {conditions} {generation:?} {observed:?}");
        }
    }

    /// Guards that a resize has the kubelet's message, shortened, and the limits that the container has until then.
    #[test]
    fn a_resize_has_a_message_and_the_actual_limits() {
        let resize = of(&pod(Some("1"), &pending("Deferred", None), None, None)).unwrap();
        let actual =
            Resources { cpu: Some("1".to_owned()), memory: Some("1Gi".to_owned()), ephemeral_storage: None };
        assert_eq!(*resize, Resize { state: ResizeState::Deferred, message: Some("why".into()), actual });
        let long = json!([{"type": "PodResizePending", "status": "True", "message": "x".repeat(9999)}]);
        let resize = of(&pod(Some("1"), &long, None, None)).unwrap();
        assert_eq!(resize.message.unwrap().len(), MESSAGE_MAX);
    }
}
