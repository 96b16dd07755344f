//! The rows of all kinds but Pods and those of storage.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::age::age;
use super::{pod, storage};
use crate::fields::items;
use crate::store::{Object, text_at};

/// How many addresses a cell lists before it only counts them.
const ADDRESSES_SHOWN: usize = 3;

/// The cells of one object, in the order of its columns.
pub(super) fn of(object: &Object, now: Timestamp) -> Value {
    let value = &object.value();
    let name = object.name();
    let age = age(text_at(value, &["metadata", "creationTimestamp"]), now);
    match object.resource.kind {
        "Pod" => pod::cells(object, &age, now),
        "Service" => service(object, &age),
        "Namespace" => json!([name, text_at(value, &["status", "phase"]), age]),
        "Event" => event(value, now),
        "Node" => node(object, &age),
        "Endpoints" => json!([name, endpoints(value), age]),
        "EndpointSlice" => slice(object, &age),
        "PersistentVolumeClaim" => storage::claim(object, &age),
        "PersistentVolume" => storage::volume(object, &age),
        "StorageClass" => storage::class(object, &age),
        "ResourceQuota" => quota(object, &age),
        "ConfigMap" => {
            json!([name, (size(&value["data"]) + size(&value["binaryData"])).to_string(), age])
        }
        "Secret" => json!([name, text_at(value, &["type"]), size(&value["data"]).to_string(), age]),
        "ServiceAccount" => json!([name, items(&value["secrets"]).count().to_string(), age]),
        "Lease" => json!([name, text_at(value, &["spec", "holderIdentity"]), age]),
        "NetworkPolicy" => json!([name, selector(&value["spec"]["podSelector"]), age]),
        "PriorityClass" => json!([
            name,
            value["value"],
            value["globalDefault"] == json!(true),
            age,
            value["preemptionPolicy"].as_str().unwrap_or("PreemptLowerPriority"),
        ]),
        "RuntimeClass" => json!([name, text_at(value, &["handler"]), age]),
        "Role" | "ClusterRole" => json!([name, value["metadata"]["creationTimestamp"]]),
        "RoleBinding" | "ClusterRoleBinding" => binding(object, &age),
        _ => json!([name, age]),
    }
}

fn service(object: &Object, age: &str) -> Value {
    let spec = &object.value()["spec"];
    let ports: Vec<_> = spec["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            let protocol = text_at(port, &["protocol"]);
            match port["nodePort"].as_u64() {
                Some(node_port) => format!("{}:{node_port}/{protocol}", port["port"]),
                None => format!("{}/{protocol}", port["port"]),
            }
        })
        .collect();
    let selector: Vec<_> = spec["selector"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")))
        .collect();
    let or_none = |text: String| if text.is_empty() { "<none>".to_owned() } else { text };
    json!([
        object.name(),
        text_at(spec, &["type"]),
        or_none(text_at(spec, &["clusterIP"]).to_owned()),
        "<none>",
        or_none(ports.join(",")),
        age,
        or_none(selector.join(",")),
    ])
}

fn event(value: &Value, now: Timestamp) -> Value {
    let since = |text: &str| age(text, now);
    let time = |key: &str| text_at(value, &[key]);
    let first = if time("firstTimestamp").is_empty() { time("eventTime") } else { time("firstTimestamp") };
    let last = if time("lastTimestamp").is_empty() { first } else { time("lastTimestamp") };
    let (last, count) = match value.get("series") {
        Some(series) => (text_at(series, &["lastObservedTime"]), series["count"].as_i64()),
        None => (last, value["count"].as_i64()),
    };
    let about = &value["involvedObject"];
    let kind = text_at(about, &["kind"]).to_lowercase();
    let target = match text_at(about, &["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let (component, host) = (text_at(value, &["source", "component"]), text_at(value, &["source", "host"]));
    let (component, host) = if component.is_empty() {
        (text_at(value, &["reportingComponent"]), text_at(value, &["reportingInstance"]))
    } else {
        (component, host)
    };
    let source = if host.is_empty() { component.to_owned() } else { format!("{component}, {host}") };
    json!([
        since(last),
        text_at(value, &["type"]),
        text_at(value, &["reason"]),
        target,
        text_at(about, &["fieldPath"]),
        source,
        text_at(value, &["message"]).trim(),
        since(first),
        // An event of the newer form that came once has no count.
        count.filter(|count| *count != 0).unwrap_or(1).to_string(),
        text_at(value, &["metadata", "name"]),
    ])
}

fn node(object: &Object, age: &str) -> Value {
    let value = &object.value();
    let status = &value["status"];
    let ready = items(&status["conditions"]).find(|condition| condition["type"] == "Ready");
    let mut words = vec![match ready.map(|ready| text_at(ready, &["status"])) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }];
    if value["spec"]["unschedulable"] == true {
        words.push("SchedulingDisabled");
    }
    let roles: Vec<_> =
        object.labels().iter().filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/")).collect();
    let address = |kind: &str| {
        let found = items(&status["addresses"]).find(|address| address["type"] == kind);
        or_none(found.map_or("", |address| text_at(address, &["address"])))
    };
    let info = |key: &str| text_at(status, &["nodeInfo", key]);
    let or_unknown = |text: &str| if text.is_empty() { "<unknown>".to_owned() } else { text.to_owned() };
    json!([
        object.name(),
        words.join(","),
        or_none(&roles.join(",")),
        age,
        info("kubeletVersion"),
        address("InternalIP"),
        address("ExternalIP"),
        or_unknown(info("osImage")),
        or_unknown(info("kernelVersion")),
        or_unknown(info("containerRuntimeVersion")),
    ])
}

fn endpoints(value: &Value) -> String {
    let all: Vec<_> = items(&value["subsets"])
        .flat_map(|subset| {
            items(&subset["addresses"]).flat_map(|address| {
                let ip = text_at(address, &["ip"]);
                let ports: Vec<_> =
                    items(&subset["ports"]).map(|port| format!("{ip}:{}", port["port"])).collect();
                if ports.is_empty() { vec![ip.to_owned()] } else { ports }
            })
        })
        .collect();
    or_none(&shortened(&all))
}

fn slice(object: &Object, age: &str) -> Value {
    let value = &object.value();
    let ports: Vec<_> = items(&value["ports"]).map(|port| port["port"].to_string()).collect();
    let addresses: Vec<_> = items(&value["endpoints"])
        .flat_map(|endpoint| items(&endpoint["addresses"]))
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let or_unset = |text: String| if text.is_empty() { "<unset>".to_owned() } else { text };
    json!([
        object.name(),
        text_at(value, &["addressType"]),
        or_unset(shortened(&ports)),
        or_unset(shortened(&addresses)),
        age
    ])
}

fn quota(object: &Object, age: &str) -> Value {
    let status = &object.value()["status"];
    let list = |limits: bool| {
        let hard = status["hard"].as_object().into_iter().flatten();
        let shown: Vec<_> = hard
            .filter(|(key, _)| key.starts_with("limits") == limits)
            .map(|(key, hard)| {
                format!("{key}: {}/{}", text_at(status, &["used", key]), hard.as_str().unwrap_or(""))
            })
            .collect();
        shown.join(", ")
    };
    json!([object.name(), age, list(false), list(true)])
}

fn binding(object: &Object, age: &str) -> Value {
    let value = &object.value();
    let role = format!("{}/{}", text_at(value, &["roleRef", "kind"]), text_at(value, &["roleRef", "name"]));
    let subjects = |kind: &str| {
        let chosen = items(&value["subjects"]).filter(|subject| subject["kind"] == kind);
        let names: Vec<_> = chosen
            .map(|subject| match text_at(subject, &["namespace"]) {
                "" => text_at(subject, &["name"]).to_owned(),
                space => format!("{space}/{}", text_at(subject, &["name"])),
            })
            .collect();
        names.join(", ")
    };
    json!([object.name(), role, age, subjects("User"), subjects("Group"), subjects("ServiceAccount")])
}

/// A label selector in one line.
fn selector(selector: &Value) -> String {
    let pairs = selector["matchLabels"].as_object().into_iter().flatten();
    let equal = pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")));
    let others = items(&selector["matchExpressions"]).map(|term| {
        let key = text_at(term, &["key"]);
        let values: Vec<_> = items(&term["values"]).filter_map(Value::as_str).collect();
        match text_at(term, &["operator"]) {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        }
    });
    or_none(&equal.chain(others).collect::<Vec<_>>().join(","))
}

/// The first few of a list, and how many more there are.
fn shortened(all: &[String]) -> String {
    let shown = all.iter().take(ADDRESSES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(",");
    match all.len().checked_sub(ADDRESSES_SHOWN) {
        Some(more) if more > 0 => format!("{shown} + {more} more..."),
        _ => shown,
    }
}

fn size(members: &Value) -> usize {
    members.as_object().map_or(0, Map::len)
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text.to_owned() }
}
