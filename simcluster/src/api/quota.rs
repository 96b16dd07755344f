//! `ResourceQuota`s: whether a namespace may hold one more.
//!
//! Use is counted afresh at each admission, so it is never behind, unlike on a real server.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::resource::{PODS, QUOTAS, Resource, SERVICES};
use crate::status::{ApiError, ApiResult};
use crate::store::{Store, text_at};
use crate::validate::quantity::Quantity;

/// Amounts by the name a quota gives them.
type Amounts = BTreeMap<String, Quantity>;

/// Refuses a new object that would exceed a quota of its namespace.
pub(super) fn admit(store: &Store, resource: &Resource, value: &Value) -> ApiResult<()> {
    let namespace = text_at(value, &["metadata", "namespace"]);
    for quota in store.list(QUOTAS, Some(namespace)) {
        let Some(hard) = quota.value["spec"]["hard"].as_object() else { continue };
        let requested = charge(resource, value);
        let used = usage(store, namespace);
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

/// The status of a quota: its limits, and what is used of each.
pub(crate) fn status(store: &Store, namespace: &str, quota: &Value) -> Value {
    let hard = quota["spec"]["hard"].as_object().cloned().unwrap_or_default();
    let used = usage(store, namespace);
    let shown: Map<String, Value> = hard
        .keys()
        .map(|key| (key.clone(), used.get(key).copied().unwrap_or_else(zero).canonical().into()))
        .collect();
    serde_json::json!({"hard": hard, "used": shown})
}

fn usage(store: &Store, namespace: &str) -> Amounts {
    let mut used = Amounts::new();
    for resource in [PODS, SERVICES] {
        for object in store.list(resource, Some(namespace)) {
            for (key, amount) in charge(resource, &object.value) {
                used.entry(key).and_modify(|sum| *sum = sum.plus(amount)).or_insert(amount);
            }
        }
    }
    used
}

/// What one object counts for.
fn charge(resource: &Resource, value: &Value) -> Amounts {
    let mut amounts = Amounts::new();
    amounts.insert(format!("count/{}", resource.qualified()), one(1));
    if resource == PODS {
        // A Pod that has ended uses nothing but its place in the count of objects.
        if matches!(text_at(value, &["status", "phase"]), "Succeeded" | "Failed") {
            return amounts;
        }
        amounts.insert("pods".to_owned(), one(1));
        for container in value["spec"]["containers"].as_array().into_iter().flatten() {
            for kind in ["requests", "limits"] {
                for (key, amount) in container["resources"][kind].as_object().into_iter().flatten() {
                    let Some(amount) = Quantity::from_json(amount) else { continue };
                    let mut add = |key: String| {
                        amounts.entry(key).and_modify(|sum| *sum = sum.plus(amount)).or_insert(amount);
                    };
                    add(format!("{kind}.{key}"));
                    if kind == "requests" {
                        add(key.clone());
                    }
                }
            }
        }
    } else if resource == SERVICES {
        amounts.insert("services".to_owned(), one(1));
        let ports = value["spec"]["ports"].as_array().map_or(0, Vec::len);
        match text_at(value, &["spec", "type"]) {
            "NodePort" => drop(amounts.insert("services.nodeports".to_owned(), one(ports))),
            "LoadBalancer" => {
                amounts.insert("services.nodeports".to_owned(), one(ports));
                amounts.insert("services.loadbalancers".to_owned(), one(1));
            }
            _ => {}
        }
    } else {
        amounts.insert(resource.plural.to_owned(), one(1));
    }
    amounts
}

fn zero() -> Quantity {
    one(0)
}

fn one(count: usize) -> Quantity {
    Quantity::whole(i64::try_from(count).unwrap_or(i64::MAX))
}
