//! `ResourceQuota`s: limits on the objects of a namespace.
//!
//! Usage is computed at each admission, so it is never stale, unlike on a real server.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::defaults::uses_node_ports;
use crate::fields::{has_ended, items};
use crate::resource::{CLAIMS, PODS, QUOTAS, Resource, SERVICES};
use crate::status::{ApiError, ApiResult};
use crate::store::{Store, text_at};
use crate::validate::quantity::Quantity;

/// Amounts by their name in a quota.
type Amounts = BTreeMap<String, Quantity>;

/// Rejects a new object, or a change of one, that would exceed a quota of its namespace.
pub(super) fn admit(
    store: &Store,
    resource: &Resource,
    value: &Value,
    before: Option<&Value>,
) -> ApiResult<()> {
    let namespace = text_at(value, &["metadata", "namespace"]);
    for quota in store.list(QUOTAS, Some(namespace)) {
        let Some(hard) = quota.value()["spec"]["hard"].as_object() else { continue };
        let mut requested = charge(resource, value, hard);
        if let Some(before) = before {
            // Only the growth counts.
            let held = charge(resource, before, hard);
            for (key, amount) in &mut requested {
                *amount = amount.minus(held.get(key).copied().unwrap_or_else(zero));
            }
            requested.retain(|_, amount| amount.exceeds(zero()));
        }
        if requested.is_empty() {
            continue;
        }
        let used = usage(store, namespace, hard);
        let over: Vec<_> = requested
            .iter()
            .filter_map(|(key, amount)| {
                let limit = Quantity::from_json(hard.get(key)?)?;
                let used = used.get(key).copied().unwrap_or_else(zero);
                used.plus(*amount).exceeds(limit).then_some((key, amount, used, limit))
            })
            .collect();
        if over.is_empty() {
            continue;
        }
        let list = |pick: fn(&(&String, &Quantity, Quantity, Quantity)) -> Quantity| {
            let all: Vec<_> =
                over.iter().map(|line| format!("{}={}", line.0, pick(line).canonical())).collect();
            all.join(",")
        };
        let why = format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            quota.name(),
            list(|line| *line.1),
            list(|line| line.2),
            list(|line| line.3),
        );
        return Err(ApiError::forbidden(resource, text_at(value, &["metadata", "name"]), &why));
    }
    Ok(())
}

/// Returns the status of a quota: the limits and the usage.
pub(crate) fn status(store: &Store, namespace: &str, quota: &Value) -> Value {
    let hard = quota["spec"]["hard"].as_object().cloned().unwrap_or_default();
    let used = usage(store, namespace, &hard);
    let shown: Map<String, Value> = hard
        .keys()
        .map(|key| (key.clone(), used.get(key).copied().unwrap_or_else(zero).canonical().into()))
        .collect();
    serde_json::json!({"hard": hard, "used": shown})
}

fn usage(store: &Store, namespace: &str, hard: &Map<String, Value>) -> Amounts {
    let mut used = Amounts::new();
    for resource in [PODS, SERVICES, CLAIMS] {
        for object in store.list(resource, Some(namespace)) {
            for (key, amount) in charge(resource, object.value(), hard) {
                used.entry(key).and_modify(|sum| *sum = sum.plus(amount)).or_insert(amount);
            }
        }
    }
    used
}

/// Returns the usage of one object, for the resources that a quota limits.
fn charge(resource: &Resource, value: &Value, hard: &Map<String, Value>) -> Amounts {
    let mut amounts = Amounts::new();
    let mut add = |key: &str, amount: Quantity| {
        if hard.contains_key(key) {
            amounts.entry(key.to_owned()).and_modify(|sum| *sum = sum.plus(amount)).or_insert(amount);
        }
    };
    add(&format!("count/{}", resource.qualified()), count(1));
    match resource {
        // A Pod that has ended counts only as an object.
        r if r == PODS && has_ended(value) => {}
        r if r == PODS => {
            add("pods", count(1));
            for container in items(&value["spec"]["containers"]) {
                for kind in ["requests", "limits"] {
                    for (key, amount) in container["resources"][kind].as_object().into_iter().flatten() {
                        let Some(amount) = Quantity::from_json(amount) else { continue };
                        add(&format!("{kind}.{key}"), amount);
                        if kind == "requests" {
                            add(key, amount);
                        }
                    }
                }
            }
        }
        r if r == SERVICES => {
            add("services", count(1));
            let kind = text_at(value, &["spec", "type"]);
            if uses_node_ports(kind) {
                add("services.nodeports", count(value["spec"]["ports"].as_array().map_or(0, Vec::len)));
            }
            if kind == "LoadBalancer" {
                add("services.loadbalancers", count(1));
            }
        }
        r if r == CLAIMS => {
            let size = value["spec"]["resources"]["requests"].get("storage").and_then(Quantity::from_json);
            let class = text_at(value, &["spec", "storageClassName"]);
            let prefix = format!("{class}.storageclass.storage.k8s.io/");
            for prefix in ["", prefix.as_str()].into_iter().take(if class.is_empty() { 1 } else { 2 }) {
                add(&format!("{prefix}persistentvolumeclaims"), count(1));
                if let Some(size) = size {
                    add(&format!("{prefix}requests.storage"), size);
                }
            }
        }
        _ => add(resource.plural, count(1)),
    }
    amounts
}

fn zero() -> Quantity {
    count(0)
}

fn count(number: usize) -> Quantity {
    Quantity::whole(i64::try_from(number).unwrap_or(i64::MAX))
}
