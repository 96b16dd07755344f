//! Endpoints: an `EndpointSlice` and an `Endpoints` object for each Service with a selector.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::fields::{has_ended, is_true, items};
use crate::random::Random;
use crate::resource::{ENDPOINTS, NAMESPACES, PODS, SERVICES, SLICES};
use crate::shared::State;
use crate::store::{Change, Event, Labels, Object, Store, text_at};

const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const ENDPOINTS_LABEL: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER_LABEL: &str = "endpointslice.kubernetes.io/managed-by";

/// An index of Services and Pods by label. Thousands of objects share a label such as `app`, so a Service is indexed
/// by the label of its selector with the fewest other Services, and finds its Pods by the label with the fewest Pods.
#[derive(Debug, Default)]
pub(super) struct Index {
    services: Names,
    /// The label under which a Service (namespace, name) is indexed.
    of: HashMap<(String, String), Label>,
    pods: Names,
}

/// A namespace, a key and a value.
type Label = (String, String, String);

/// The names of objects, by label.
#[derive(Debug, Default)]
struct Names(HashMap<Label, BTreeSet<String>>);

/// The controller's access to the cluster.
pub(super) struct Writer<'a> {
    pub state: &'a mut State,
    pub clock: &'a Clock,
    /// The source of names and uids.
    pub random: &'a mut Random,
}

/// A Pod of a Service.
struct Backend<'a> {
    pod: &'a Object,
    address: &'a str,
    ready: bool,
}

/// Updates the endpoints of the Services that the events affect, or of all Services if events were missed.
pub(super) fn update(writer: &mut Writer<'_>, index: &mut Index, events: &[Event], missed: bool) {
    let store = &writer.state.store;
    let mut touched: BTreeSet<(String, String)> = BTreeSet::new();
    if missed {
        *index = Index::of(store);
        let own = |endpoints: &Object| endpoints.labels().get(ENDPOINTS_LABEL).is_some();
        let endpoints = store.list(ENDPOINTS, None).filter(own);
        let all = store.list(SERVICES, None).chain(endpoints);
        touched.extend(all.map(|object| (object.namespace().to_owned(), object.name().to_owned())));
    }
    for event in events {
        let object = &event.object;
        if object.resource == SERVICES {
            index.remove(object);
            if event.change != Change::Deleted {
                index.insert(object);
            }
            touched.insert((object.namespace().to_owned(), object.name().to_owned()));
        } else if object.resource == PODS {
            index.follow(event);
            for pod in event.before.iter().chain([object]) {
                touched.extend(index.find(pod).map(|name| (pod.namespace().to_owned(), name)));
            }
        }
    }
    for (namespace, name) in touched {
        writer.write(index, &namespace, &name);
    }
}

// === impl Writer ===

impl Writer<'_> {
    fn write(&mut self, index: &Index, namespace: &str, name: &str) {
        let state = &mut *self.state;
        let service = state.store.get(SERVICES, namespace, name);
        let alive = state.store.get(NAMESPACES, "", namespace).is_some_and(|space| !space.terminating());
        let with_selector = service.map(|service| (selector(&service), service));
        let Some((selector, service)) = with_selector.filter(|(selector, service)| {
            alive && !selector.is_empty() && text_at(service.value(), &["spec", "type"]) != "ExternalName"
        }) else {
            // The garbage collector deletes slices; `Endpoints` have no owner.
            if state.store.get(SERVICES, namespace, name).is_none() {
                state.remove(ENDPOINTS, namespace, name);
            }
            return;
        };
        let pods: Vec<Object> = index
            .candidates(namespace, &selector)
            .filter_map(|pod| state.store.get(PODS, namespace, pod))
            .filter(|pod| pod.labels().contains_all(&selector))
            .collect();
        let backends: Vec<_> = pods.iter().filter_map(|pod| Backend::of(pod, &service)).collect();
        self.put_slice(&service, &backends);
        self.put_endpoints(&service, &backends);
    }

    fn put_slice(&mut self, service: &Object, backends: &[Backend<'_>]) {
        let Self { state, clock, random } = self;
        let endpoints: Vec<_> = backends.iter().map(Backend::endpoint).collect();
        let ports = ports(service, backends, true);
        let owned = state.store.owned_by(service.uid());
        let existing = owned.iter().find(|object| object.resource == SLICES).cloned();
        let mut value = existing.as_ref().map_or_else(
            || {
                let prefix = format!("{}-", service.name());
                json!({"metadata": {
                "name": format!("{prefix}{}", random.suffix()), "generateName": prefix,
                "namespace": service.namespace(), "uid": random.uid(), "creationTimestamp": clock.stamp(),
                "generation": 1,
                "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": service.name(),
                    "uid": service.uid(), "controller": true, "blockOwnerDeletion": true}],
            }, "addressType": "IPv4"})
            },
            |slice| slice.value().clone(),
        );
        let slice_labels =
            [(MANAGER_LABEL, "endpointslice-controller.k8s.io"), (SERVICE_LABEL, service.name())];
        value["metadata"]["labels"] = labels(service, &slice_labels);
        let changed = value["endpoints"] != json!(endpoints) || value["ports"] != ports;
        value["endpoints"] = endpoints.into();
        value["ports"] = ports;
        if existing.as_ref().is_some_and(|slice| *slice.value() == value) {
            return;
        }
        if let Some(generation) =
            value["metadata"]["generation"].as_i64().filter(|_| changed && existing.is_some())
        {
            value["metadata"]["generation"] = (generation + 1).into();
        }
        state.store.put(SLICES, value);
    }

    fn put_endpoints(&mut self, service: &Object, backends: &[Backend<'_>]) {
        let Self { state, clock, random } = self;
        let of = |ready: bool| -> Vec<Value> {
            let chosen =
                backends.iter().filter(|backend| backend.ready == ready && !backend.pod.terminating());
            chosen.map(Backend::address).collect()
        };
        let (ready, unready) = (of(true), of(false));
        let lists = [("addresses", ready), ("notReadyAddresses", unready)];
        let filled = lists.into_iter().filter(|(_, addresses)| !addresses.is_empty());
        let mut subset: Map<_, _> =
            filled.map(|(key, addresses)| (key.to_owned(), addresses.into())).collect();
        let existing = state.store.get(ENDPOINTS, service.namespace(), service.name());
        let mut value = existing.as_ref().map_or_else(
        || {
            json!({"metadata": {"name": service.name(), "namespace": service.namespace(), "uid": random.uid(),
                "creationTimestamp": clock.stamp()}})
        },
        |endpoints| endpoints.value().clone(),
    );
        value["metadata"]["labels"] = labels(service, &[(ENDPOINTS_LABEL, "endpoint-controller")]);
        if subset.is_empty() {
            value.as_object_mut().map(|fields| fields.remove("subsets"));
        } else {
            subset.insert("ports".to_owned(), ports(service, backends, false));
            value["subsets"] = json!([subset]);
        }
        if existing.is_none_or(|endpoints| *endpoints.value() != value) {
            state.store.put(ENDPOINTS, value);
        }
    }
}

/// Returns the labels of a Service's endpoints: its own, those of the controller, and the mark of a headless Service.
fn labels(service: &Object, more: &[(&str, &str)]) -> Value {
    let mut labels = service.value()["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let headless = text_at(service.value(), &["spec", "clusterIP"]) == "None";
    let headless = headless.then_some(("service.kubernetes.io/headless", ""));
    labels.extend(more.iter().copied().chain(headless).map(|(key, value)| (key.to_owned(), value.into())));
    labels.into()
}

/// Returns the ports of the Pods. A named target port is resolved in the first Pod.
fn ports(service: &Object, backends: &[Backend<'_>], named: bool) -> Value {
    items(&service.value()["spec"]["ports"])
        .filter_map(|port| {
            let target = match &port["targetPort"] {
                Value::String(name) => backends.first()?.port(name)?,
                Value::Null => port["port"].clone(),
                number => number.clone(),
            };
            let mut written = json!({"port": target, "protocol": text_at(port, &["protocol"])});
            let name = text_at(port, &["name"]);
            // A slice always names its ports.
            if named || !name.is_empty() {
                written["name"] = name.into();
            }
            Some(written)
        })
        .collect()
}

// === impl Backend ===

impl<'a> Backend<'a> {
    /// Returns a Pod that has an address and has not ended.
    fn of(pod: &'a Object, service: &Object) -> Option<Self> {
        let address = text_at(pod.value(), &["status", "podIP"]);
        let ready = is_true(pod.value(), "Ready");
        let anyway = service.value()["spec"]["publishNotReadyAddresses"] == Value::Bool(true);
        (!address.is_empty() && !has_ended(pod.value())).then_some(Self {
            pod,
            address,
            ready: ready || anyway,
        })
    }

    fn reference(&self) -> Value {
        json!({"kind": "Pod", "namespace": self.pod.namespace(), "name": self.pod.name(), "uid": self.pod.uid()})
    }

    fn endpoint(&self) -> Value {
        let terminating = self.pod.terminating();
        json!({
            "addresses": [self.address],
            "conditions": {"ready": self.ready && !terminating, "serving": self.ready, "terminating": terminating},
            "nodeName": self.pod.value()["spec"]["nodeName"],
            "targetRef": self.reference(),
        })
    }

    fn address(&self) -> Value {
        json!({"ip": self.address, "nodeName": self.pod.value()["spec"]["nodeName"], "targetRef": self.reference()})
    }

    fn port(&self, name: &str) -> Option<Value> {
        let containers = items(&self.pod.value()["spec"]["containers"]);
        let mut ports = containers.flat_map(|container| items(&container["ports"]));
        ports.find(|port| port["name"] == name).map(|port| port["containerPort"].clone())
    }
}

// === impl Index ===

impl Index {
    /// Builds the index from the store.
    pub fn of(store: &Store) -> Self {
        let mut index = Self::default();
        store.list(SERVICES, None).for_each(|service| index.insert(&service));
        for pod in store.list(PODS, None) {
            pairs(pod.namespace(), pod.labels()).for_each(|pair| index.pods.insert(pair, pod.name()));
        }
        index
    }

    fn insert(&mut self, service: &Object) {
        let selector = selector(service);
        let pairs = pairs(service.namespace(), &selector);
        if let Some(pair) = pairs.min_by_key(|pair| self.services.of(pair).len()) {
            self.services.insert(pair.clone(), service.name());
            self.of.insert((service.namespace().to_owned(), service.name().to_owned()), pair);
        }
    }

    fn remove(&mut self, service: &Object) {
        let key = (service.namespace().to_owned(), service.name().to_owned());
        if let Some(pair) = self.of.remove(&key) {
            self.services.remove(&pair, service.name());
        }
    }

    /// Returns the Services whose selector may match a Pod.
    fn find(&self, pod: &Object) -> impl Iterator<Item = String> {
        pairs(pod.namespace(), pod.labels()).flat_map(|pair| self.services.of(&pair).iter().cloned())
    }

    /// Updates the index for an event.
    fn follow(&mut self, event: &Event) {
        let gone = event.change == Change::Deleted;
        let before = event.before.as_deref();
        if !gone && before.is_some_and(|before| before.labels() == event.object.labels()) {
            return;
        }
        for pair in before.into_iter().flat_map(|pod| pairs(pod.namespace(), pod.labels())) {
            self.pods.remove(&pair, event.object.name());
        }
        let now = (!gone).then(|| pairs(event.object.namespace(), event.object.labels()));
        for pair in now.into_iter().flatten() {
            self.pods.insert(pair, event.object.name());
        }
    }

    /// Returns the names of the Pods that a selector may match.
    fn candidates(&self, namespace: &str, selector: &Labels) -> impl Iterator<Item = &str> {
        let sets = pairs(namespace, selector).map(|pair| self.pods.of(&pair));
        sets.min_by_key(|names| names.len()).into_iter().flatten().map(String::as_str)
    }
}

// === impl Names ===

impl Names {
    fn of(&self, label: &Label) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        self.0.get(label).unwrap_or(&NONE)
    }

    fn insert(&mut self, label: Label, name: &str) {
        self.0.entry(label).or_default().insert(name.to_owned());
    }

    fn remove(&mut self, label: &Label, name: &str) {
        let Some(names) = self.0.get_mut(label) else { return };
        names.remove(name);
        if names.is_empty() {
            self.0.remove(label);
        }
    }
}

fn selector(service: &Object) -> Labels {
    Labels::new(service.value()["spec"]["selector"].as_object())
}

fn pairs(namespace: &str, labels: &Labels) -> impl Iterator<Item = Label> {
    labels.iter().map(move |(key, value)| (namespace.to_owned(), key.to_owned(), value.to_owned()))
}
