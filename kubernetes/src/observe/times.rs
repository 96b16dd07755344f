//! When a Pod came closer to running.

use jiff::Timestamp;
use lifecycle::observed::PodTimes;

use crate::{
    names,
    types::{Condition, ContainerState, ContainerStatus, PodStatus},
};

/// Returns the times that a Pod's status contains.
pub(super) fn of(status: &PodStatus) -> PodTimes {
    let since = |kind: &str| {
        let is_true = |condition: &&Condition| is_true(condition, kind);
        status.conditions.iter().find(is_true).and_then(|c| *c.since)
    };
    let is_sandbox = |c: &&ContainerStatus| c.name.as_deref() == Some(names::SANDBOX_CONTAINER);
    let container = status.container_statuses.iter().find(is_sandbox);
    let restarts = container.and_then(|container| *container.restart_count);
    PodTimes {
        scheduled: since("PodScheduled"),
        started: container.and_then(started),
        restarts: restarts.and_then(|count| count.try_into().ok()).unwrap_or(0),
        ready: since("Ready"),
    }
}

fn is_true(condition: &Condition, kind: &str) -> bool {
    condition.kind.as_deref() == Some(kind) && condition.status.as_deref() == Some("True")
}

/// Returns the last start of a container, also if it has ended since.
fn started(container: &ContainerStatus) -> Option<Timestamp> {
    let of = |state: &ContainerState| {
        let details = state.running.0.as_ref().or(state.terminated.0.as_ref());
        details.and_then(|details| *details.started_at)
    };
    [&container.state, &container.last_state].into_iter().find_map(|state| of(state.0.as_ref()?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn times(conditions: &Value, statuses: &Value) -> [Option<i64>; 3] {
        let status = json!({"conditions": conditions, "containerStatuses": statuses});
        let pod: crate::types::Pod = serde_json::from_value(json!({ "status": status })).unwrap();
        let PodTimes { scheduled, started, ready, restarts: _ } = of(&pod.status);
        [scheduled, started, ready].map(|time| time.map(Timestamp::as_second))
    }

    /// Guards that only conditions that hold count, that the start is that of the sandbox's container also after it has
    /// ended, and that odd fields count as absent.
    #[test]
    fn times_are_those_of_the_status() {
        let at = |second: i64| Timestamp::from_second(second).unwrap().to_string();
        let condition =
            |kind, status, second| json!({"type": kind, "status": status, "lastTransitionTime": at(second)});
        let running = |name, second| json!({"name": name, "state": {"running": {"startedAt": at(second)}}});
        let ended =
            json!({"name": "sandbox", "state": {"terminated": {"startedAt": at(3), "finishedAt": at(4)}}});
        let waits = json!({
            "name": "sandbox", "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"startedAt": at(3), "finishedAt": at(4)}},
        });
        for (conditions, statuses, wanted) in [
            (json!([]), json!([]), [None; 3]),
            (json!([condition("PodScheduled", "False", 1)]), json!([]), [None; 3]),
            (
                json!([condition("Ready", "True", 9), condition("PodScheduled", "True", 1)]),
                json!([running("proxy", 5), running("sandbox", 7)]),
                [Some(1), Some(7), Some(9)],
            ),
            (json!([condition("Ready", "False", 9)]), json!([ended]), [None, Some(3), None]),
            (json!([]), json!([waits]), [None, Some(3), None]),
            (
                json!([{"type": "Ready", "status": "True", "lastTransitionTime": 7}]),
                json!([{"name": "sandbox", "state": {"running": {"startedAt": []}}, "lastState": 3}]),
                [None; 3],
            ),
        ] {
            assert_eq!(times(&conditions, &statuses), wanted, "{conditions} {statuses}");
        }
    }

    /// Guards that the restarts are those of the sandbox's container, and that an odd number counts as none.
    #[test]
    fn restarts_are_those_of_the_sandbox() {
        for (count, wanted) in [(json!(3), 3), (json!(-1), 0), (json!("x"), 0), (json!(1_u64 << 40), 0)] {
            let statuses =
                json!([{"name": "proxy", "restartCount": 9}, {"name": "sandbox", "restartCount": count}]);
            let pod = json!({"status": {"containerStatuses": statuses}});
            let pod: crate::types::Pod = serde_json::from_value(pod).unwrap();
            assert_eq!(of(&pod.status).restarts, wanted, "{count}");
        }
    }
}
