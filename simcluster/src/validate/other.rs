//! Validation of the other kinds: quotas, config maps, leases, network policies.

use serde_json::Value;

use super::quantity::Quantity;
use super::{check_minimum, names, storage};
use crate::fields::items;
use crate::resource::{CLAIMS, CLASSES, LEASES, QUOTAS, Resource, VOLUMES};
use crate::status::Cause;
use crate::store::text_at;

/// The maximum size of the data of a config map or Secret, in bytes (`MaxSecretSize`).
const DATA_LIMIT: usize = 1024 * 1024;
const KEY_RULE: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  \
     or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/// Validates a new object.
pub(super) fn check(resource: &Resource, value: &Value) -> Vec<Cause> {
    match resource {
        r if r == CLAIMS => storage::claim(&value["spec"]),
        r if r == CLASSES => storage::class(value),
        r if r == VOLUMES => storage::volume(value),
        r if r == QUOTAS => quota(&value["spec"]),
        r if r == LEASES => lease(&value["spec"]),
        r if ["ConfigMap", "Secret"].contains(&r.kind) => data(value),
        r if r.kind == "NetworkPolicy" => policy(&value["spec"]),
        r if r.kind == "RuntimeClass" => {
            let handler = text_at(value, &["handler"]);
            Cause::all_invalid("handler", handler, &names::label(handler))
        }
        _ => Vec::new(),
    }
}

fn quota(spec: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (key, amount) in spec["hard"].as_object().into_iter().flatten() {
        let field = format!("spec.hard[{key}]");
        causes.extend(Cause::all_invalid(&field, key, &names::qualified_name(key)));
        let Some(amount) = Quantity::from_json(amount) else { continue };
        if Quantity::whole(0).exceeds(amount) {
            let why = "must be greater than or equal to 0";
            causes.push(Cause::invalid_text(field.as_str(), &amount.canonical(), why));
        }
    }
    causes
}

fn lease(spec: &Value) -> Vec<Cause> {
    let duration = check_minimum("spec.leaseDurationSeconds", &spec["leaseDurationSeconds"], 1);
    let transitions = check_minimum("spec.leaseTransitions", &spec["leaseTransitions"], 0);
    duration.into_iter().chain(transitions).collect()
}

fn data(value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut size = 0;
    for list in ["data", "binaryData"] {
        for (key, text) in value[list].as_object().into_iter().flatten() {
            let field = format!("{list}[{key}]");
            let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            if key.is_empty() || !key.bytes().all(known) {
                causes.push(Cause::invalid_text(field.as_str(), key, KEY_RULE));
            }
            if key.len() > 253 {
                causes.push(Cause::invalid_text(field.as_str(), key, "must be no more than 253 characters"));
            }
            size += key.len() + text.as_str().map_or(0, str::len);
        }
    }
    if size > DATA_LIMIT {
        causes.push(Cause::too_long("", DATA_LIMIT));
    }
    causes
}

fn policy(spec: &Value) -> Vec<Cause> {
    let types = ["Egress", "Ingress"];
    let mut causes = Vec::new();
    for (place, kind) in items(&spec["policyTypes"]).enumerate() {
        let kind = kind.as_str().unwrap_or("");
        causes.extend(Cause::unless_supported(format!("spec.policyTypes[{place}]"), kind, &types));
    }
    for direction in ["ingress", "egress"] {
        for (place, rule) in items(&spec[direction]).enumerate() {
            for (number, port) in items(&rule["ports"]).enumerate() {
                let protocol = text_at(port, &["protocol"]);
                if !["", "TCP", "UDP", "SCTP"].contains(&protocol) {
                    let field = format!("spec.{direction}[{place}].ports[{number}].protocol");
                    causes.push(Cause::unsupported(field, protocol, &["SCTP", "TCP", "UDP"]));
                }
            }
        }
    }
    causes
}
