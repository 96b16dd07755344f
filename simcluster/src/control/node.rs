//! What the control endpoint does to the node, and to what runs in the sandboxes.

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Asked, ControlError, done};
use crate::behaviour::Behaviour;
use crate::options::Capacity;
use crate::sandbox::sessions::SessionKind;

/// What of the node is to change; what is left out stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    behaviour: Option<Behaviour>,
    capacity: Option<Capacity>,
    lost: Option<bool>,
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

/// The node as it is set.
pub(super) fn state(asked: &Asked<'_>) -> Value {
    let cluster = asked.cluster;
    json!({
        "behaviour": cluster.behaviour(), "capacity": cluster.capacity(), "lost": cluster.is_node_lost(),
    })
}

pub(super) fn node(asked: &Asked<'_>) -> Answer {
    if *asked.method == Method::PUT {
        let Change { behaviour, capacity, lost } = asked.read()?;
        let cluster = asked.cluster;
        if let Some(behaviour) = behaviour {
            cluster.set_behaviour(behaviour);
        }
        if let Some(capacity) = capacity {
            cluster.set_capacity(capacity);
        }
        if let Some(lost) = lost {
            cluster.set_node_lost(lost);
        }
    } else if *asked.method != Method::GET {
        return Err(asked.no_such_method());
    }
    Ok((StatusCode::OK, state(asked)))
}

/// The behaviours that were chosen for single Pods.
#[expect(clippy::unnecessary_wraps, reason = "all routes have one shape")]
pub(super) fn list(asked: &Asked<'_>) -> Answer {
    let one = |((namespace, name), behaviour)| json!({"namespace": namespace, "name": name, "behaviour": behaviour});
    let pods: Vec<_> = asked.cluster.pod_behaviours().into_iter().map(one).collect();
    Ok((StatusCode::OK, json!({"pods": pods})))
}

pub(super) fn behaviour(asked: &Asked<'_>, namespace: &str, pod: &str) -> Answer {
    let behaviour = match *asked.method {
        Method::PUT => Some(asked.read::<OfPod>()?.behaviour),
        Method::DELETE => None,
        _ => return Err(asked.no_such_method()),
    };
    asked.cluster.set_pod_behaviour(namespace, pod, behaviour);
    done()
}

pub(super) fn sessions(asked: &Asked<'_>, namespace: &str, pod: &str, rest: &[&str]) -> Answer {
    let cluster = asked.cluster;
    match (asked.method, rest) {
        (&Method::GET, []) => Ok((StatusCode::OK, json!({"sessions": cluster.sessions(namespace, pod)}))),
        (&Method::POST, []) => {
            let Begin { kind, session_id } = asked.read()?;
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
        (_, [] | [_, _]) => Err(asked.no_such_method()),
        _ => Err(asked.no_such_path()),
    }
}
