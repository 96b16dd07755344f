//! Validation of Services.

use std::collections::HashSet;

use serde_json::Value;

use super::{meta, names};
use crate::status::Cause;
use crate::store::text_at;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

/// Validates the spec of a Service.
pub(super) fn check(service: &Value) -> Vec<Cause> {
    let spec = &service["spec"];
    let mut causes = Vec::new();
    let kind = text_at(spec, &["type"]);
    if !TYPES.contains(&kind) {
        causes.push(Cause::unsupported("spec.type", kind, &TYPES));
    }
    let ports: Vec<_> = spec["ports"].as_array().into_iter().flatten().collect();
    let headless = text_at(spec, &["clusterIP"]) == "None";
    if ports.is_empty() && !headless && kind != "ExternalName" {
        causes.push(Cause::required("spec.ports", ""));
    }
    let mut names = HashSet::new();
    for (place, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{place}]");
        let name = text_at(port, &["name"]);
        if name.is_empty() && ports.len() > 1 {
            causes.push(Cause::required(format!("{field}.name"), ""));
        } else if !name.is_empty() {
            let wrong = names::label(name);
            causes.extend(wrong.iter().map(|why| Cause::invalid_text(format!("{field}.name"), name, why)));
            if !names.insert(name) {
                causes.push(Cause::duplicate(format!("{field}.name"), name));
            }
        }
        check_number(&port["port"], &format!("{field}.port"), &mut causes);
        if port["targetPort"].is_number() {
            check_number(&port["targetPort"], &format!("{field}.targetPort"), &mut causes);
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

fn check_number(number: &Value, field: &str, causes: &mut Vec<Cause>) {
    let value = number.as_i64().unwrap_or(0);
    if !(1..=65535).contains(&value) {
        causes.push(Cause::invalid(field, &value.to_string(), "must be between 1 and 65535, inclusive"));
    }
}
