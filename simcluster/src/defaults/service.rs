//! A Service's defaults.

use serde_json::{Value, json};

use super::{items_mut, set_default};
use crate::store::text_at;

/// Sets the defaults except addresses and node ports, which are allocated.
pub(super) fn fill(service: &mut Value) {
    let spec = &mut service["spec"];
    set_default(spec, "type", json!("ClusterIP"));
    set_default(spec, "sessionAffinity", json!("None"));
    let kind = text_at(spec, &["type"]).to_owned();
    for port in items_mut(spec, "ports") {
        set_default(port, "protocol", json!("TCP"));
        let number = port["port"].clone();
        set_default(port, "targetPort", number);
    }
    if kind != "ExternalName" {
        set_default(spec, "internalTrafficPolicy", json!("Cluster"));
        set_default(spec, "ipFamilies", json!(["IPv4"]));
        set_default(spec, "ipFamilyPolicy", json!("SingleStack"));
    }
    if uses_node_ports(&kind) {
        set_default(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if spec["selector"].as_object().is_some_and(serde_json::Map::is_empty)
        && let Some(fields) = spec.as_object_mut()
    {
        fields.remove("selector");
    }
}

/// Returns whether Services of a type have node ports.
pub(crate) fn uses_node_ports(kind: &str) -> bool {
    matches!(kind, "NodePort" | "LoadBalancer")
}
