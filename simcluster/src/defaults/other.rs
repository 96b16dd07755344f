//! Defaults of the other kinds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{items_mut, set_default};

/// Sets the type of a Secret and moves `stringData` to `data`.
pub(super) fn secret(value: &mut Value) {
    set_default(value, "type", json!("Opaque"));
    let Some(texts) = value.as_object_mut().and_then(|fields| fields.remove("stringData")) else { return };
    for (key, text) in texts.as_object().into_iter().flatten() {
        value["data"][key] = STANDARD.encode(text.as_str().unwrap_or("")).into();
    }
}

/// Sets the policy types of a network policy and the protocol of its ports.
pub(super) fn policy(value: &mut Value) {
    let spec = &mut value["spec"];
    set_default(spec, "podSelector", json!({}));
    if spec["policyTypes"].as_array().is_none_or(Vec::is_empty) {
        let outwards = spec["egress"].as_array().is_some_and(|rules| !rules.is_empty());
        spec["policyTypes"] = if outwards { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    }
    for direction in ["ingress", "egress"] {
        for rule in items_mut(spec, direction) {
            for port in items_mut(rule, "ports") {
                set_default(port, "protocol", json!("TCP"));
            }
        }
    }
}
