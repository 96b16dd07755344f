//! Endpoints: an `EndpointSlice` and an `Endpoints` object for each Service with a selector.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::random::Random;
use crate::resource::{ENDPOINTS, NAMESPACES, PODS, SERVICES, SLICES};
use crate::shared::State;
use crate::store::{Change, Event, Labels, Object, Store, text_at};

const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const ENDPOINTS_LABEL: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER_LABEL: &str = "endpointslice.kubernetes.io/managed-by";

/// An index of Services and Pods by label. Thousands of objects share a label such as `app`, so a Service is indexed
/// by the label of its selector with the fewest other Services, and finds its Pods by the label with the fewest Pods.
/// Pods by the pair that the fewest have.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_label: HashMap<Label, BTreeSet<String>>,
    /// The label under which a Service (namespace, name) is indexed.
    of: HashMap<(String, String), Label>,
    pods: HashMap<Label, BTreeSet<String>>,
}

type Label = (String, String, String);

/// A Pod of a Service.
struct Backend<'a> {
    pod: &'a Object,
    address: &'a str,
    ready: bool,
}

/// Updates the endpoints of the Services that the events affect, or of all Services if events were missed.
pub(super) fn update(
    state: &mut State,
    clock: &Clock,
    index: &mut Index,
    random: &mut Random,
    events: &[Event],
    missed: bool,
) {
    let mut touched: BTreeSet<(String, String)> = BTreeSet::new();
    if missed {
        *index = Index::of(&state.store);
        let own = |endpoints: &Object| endpoints.labels().get(ENDPOINTS_LABEL).is_some();
        let endpoints = state.store.list(ENDPOINTS, None).filter(own);
        let all = state.store.list(SERVICES, None).chain(endpoints);
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
        write(state, clock, index, random, &namespace, &name);
    }
}

fn write(state: &mut State, clock: &Clock, index: &Index, random: &mut Random, namespace: &str, name: &str) {
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
    put_slice(state, clock, random, &service, &backends);
    put_endpoints(state, clock, random, &service, &backends);
}

fn put_slice(
    state: &mut State,
    clock: &Clock,
    random: &mut Random,
    service: &Object,
    backends: &[Backend<'_>],
) {
    let endpoints: Vec<_> = backends.iter().map(Backend::endpoint).collect();
    let ports = ports(service, backends, true);
    let owned = state.store.owned_by(service.uid());
    let existing = owned.iter().find(|object| object.resource == SLICES).cloned();
    let mut labels = service.value()["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert(MANAGER_LABEL.to_owned(), "endpointslice-controller.k8s.io".into());
    labels.insert(SERVICE_LABEL.to_owned(), service.name().into());
    if text_at(service.value(), &["spec", "clusterIP"]) == "None" {
        labels.insert("service.kubernetes.io/headless".to_owned(), "".into());
    }
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
    value["metadata"]["labels"] = labels.into();
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

fn put_endpoints(
    state: &mut State,
    clock: &Clock,
    random: &mut Random,
    service: &Object,
    backends: &[Backend<'_>],
) {
    let of = |ready: bool| -> Vec<Value> {
        let chosen = backends.iter().filter(|backend| backend.ready == ready && !backend.pod.terminating());
        chosen.map(Backend::address).collect()
    };
    let (ready, unready) = (of(true), of(false));
    let mut subset = Map::new();
    if !ready.is_empty() {
        subset.insert("addresses".to_owned(), ready.into());
    }
    if !unready.is_empty() {
        subset.insert("notReadyAddresses".to_owned(), unready.into());
    }
    let existing = state.store.get(ENDPOINTS, service.namespace(), service.name());
    let mut value = existing.as_ref().map_or_else(
        || {
            json!({"metadata": {"name": service.name(), "namespace": service.namespace(), "uid": random.uid(),
                "creationTimestamp": clock.stamp()}})
        },
        |endpoints| endpoints.value().clone(),
    );
    let mut labels = service.value()["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert(ENDPOINTS_LABEL.to_owned(), "endpoint-controller".into());
    if text_at(service.value(), &["spec", "clusterIP"]) == "None" {
        labels.insert("service.kubernetes.io/headless".to_owned(), "".into());
    }
    value["metadata"]["labels"] = labels.into();
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

/// Returns the ports of the Pods. A named target port is resolved in the first Pod.
fn ports(service: &Object, backends: &[Backend<'_>], named: bool) -> Value {
    let list = service.value()["spec"]["ports"].as_array().into_iter().flatten();
    list.filter_map(|port| {
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
        let status = &pod.value()["status"];
        let address = text_at(status, &["podIP"]);
        let ended = matches!(text_at(status, &["phase"]), "Succeeded" | "Failed");
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let ready = conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
        let anyway = service.value()["spec"]["publishNotReadyAddresses"] == Value::Bool(true);
        (!address.is_empty() && !ended).then_some(Self { pod, address, ready: ready || anyway })
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
        let containers = self.pod.value()["spec"]["containers"].as_array().into_iter().flatten();
        let mut ports = containers.filter_map(|container| container["ports"].as_array()).flatten();
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
            for pair in pairs(pod.namespace(), pod.labels()) {
                index.pods.entry(pair).or_default().insert(pod.name().to_owned());
            }
        }
        index
    }

    fn insert(&mut self, service: &Object) {
        let selector = selector(service);
        let pairs = pairs(service.namespace(), &selector);
        let rarest = pairs.min_by_key(|pair| self.by_label.get(pair).map_or(0, BTreeSet::len));
        if let Some(pair) = rarest {
            self.by_label.entry(pair.clone()).or_default().insert(service.name().to_owned());
            self.of.insert((service.namespace().to_owned(), service.name().to_owned()), pair);
        }
    }

    fn remove(&mut self, service: &Object) {
        let key = (service.namespace().to_owned(), service.name().to_owned());
        let Some(pair) = self.of.remove(&key) else { return };
        if let Some(names) = self.by_label.get_mut(&pair) {
            names.remove(&key.1);
            if names.is_empty() {
                self.by_label.remove(&pair);
            }
        }
    }

    /// Returns the Services whose selector may match a Pod.
    fn find(&self, pod: &Object) -> impl Iterator<Item = String> {
        pairs(pod.namespace(), pod.labels())
            .flat_map(|pair| self.by_label.get(&pair).into_iter().flatten().cloned())
    }

    /// Updates the index for an event.
    fn follow(&mut self, event: &Event) {
        let gone = event.change == Change::Deleted;
        let before = event.before.as_deref();
        if !gone && before.is_some_and(|before| before.labels() == event.object.labels()) {
            return;
        }
        for pair in before.into_iter().flat_map(|pod| pairs(pod.namespace(), pod.labels())) {
            if let Some(names) = self.pods.get_mut(&pair) {
                names.remove(event.object.name());
                if names.is_empty() {
                    self.pods.remove(&pair);
                }
            }
        }
        let now = (!gone).then(|| pairs(event.object.namespace(), event.object.labels()));
        for pair in now.into_iter().flatten() {
            self.pods.entry(pair).or_default().insert(event.object.name().to_owned());
        }
    }

    /// Returns the names of the Pods that a selector may match.
    fn candidates(&self, namespace: &str, selector: &Labels) -> impl Iterator<Item = &str> {
        let sets = pairs(namespace, selector).map(|pair| self.pods.get(&pair));
        let fewest = sets.min_by_key(|set| set.map_or(0, BTreeSet::len)).flatten();
        fewest.into_iter().flatten().map(String::as_str)
    }
}

fn selector(service: &Object) -> Labels {
    Labels::new(service.value()["spec"]["selector"].as_object())
}

fn pairs(namespace: &str, labels: &Labels) -> impl Iterator<Item = Label> {
    labels.iter().map(move |(key, value)| (namespace.to_owned(), key.to_owned(), value.to_owned()))
}
