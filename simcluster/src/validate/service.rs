//! Validation of Services.

use std::collections::HashSet;

use serde_json::Value;

use super::{check_label, check_port, meta};
use crate::fields::items;
use crate::status::Cause;
use crate::store::text_at;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

/// Validates the spec of a Service.
pub(super) fn check(service: &Value) -> Vec<Cause> {
    let spec = &service["spec"];
    let mut causes = Vec::new();
    let kind = text_at(spec, &["type"]);
    causes.extend(Cause::unless_supported("spec.type", kind, &TYPES));
    let ports: Vec<_> = items(&spec["ports"]).collect();
    let headless = text_at(spec, &["clusterIP"]) == "None";
    if ports.is_empty() && !headless && kind != "ExternalName" {
        causes.push(Cause::required("spec.ports", ""));
    }
    let mut names = HashSet::new();
    for (place, port) in ports.iter().enumerate() {
        let field = |key: &str| format!("spec.ports[{place}].{key}");
        let name = text_at(port, &["name"]);
        if !name.is_empty() || ports.len() > 1 {
            causes.extend(check_label(&field("name"), name));
        }
        if !name.is_empty() && !names.insert(name) {
            causes.push(Cause::duplicate(field("name"), name));
        }
        causes.extend(check_port(&field("port"), &port["port"]));
        if port["targetPort"].is_number() {
            causes.extend(check_port(&field("targetPort"), &port["targetPort"]));
        }
    }
    causes.extend(meta::check_pairs(spec["selector"].as_object(), "spec.selector"));
    causes
}

/// Checks a change of a Service for immutable fields.
pub(super) fn check_change(old: &Value, new: &Value) -> Vec<Cause> {
    let (was, is) = (text_at(old, &["spec", "clusterIP"]), text_at(new, &["spec", "clusterIP"]));
    if was.is_empty() || was == is || text_at(new, &["spec", "type"]) == "ExternalName" {
        return Vec::new();
    }
    let shown = format!("[{is:?}]");
    vec![Cause::invalid("spec.clusterIPs[0]", &shown, "may not change once set")]
}
