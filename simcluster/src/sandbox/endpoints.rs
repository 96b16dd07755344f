//! Maps each node port to the Pod behind it. Pure: takes changes, returns what to do with ports.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::fields::is_true;
use crate::label_index::{LabelIndex, selector};
use crate::ports::node_ports;
use crate::store::{Labels, Object, text_at};

/// A decision about a node port.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// Answer for this sandbox.
    Serve(u16, Arc<Sandbox>),
    /// Nothing is ready: refuse connections.
    Refuse(u16),
    /// The Service has it no more.
    Release(u16),
}

/// Services with node ports, and the Pods that are ready.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    /// By namespace and name.
    services: HashMap<(String, String), Service>,
    /// By namespace and name.
    ready: HashMap<(String, String), ReadyPod>,
    /// These Services, and the Pods that are ready.
    index: LabelIndex,
}

#[derive(Debug)]
struct Service {
    selector: Labels,
    ports: Vec<u16>,
    /// The Pod it stands for now, by uid.
    behind: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct ReadyPod {
    labels: Labels,
    sandbox: Arc<Sandbox>,
}

/// The Pod as a sandbox's server describes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sandbox {
    pub namespace: String,
    pub pod: String,
    uid: String,
    image: String,
}

// === impl Endpoints ===

impl Endpoints {
    /// A Service was added, changed or deleted.
    pub fn service(&mut self, object: &Object, gone: bool) -> Vec<Outcome> {
        let key = key(object);
        let ports = if gone { Vec::new() } else { node_ports(object.value()) };
        let mut outcomes = Vec::new();
        if let Some(before) = self.services.remove(&key) {
            self.index.remove_service(&key.0, &key.1);
            outcomes.extend(before.ports.iter().filter(|p| !ports.contains(p)).map(|p| Outcome::Release(*p)));
        }
        let selector = selector(object);
        if !ports.is_empty() && !selector.is_empty() {
            self.index.insert_service(&key.0, &key.1, &selector);
            self.services.insert(key.clone(), Service { selector, ports, behind: None });
            outcomes.extend(self.settle(&key));
        }
        outcomes
    }

    /// A Pod was added, changed or deleted.
    pub fn pod(&mut self, object: &Object, gone: bool) -> Vec<Outcome> {
        let key = key(object);
        let now = if gone { None } else { ReadyPod::of(object) };
        if self.ready.get(&key) == now.as_ref() {
            return Vec::new();
        }
        let before = self.ready.remove(&key);
        let mut concerned = BTreeSet::new();
        for pod in [&before, &now].into_iter().flatten() {
            concerned.extend(self.selecting(&key.0, pod));
        }
        if let Some(before) = before {
            self.index.remove_pod(&key.0, &key.1, &before.labels);
        }
        if let Some(now) = now {
            self.index.insert_pod(&key.0, &key.1, &now.labels);
            self.ready.insert(key, now);
        }
        concerned.iter().flat_map(|service| self.settle(service)).collect()
    }

    /// Replaces everything. A handle keeps the tree that it parsed, so each is dropped before the next is read.
    pub fn replace(&mut self, services: &[Object], pods: impl Iterator<Item = Object>) -> Vec<Outcome> {
        self.ready.clear();
        self.index = LabelIndex::default();
        for pod in pods {
            if let Some(ready) = ReadyPod::of(&pod) {
                let key = key(&pod);
                self.index.insert_pod(&key.0, &key.1, &ready.labels);
                self.ready.insert(key, ready);
            }
        }
        let present: HashSet<_> = services.iter().map(key).collect();
        let mut outcomes = Vec::new();
        self.services.retain(|key, service| {
            let stays = present.contains(key);
            if !stays {
                outcomes.extend(service.ports.iter().map(|port| Outcome::Release(*port)));
            }
            stays
        });
        for service in services {
            outcomes.extend(self.service(&service.clone(), false));
        }
        outcomes
    }

    /// Returns the Services that select a Pod.
    fn selecting(&self, namespace: &str, pod: &ReadyPod) -> impl Iterator<Item = (String, String)> {
        let names = self.index.services_of(namespace, &pod.labels);
        let keys = names.map(|name| (namespace.to_owned(), name.to_owned()));
        keys.filter(|key| {
            self.services.get(key).is_some_and(|service| pod.labels.contains_all(&service.selector))
        })
    }

    /// Chooses the Pod behind a Service: the first by name, or the one it has while that is ready.
    fn settle(&mut self, key: &(String, String)) -> Vec<Outcome> {
        let Self { services, ready, index } = self;
        let Some(service) = services.get_mut(key) else { return Vec::new() };
        let mut fitting = index
            .pods_of(&key.0, &service.selector)
            .filter_map(|name| ready.get(&(key.0.clone(), name.to_owned())))
            .filter(|pod| pod.labels.contains_all(&service.selector));
        let kept = fitting.clone().find(|pod| Some(&pod.sandbox.uid) == service.behind.as_ref());
        let chosen = kept.or_else(|| fitting.next());
        service.behind = chosen.map(|pod| pod.sandbox.uid.clone());
        let outcome = |port: &u16| match chosen {
            Some(pod) => Outcome::Serve(*port, Arc::clone(&pod.sandbox)),
            None => Outcome::Refuse(*port),
        };
        service.ports.iter().map(outcome).collect()
    }
}

// === impl ReadyPod ===

impl ReadyPod {
    /// `None` for a Pod that gets no traffic: not ready, or on its way out.
    fn of(pod: &Object) -> Option<Self> {
        if !is_true(pod.value(), "Ready") || pod.terminating() {
            return None;
        }
        let sandbox = Sandbox {
            namespace: pod.namespace().to_owned(),
            pod: pod.name().to_owned(),
            uid: pod.uid().to_owned(),
            image: text_at(&pod.value()["spec"]["containers"][0], &["image"]).to_owned(),
        };
        Some(Self { labels: pod.labels().clone(), sandbox: Arc::new(sandbox) })
    }
}

// === impl Sandbox ===

impl Sandbox {
    /// Returns the `data` of `GET /v1/sandbox`.
    pub fn to_json(&self) -> Value {
        let Self { namespace, pod, uid, image } = self;
        let version = env!("CARGO_PKG_VERSION");
        json!({"pod": pod, "namespace": namespace, "uid": uid, "image": image, "version": version})
    }
}

fn key(object: &Object) -> (String, String) {
    (object.namespace().to_owned(), object.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{PODS, SERVICES};

    fn service(port: u16) -> Object {
        let spec = json!({"selector": {"id": "a"}, "ports": [{"nodePort": port}]});
        Object::new(SERVICES, 1, json!({"metadata": {"namespace": "ns", "name": "svc"}, "spec": spec}))
    }

    fn pod(name: &str, id: &str, ready: bool) -> Object {
        let status = if ready { "True" } else { "False" };
        let meta = json!({"namespace": "ns", "name": name, "uid": name, "labels": {"id": id}});
        let conditions = json!([{"type": "Ready", "status": status}]);
        Object::new(PODS, 1, json!({"metadata": meta, "status": {"conditions": conditions}}))
    }

    /// Each port with the Pod it is served for.
    fn served(outcomes: &[Outcome]) -> Vec<(u16, Option<&str>)> {
        let mut all = Vec::new();
        for outcome in outcomes {
            all.push(match outcome {
                Outcome::Serve(port, sandbox) => (*port, Some(sandbox.pod.as_str())),
                Outcome::Refuse(port) | Outcome::Release(port) => (*port, None),
            });
        }
        all
    }

    #[test]
    fn a_port_is_served_while_a_pod_behind_it_is_ready() {
        let mut endpoints = Endpoints::default();
        assert_eq!(endpoints.service(&service(30001), false), [Outcome::Refuse(30001)]);
        assert!(endpoints.pod(&pod("p", "a", false), false).is_empty());
        assert_eq!(served(&endpoints.pod(&pod("p", "a", true), false)), [(30001, Some("p"))]);
        // Nothing that matters changed, and nothing that concerns this Service.
        assert!(endpoints.pod(&pod("p", "a", true), false).is_empty());
        assert!(endpoints.pod(&pod("q", "b", true), false).is_empty());
        assert_eq!(endpoints.pod(&pod("p", "a", true), true), [Outcome::Refuse(30001)]);
        assert_eq!(endpoints.service(&service(30001), true), [Outcome::Release(30001)]);
    }

    #[test]
    fn another_ready_pod_takes_over() {
        let mut endpoints = Endpoints::default();
        endpoints.pod(&pod("p", "a", true), false);
        endpoints.pod(&pod("q", "a", true), false);
        assert_eq!(served(&endpoints.service(&service(30001), false)), [(30001, Some("p"))]);
        assert_eq!(served(&endpoints.pod(&pod("p", "a", true), true)), [(30001, Some("q"))]);
    }
}
