//! The control endpoint for the node and for sandbox sessions.

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ControlError, ControlRequest, done};
use crate::behaviour::Behaviour;
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
pub(super) fn state(request: &ControlRequest<'_>) -> Value {
    let cluster = request.cluster;
    json!({
        "behaviour": cluster.behaviour(), "capacity": cluster.capacity(), "lost": cluster.is_node_lost(),
        "network_policies": cluster.are_network_policies_enforced(),
    })
}

pub(super) fn node(request: &ControlRequest<'_>) -> Answer {
    if *request.method == Method::PUT {
        let Change { behaviour, capacity, lost, network_policies } = request.read()?;
        let cluster = request.cluster;
        if let Some(behaviour) = behaviour {
            cluster.set_behaviour(behaviour);
        }
        if let Some(capacity) = capacity {
            cluster.set_capacity(capacity);
        }
        if let Some(lost) = lost {
            cluster.set_node_lost(lost);
        }
        if let Some(enforced) = network_policies {
            cluster.set_network_policies_enforced(enforced);
        }
    } else if *request.method != Method::GET {
        return Err(request.no_such_method());
    }
    Ok((StatusCode::OK, state(request)))
}

/// Returns the behaviours of single Pods.
#[expect(clippy::unnecessary_wraps, reason = "all routes have one shape")]
pub(super) fn list(request: &ControlRequest<'_>) -> Answer {
    let one = |((namespace, name), behaviour)| json!({"namespace": namespace, "name": name, "behaviour": behaviour});
    let pods: Vec<_> = request.cluster.pod_behaviours().into_iter().map(one).collect();
    Ok((StatusCode::OK, json!({"pods": pods})))
}

pub(super) fn behaviour(request: &ControlRequest<'_>, namespace: &str, pod: &str) -> Answer {
    let behaviour = match *request.method {
        Method::PUT => Some(request.read::<OfPod>()?.behaviour),
        Method::DELETE => None,
        _ => return Err(request.no_such_method()),
    };
    request.cluster.set_pod_behaviour(namespace, pod, behaviour);
    done()
}

pub(super) fn sessions(request: &ControlRequest<'_>, namespace: &str, pod: &str, rest: &[&str]) -> Answer {
    let cluster = request.cluster;
    match (request.method, rest) {
        (&Method::GET, []) => Ok((StatusCode::OK, json!({"sessions": cluster.sessions(namespace, pod)}))),
        (&Method::POST, []) => {
            let Begin { kind, session_id } = request.read()?;
            if session_id.is_empty() {
                return Err(ControlError::Invalid("a session has a name: session_id is empty".to_owned()));
            }
            if cluster.begin_session(namespace, pod, kind, &session_id) {
                Ok((StatusCode::CREATED, json!({"ok": true})))
            } else {
                Err(ControlError::Exists { what: "session", name: session_id })
            }
        }
        (&Method::DELETE, [kind, id]) => {
            let known = SessionKind::ALL.into_iter().find(|known| known.as_str() == *kind);
            let gone = known.is_some_and(|kind| cluster.end_session(namespace, pod, kind, id));
            if gone { done() } else { Err(ControlError::Missing { what: "session", name: (*id).to_owned() }) }
        }
        (_, [] | [_, _]) => Err(request.no_such_method()),
        _ => Err(request.no_such_path()),
    }
}
