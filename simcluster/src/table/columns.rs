//! The columns of tables, with the server's own descriptions, and the cells under them.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::resource::{NAMESPACES, PODS, Resource, SERVICES};
use crate::store::{Object, text_at};

/// One column.
pub(super) struct Column {
    pub name: &'static str,
    pub description: &'static str,
    /// 0 is always shown, 1 only in the wide form.
    pub priority: u8,
}

const NAME: Column = column(
    "Name",
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names",
    0,
);
const AGE: Column = column(
    "Age",
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
    0,
);
const POD: [Column; 9] = [
    NAME,
    column("Ready", "The aggregate readiness state of this pod for accepting traffic.", 0),
    column("Status", "The aggregate status of the containers in this pod.", 0),
    column(
        "Restarts",
        "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
        0,
    ),
    AGE,
    column(
        "IP",
        "podIP address allocated to the pod. Routable at least within the cluster. Empty if not yet allocated.",
        1,
    ),
    column(
        "Node",
        "NodeName indicates in which node this pod is scheduled. If empty, this pod is a candidate for scheduling by the scheduler defined in schedulerName. Once this field is set, the kubelet for this node becomes responsible for the lifecycle of this pod. This field should not be used to express a desire for the pod to be scheduled on a specific node. https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename",
        1,
    ),
    column(
        "Nominated Node",
        "nominatedNodeName is set only when this pod preempts other pods on the node, but it cannot be scheduled right away as preemption victims receive their graceful termination periods. This field does not guarantee that the pod will be scheduled on this node. Scheduler may decide to place the pod elsewhere if other nodes become available sooner. Scheduler may also decide to give the resources on this node to a higher priority pod that is created after preemption. As a result, this field may be different than PodSpec.nodeName when the pod is scheduled.",
        1,
    ),
    column(
        "Readiness Gates",
        "If specified, all readiness gates will be evaluated for pod readiness. A pod is ready when all its containers are ready AND all conditions specified in the readiness gates have status equal to \"True\" More info: https://git.k8s.io/enhancements/keps/sig-network/580-pod-readiness-gates",
        1,
    ),
];
const SERVICE: [Column; 7] = [
    NAME,
    column("Type", "type determines how the Service is exposed.", 0),
    column("Cluster-IP", "clusterIP is the IP address of the service.", 0),
    column(
        "External-IP",
        "externalIPs is a list of IP addresses for which nodes will also accept traffic.",
        0,
    ),
    column("Port(s)", "The list of ports that are exposed by this service.", 0),
    AGE,
    column("Selector", "Route service traffic to pods with label keys and values matching this selector.", 1),
];
const NAMESPACE: [Column; 3] = [NAME, column("Status", "The status of the namespace", 0), AGE];
const EVENT: [Column; 5] = [
    column("Last Seen", "Time when this event was last observed", 0),
    column("Type", "Type of this event (Normal, Warning), new types could be added in the future", 0),
    column("Reason", "The reason for the transition into the object's current status.", 0),
    column("Object", "The object that this event is about.", 0),
    column("Message", "A human-readable description of the status of this operation.", 0),
];
const OTHER: [Column; 2] = [NAME, AGE];

/// The columns of a kind.
pub(super) fn of(resource: &Resource) -> &'static [Column] {
    match resource {
        r if r == PODS => &POD,
        r if r == SERVICES => &SERVICE,
        r if r == NAMESPACES => &NAMESPACE,
        r if r.kind == "Event" => &EVENT,
        _ => &OTHER,
    }
}

/// The cells of one object, in the order of its columns.
pub(super) fn cells(object: &Object, now: Timestamp) -> Value {
    let value = &object.value;
    let age = age(text_at(value, &["metadata", "creationTimestamp"]), now);
    match object.resource {
        r if r == PODS => pod(object, &age),
        r if r == SERVICES => service(object, &age),
        r if r == NAMESPACES => json!([object.name(), text_at(value, &["status", "phase"]), age]),
        r if r.kind == "Event" => {
            let about = &value["involvedObject"];
            let kind = text_at(about, &["kind"]).to_lowercase();
            json!([
                age,
                value["type"],
                value["reason"],
                format!("{kind}/{}", text_at(about, &["name"])),
                text_at(value, &["message"])
            ])
        }
        _ => json!([object.name(), age]),
    }
}

fn pod(object: &Object, age: &str) -> Value {
    let value = &object.value;
    let statuses = || value["status"]["containerStatuses"].as_array().into_iter().flatten();
    let total = value["spec"]["containers"].as_array().map_or(0, Vec::len);
    let ready = statuses().filter(|status| status["ready"] == true).count();
    let restarts: i64 = statuses().filter_map(|status| status["restartCount"].as_i64()).sum();
    let or_none = |text: &str| if text.is_empty() { "<none>".to_owned() } else { text.to_owned() };
    json!([
        object.name(),
        format!("{ready}/{total}"),
        summary(object),
        restarts.to_string(),
        age,
        or_none(text_at(value, &["status", "podIP"])),
        or_none(text_at(value, &["spec", "nodeName"])),
        "<none>",
        "<none>",
    ])
}

/// The one word for how a Pod is: its phase, or better the reason it is not what it should be.
fn summary(object: &Object) -> String {
    let status = &object.value["status"];
    if object.terminating() {
        return "Terminating".to_owned();
    }
    let statuses = status["containerStatuses"].as_array().into_iter().flatten();
    let reason = statuses
        .flat_map(|container| {
            ["waiting", "terminated"].map(|state| text_at(container, &["state", state, "reason"]))
        })
        .find(|reason| !reason.is_empty());
    let own = text_at(status, &["reason"]);
    let phase = text_at(status, &["phase"]);
    reason.unwrap_or(if own.is_empty() { phase } else { own }).to_owned()
}

fn service(object: &Object, age: &str) -> Value {
    let spec = &object.value["spec"];
    let ports: Vec<_> = spec["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            let protocol = text_at(port, &["protocol"]);
            match port["nodePort"].as_u64() {
                Some(node_port) => format!("{}:{node_port}/{protocol}", port["port"]),
                None => format!("{}/{protocol}", port["port"]),
            }
        })
        .collect();
    let selector: Vec<_> = spec["selector"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")))
        .collect();
    let or_none = |text: String| if text.is_empty() { "<none>".to_owned() } else { text };
    json!([
        object.name(),
        text_at(spec, &["type"]),
        or_none(text_at(spec, &["clusterIP"]).to_owned()),
        "<none>",
        or_none(ports.join(",")),
        age,
        or_none(selector.join(",")),
    ])
}

/// How long ago something was, in the two largest units that matter, as `kubectl` prints it.
fn age(since: &str, now: Timestamp) -> String {
    let Ok(since) = since.parse::<Timestamp>() else { return "<unknown>".to_owned() };
    let seconds = now.duration_since(since).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |big: i64, unit: char, small: i64, small_unit: char| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10800 => format!("{minutes}m"),
        10800..28800 => two(hours, 'h', minutes % 60, 'm'),
        28800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        _ => format!("{days}d"),
    }
}

const fn column(name: &'static str, description: &'static str, priority: u8) -> Column {
    Column { name, description, priority }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_as_kubectl_prints_them() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (seconds, expected) in [
            (3, "3s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (900, "15m"),
            (11000, "3h3m"),
            (864_000, "10d"),
        ] {
            let now = Timestamp::from_second(start.as_second() + seconds).unwrap();
            assert_eq!(age("2026-01-01T00:00:00Z", now), expected);
        }
    }
}
