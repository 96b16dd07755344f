//! Endpoints: an `EndpointSlice` and an `Endpoints` object for each Service with a selector.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::fields::{has_ended, is_true, items};
use crate::label_index::{LabelIndex, selector};
use crate::random::Random;
use crate::resource::{ENDPOINTS, NAMESPACES, PODS, SERVICES, SLICES};
use crate::shared::State;
use crate::store::{Change, Event, Object, Store, text_at};

const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const ENDPOINTS_LABEL: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER_LABEL: &str = "endpointslice.kubernetes.io/managed-by";

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
pub(super) fn update(writer: &mut Writer<'_>, index: &mut LabelIndex, events: &[Event], missed: bool) {
    let store = &writer.state.store;
    let mut touched: BTreeSet<(String, String)> = BTreeSet::new();
    if missed {
        *index = self::index(store);
        let own = |endpoints: &Object| endpoints.labels().get(ENDPOINTS_LABEL).is_some();
        let endpoints = store.list(ENDPOINTS, None).filter(own);
        let all = store.list(SERVICES, None).chain(endpoints);
        touched.extend(all.map(|object| (object.namespace().to_owned(), object.name().to_owned())));
    }
    for event in events {
        let object = &event.object;
        if object.resource == SERVICES {
            index.remove_service(object.namespace(), object.name());
            if event.change != Change::Deleted {
                index.insert_service(object.namespace(), object.name(), &selector(object));
            }
            touched.insert((object.namespace().to_owned(), object.name().to_owned()));
        } else if object.resource == PODS {
            follow(index, event);
            for pod in event.before.iter().chain([object]) {
                let services = index.services_of(pod.namespace(), pod.labels());
                touched.extend(services.map(|name| (pod.namespace().to_owned(), name.to_owned())));
            }
        }
    }
    for (namespace, name) in touched {
        writer.write(index, &namespace, &name);
    }
}

// === impl Writer ===

impl Writer<'_> {
    fn write(&mut self, index: &LabelIndex, namespace: &str, name: &str) {
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
            .pods_of(namespace, &selector)
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

/// Builds the index from the store.
pub(super) fn index(store: &Store) -> LabelIndex {
    let mut index = LabelIndex::default();
    for service in store.list(SERVICES, None) {
        index.insert_service(service.namespace(), service.name(), &selector(&service));
    }
    for pod in store.list(PODS, None) {
        index.insert_pod(pod.namespace(), pod.name(), pod.labels());
    }
    index
}

/// Updates the index for an event of a Pod.
fn follow(index: &mut LabelIndex, event: &Event) {
    let pod = &event.object;
    let gone = event.change == Change::Deleted;
    let before = event.before.as_deref();
    if !gone && before.is_some_and(|before| before.labels() == pod.labels()) {
        return;
    }
    if let Some(before) = before {
        index.remove_pod(before.namespace(), before.name(), before.labels());
    }
    if !gone {
        index.insert_pod(pod.namespace(), pod.name(), pod.labels());
    }
}
