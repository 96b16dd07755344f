//! The methods of [`Cluster`] for the node and for sandbox sessions.

use super::Cluster;
use crate::behaviour::Behaviour;
use crate::options::Capacity;
use crate::sandbox::sessions::{Session, SessionKind};

// === impl Cluster: the node ===

impl Cluster {
    /// Sets the default behaviour of Pods. Existing Pods continue from their current state.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.shared().node.send_modify(|node| node.behaviour = behaviour);
    }

    /// Sets the behaviour of one Pod, which takes precedence over its annotation and the default; `None` removes it.
    /// The Pod need not exist yet, and a later Pod of the same name has the behaviour too.
    pub fn set_pod_behaviour(&self, namespace: &str, pod: &str, behaviour: Option<Behaviour>) {
        let key = (namespace.to_owned(), pod.to_owned());
        self.shared().node.send_modify(|node| match behaviour {
            Some(behaviour) => drop(node.pods.insert(key, behaviour)),
            None => drop(node.pods.remove(&key)),
        });
    }

    /// Changes the node's capacity. Running Pods stay; unschedulable Pods are tried again.
    pub fn set_capacity(&self, capacity: Capacity) {
        self.shared().node.send_modify(|node| node.capacity = capacity);
    }

    /// Returns the node's capacity.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        self.shared().node.borrow().capacity
    }

    /// Makes the node unreachable, or reachable again. After [`Times::node_grace`](crate::Times::node_grace) its Pods
    /// are not ready; Pods are deleted when their toleration ends, and stay terminating; new Pods are unschedulable.
    /// When the node is reachable again it continues.
    pub fn set_node_lost(&self, lost: bool) {
        self.shared().node.send_modify(|node| node.lost = lost);
    }

    /// Returns whether the node is unreachable.
    #[must_use]
    pub fn is_node_lost(&self) -> bool {
        self.shared().node.borrow().lost
    }
}

// === impl Cluster: the network ===

impl Cluster {
    /// Sets whether network policies are enforced, which they are by default. Clusters whose network plugin does not know
    /// them ignore them.
    pub fn set_network_policies_enforced(&self, enforced: bool) {
        self.shared().node.send_modify(|node| node.ignores_network_policies = !enforced);
    }
}

// === impl Cluster: sandboxes ===

impl Cluster {
    /// Starts a session in a sandbox. The sandbox lists it until it ends. The Pod need not exist yet. Returns false if
    /// a session of that kind and name exists.
    #[expect(clippy::must_use_candidate, reason = "an existing session has the same effect")]
    pub fn begin_session(&self, namespace: &str, pod: &str, kind: SessionKind, id: &str) -> bool {
        let since = self.now();
        self.shared().sessions.lock().begin(namespace, pod, kind, id, since)
    }

    /// Ends a session. Returns false if it does not exist.
    #[expect(clippy::must_use_candidate, reason = "a missing session has the same effect")]
    pub fn end_session(&self, namespace: &str, pod: &str, kind: SessionKind, id: &str) -> bool {
        self.shared().sessions.lock().end(namespace, pod, kind, id)
    }

    /// Returns the sessions of a sandbox, ordered by kind and name.
    #[must_use]
    pub fn sessions(&self, namespace: &str, pod: &str) -> Vec<Session> {
        self.shared().sessions.lock().of(namespace, pod)
    }
}
