//! A Pod's `resize`: it changes only resources, and the node must be large enough.

use serde_json::Value;

use crate::options::Resize;
use crate::requests::requested;
use crate::resource::{NODES, PODS};
use crate::status::{ApiError, ApiResult};
use crate::store::{Object, Store, copy_field, text_at};
use crate::validate::quantity::Quantity;

/// Restores everything but the resources and the resize policies of containers. Lists of other containers stay as they
/// are, and are rejected later.
pub(super) fn restore(old: &Value, new: &mut Value) {
    let wanted = std::mem::replace(new, old.clone());
    let lists = ["containers", "initContainers"];
    let list = |pod: &Value, key: &str| pod["spec"][key].as_array().cloned().unwrap_or_default();
    let other_count = |key: &&str| list(&wanted, key).len() != list(old, key).len();
    let counts_differ = lists.iter().any(other_count);
    for key in lists {
        let (before, after) = (list(old, key), list(&wanted, key));
        let renamed = before.iter().zip(&after).any(|(before, after)| before["name"] != after["name"]);
        if counts_differ || renamed {
            new["spec"][key] = after.into();
            continue;
        }
        let containers = new["spec"].get_mut(key).and_then(Value::as_array_mut).into_iter().flatten();
        for (container, wanted) in containers.zip(&after) {
            for part in ["resources", "resizePolicy"] {
                copy_field(wanted, container, part);
            }
        }
    }
}

/// Rejects a Pod that its node can never hold.
pub(super) fn admit(store: &Store, support: Resize, old: &Object, new: &Value) -> ApiResult<()> {
    let node = text_at(new, &["spec", "nodeName"]);
    if support != Resize::Checked || node.is_empty() || old.value()["spec"] == new["spec"] {
        return Ok(());
    }
    let forbidden = |why: &str| Err(ApiError::forbidden(PODS, old.name(), why));
    let Some(found) = store.get(NODES, "", node) else {
        return forbidden(&format!("node {node:?} not found"));
    };
    let allocatable = &found.value()["status"]["allocatable"];
    let lacking: Vec<_> = ["cpu", "memory"]
        .into_iter()
        .filter_map(|key| {
            let (wanted, has) = (requested(new, key), Quantity::from_json(allocatable.get(key)?)?);
            let shown = |amount: Quantity| if key == "cpu" { amount.millis() } else { amount.units() };
            let line = || format!("{key}, requested: {}, allocatable: {}", shown(wanted), shown(has));
            wanted.exceeds(has).then(line)
        })
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    forbidden(&format!("node didn't have enough allocatable resources: {}", lacking.join("; ")))
}
