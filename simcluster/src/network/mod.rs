//! Decides whether network policies allow a connection, as Kubernetes defines it.
//!
//! `policy` is a pure function of policies and two ends of a connection. This file asks it for the objects of a
//! cluster: for the node ports of the host, and for the Pods that connect to others (`program`).

mod policy;
pub(crate) mod program;

use program::Program;

pub use policy::{Connection, Endpoint, Protocol, allows};

use crate::fields::{is_true, items};
use crate::resource::{NAMESPACES, PODS, POLICIES};
use crate::shared::{Shared, State};
use crate::store::{Object, text_at};

/// Returns whether a connection from the host reaches a Pod. It counts as one from the address of the Pod's node.
pub(crate) fn from_host(shared: &Shared, namespace: &str, pod: &str) -> bool {
    let state = shared.state();
    let Some(pod) = state.store.get(PODS, namespace, pod) else { return false };
    let source = text_at(pod.value(), &["status", "hostIP"]).parse().ok().map(Endpoint::Address);
    let port = pod.value()["spec"]["containers"][0]["ports"][0]["containerPort"].as_u64();
    let port = port.and_then(|port| u16::try_from(port).ok());
    // A port that the Pod does not declare is still served, and no rule about another port is meant for it.
    let port = port.unwrap_or_default();
    source.is_some_and(|source| is_allowed(shared, &state, &source, &pod, port))
}

/// Returns whether a Pod reaches an address: a ready Pod has it and declares the port, and the policies allow it.
pub(crate) fn from_pod(shared: &Shared, state: &State, namespace: &str, pod: &str, program: Program) -> bool {
    let Program { address, port, .. } = program;
    let Some(source) = state.store.get(PODS, namespace, pod) else { return false };
    let listens = |pod: &Object| {
        text_at(pod.value(), &["status", "podIP"]).parse() == Ok(address)
            && is_true(pod.value(), "Ready")
            && declares(pod, port)
    };
    let Some(destination) = state.store.list(PODS, None).find(listens) else { return false };
    let labels = labels_of(state, &source);
    let Some(source) = Endpoint::of_pod(source.value(), labels.as_ref().map(Object::value)) else {
        return false;
    };
    is_allowed(shared, state, &source, &destination, port)
}

fn is_allowed(shared: &Shared, state: &State, source: &Endpoint<'_>, pod: &Object, port: u16) -> bool {
    if shared.node.borrow().ignores_network_policies {
        return true;
    }
    let policies: Vec<_> = state.store.list(POLICIES, None).collect();
    let policies: Vec<_> = policies.iter().map(Object::value).collect();
    let namespace = labels_of(state, pod);
    let Some(destination) = Endpoint::of_pod(pod.value(), namespace.as_ref().map(Object::value)) else {
        return true;
    };
    allows(&policies, &Connection { source, destination: &destination, port, protocol: Protocol::Tcp })
}

fn labels_of(state: &State, pod: &Object) -> Option<Object> {
    state.store.get(NAMESPACES, "", pod.namespace())
}

fn declares(pod: &Object, port: u16) -> bool {
    let mut ports =
        items(&pod.value()["spec"]["containers"]).flat_map(|container| items(&container["ports"]));
    ports.any(|declared| declared["containerPort"] == port)
}
