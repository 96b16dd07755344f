//! The switches of the node, and of what runs in the sandboxes, on the handle.

use std::collections::BTreeMap;

use super::Cluster;
use crate::behaviour::Behaviour;
use crate::options::Capacity;
use crate::sandbox::sessions::{Session, SessionKind};

// === impl Cluster: the node ===

impl Cluster {
    /// Chooses how Pods behave that nothing else is said of, those there are too: each goes on from where it is.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.shared().node.send_modify(|node| node.behaviour = behaviour);
    }

    /// How Pods behave that nothing else is said of.
    #[must_use]
    pub fn behaviour(&self) -> Behaviour {
        self.shared().node.borrow().behaviour
    }

    /// Chooses how one Pod behaves, before its annotation and the cluster's default; `None` takes that back. The Pod need
    /// not exist yet, and a later one of that name behaves so too.
    pub fn set_pod_behaviour(&self, namespace: &str, pod: &str, behaviour: Option<Behaviour>) {
        let key = (namespace.to_owned(), pod.to_owned());
        self.shared().node.send_modify(|node| match behaviour {
            Some(behaviour) => drop(node.pods.insert(key, behaviour)),
            None => drop(node.pods.remove(&key)),
        });
    }

    /// What was chosen for single Pods, by namespace and name.
    #[must_use]
    pub fn pod_behaviours(&self) -> BTreeMap<(String, String), Behaviour> {
        self.shared().node.borrow().pods.clone().into_iter().collect()
    }

    /// Changes what the node has. Pods that are on it stay; those that wait for room are looked at again.
    pub fn set_capacity(&self, capacity: Capacity) {
        self.shared().node.send_modify(|node| node.capacity = capacity);
    }

    /// What the node has.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        self.shared().node.borrow().capacity
    }

    /// Makes the whole node fall silent, or brings it back. After [`Times::node_grace`](crate::Times::node_grace) its
    /// Pods are not ready any more; those that do not tolerate that for ever are deleted when their time is up, and stay
    /// in deletion; new ones are unschedulable. When the node is back it finishes what it finds.
    pub fn set_node_lost(&self, lost: bool) {
        self.shared().node.send_modify(|node| node.lost = lost);
    }

    /// Whether the node is silent.
    #[must_use]
    pub fn is_node_lost(&self) -> bool {
        self.shared().node.borrow().lost
    }
}

// === impl Cluster: sandboxes ===

impl Cluster {
    /// Begins a session inside a sandbox, as if somebody worked in it: the sandbox lists it until it is ended. The Pod
    /// need not exist yet. False if there is one of that kind and name already.
    #[expect(clippy::must_use_candidate, reason = "a session that is there is as good as one begun now")]
    pub fn begin_session(&self, namespace: &str, pod: &str, kind: SessionKind, id: &str) -> bool {
        let since = self.now();
        self.shared().sessions().begin(namespace, pod, kind, id, since)
    }

    /// Ends a session; false if there is none such.
    #[expect(clippy::must_use_candidate, reason = "a session that is gone is as good as one ended now")]
    pub fn end_session(&self, namespace: &str, pod: &str, kind: SessionKind, id: &str) -> bool {
        self.shared().sessions().end(namespace, pod, kind, id)
    }

    /// The sessions of a sandbox, in the order of their kinds and names.
    #[must_use]
    pub fn sessions(&self, namespace: &str, pod: &str) -> Vec<Session> {
        self.shared().sessions().of(namespace, pod)
    }
}
