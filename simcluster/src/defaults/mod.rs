//! The defaults that the API server sets.

mod empty;
mod other;
mod pod;
mod service;
mod storage;

use serde_json::{Map, Value, json};

pub(crate) use empty::empty;
pub(crate) use service::uses_node_ports;

#[cfg(feature = "rbac")]
use crate::access;
use crate::random::Random;
use crate::requests::qos_class;
use crate::resource::{CLAIMS, CLASSES, EVENTS, NAMESPACES, PODS, QUOTAS, Resource, SERVICES, VOLUMES};

/// Sets the defaults of a new object. Its metadata is complete already.
pub(crate) fn new_object(resource: &Resource, value: &mut Value, random: &mut Random) {
    #[cfg(feature = "rbac")]
    access::fill_object(resource, value);
    match resource {
        r if r == PODS => {
            value["status"] = json!({"phase": "Pending"});
            pod::fill(value, random);
            value["status"]["qosClass"] = qos_class(&value["spec"]).into();
        }
        r if r == SERVICES => {
            value["status"] = json!({"loadBalancer": {}});
            service::fill(value);
        }
        r if r == NAMESPACES => {
            value["spec"] = json!({"finalizers": ["kubernetes"]});
            value["status"] = json!({"phase": "Active"});
            let name = value["metadata"]["name"].clone();
            value["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
        }
        r if r == EVENTS => {
            set_defaults(
                value,
                json!({
                    "source": {}, "firstTimestamp": null, "lastTimestamp": null, "eventTime": null,
                    "reportingComponent": "", "reportingInstance": "",
                }),
            );
        }
        r if r == QUOTAS => value["status"] = json!({}),
        r if r == CLAIMS => {
            storage::claim(value);
            value["status"] = json!({"phase": "Pending"});
        }
        r if r == VOLUMES => {
            storage::volume(value);
            value["status"] = json!({"phase": "Pending"});
        }
        r => changed_object(r, value),
    }
}

/// Sets the defaults of a changed object.
pub(crate) fn changed_object(resource: &Resource, value: &mut Value) {
    #[cfg(feature = "rbac")]
    access::fill_object(resource, value);
    match resource {
        r if r == PODS => pod::fill_spec(&mut value["spec"]),
        r if r == SERVICES => service::fill(value),
        r if r == CLASSES => storage::class(value),
        r if r.kind == "Secret" => other::secret(value),
        r if r.kind == "NetworkPolicy" => other::policy(value),
        r if r.kind == "PriorityClass" => {
            set_default(value, "preemptionPolicy", json!("PreemptLowerPriority"));
        }
        _ => {}
    }
}

/// Sets an absent field. A value that is not an object is left unchanged.
fn set_default(value: &mut Value, key: &str, default: Value) {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    if let Some(fields) = value.as_object_mut() {
        fields.entry(key).or_insert(default);
    }
}

/// Sets all absent fields of an object.
fn set_defaults(value: &mut Value, defaults: Value) {
    if let Value::Object(defaults) = defaults {
        defaults.into_iter().for_each(|(key, default)| set_default(value, &key, default));
    }
}

/// Returns the mutable items of a list field.
fn items_mut<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}
