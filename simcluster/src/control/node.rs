//! The control endpoint for the node and for sandbox sessions.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ControlError, ControlRequest, created, done, done_if, found};
use crate::behaviour::Behaviour;
use crate::cluster::Cluster;
use crate::options::Capacity;
use crate::sandbox::sessions::SessionKind;

/// A change of the node. Absent fields stay as they are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    behaviour: Option<Behaviour>,
    capacity: Option<Capacity>,
    lost: Option<bool>,
    network_policies: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPod {
    behaviour: Behaviour,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    kind: SessionKind,
    session_id: String,
}

/// Returns the node's settings.
pub(super) fn state(cluster: &Cluster) -> Value {
    let node = cluster.shared().node.borrow();
    json!({
        "behaviour": node.behaviour, "capacity": node.capacity, "lost": node.lost,
        "network_policies": !node.ignores_network_policies,
    })
}

pub(super) fn change(request: &ControlRequest<'_>) -> Answer {
    let Change { behaviour, capacity, lost, network_policies } = request.read()?;
    request.cluster.shared().node.send_modify(|node| {
        node.behaviour = behaviour.unwrap_or(node.behaviour);
        node.capacity = capacity.unwrap_or(node.capacity);
        node.lost = lost.unwrap_or(node.lost);
        node.ignores_network_policies = !network_policies.unwrap_or(!node.ignores_network_policies);
    });
    found(state(request.cluster))
}

/// Returns the behaviours of single Pods.
pub(super) fn pods(cluster: &Cluster) -> Value {
    let pods: BTreeMap<_, _> = cluster.shared().node.borrow().pods.clone().into_iter().collect();
    let one = |((namespace, name), behaviour)| json!({"namespace": namespace, "name": name, "behaviour": behaviour});
    json!({"pods": pods.into_iter().map(one).collect::<Vec<_>>()})
}

pub(super) fn set_behaviour(request: &ControlRequest<'_>, namespace: &str, pod: &str) -> Answer {
    let OfPod { behaviour } = request.read()?;
    done(|| request.cluster.set_pod_behaviour(namespace, pod, Some(behaviour)))
}

pub(super) fn begin_session(request: &ControlRequest<'_>, namespace: &str, pod: &str) -> Answer {
    let Begin { kind, session_id } = request.read()?;
    if session_id.is_empty() {
        return Err(ControlError::Invalid("a session has a name: session_id is empty".to_owned()));
    }
    if request.cluster.begin_session(namespace, pod, kind, &session_id) {
        created(json!({"ok": true}))
    } else {
        Err(ControlError::Exists { what: "session", name: session_id })
    }
}

pub(super) fn end_session(
    request: &ControlRequest<'_>,
    namespace: &str,
    pod: &str,
    kind: &str,
    id: &str,
) -> Answer {
    let kind = SessionKind::parse(kind);
    let gone = kind.is_some_and(|kind| request.cluster.end_session(namespace, pod, kind, id));
    done_if(gone, "session", id)
}
