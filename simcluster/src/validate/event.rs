//! Validation of events, in both API groups.

use serde_json::Value;

use super::names;
use crate::status::Cause;
use crate::store::text_at;

/// The maximum length of the reporting instance, the action and the reason, in bytes.
const TEXT_LIMIT: usize = 128;

/// Validates an event: it must be in the namespace of its object.
pub(super) fn check(event: &Value) -> Vec<Cause> {
    let own = text_at(event, &["metadata", "namespace"]);
    let about = text_at(event, &["involvedObject", "namespace"]);
    let fits = if about.is_empty() { own == "default" } else { own == about };
    if fits {
        return Vec::new();
    }
    vec![Cause::invalid_text("involvedObject.namespace", about, "does not match event.namespace")]
}

/// Validates an event of the newer API group. The value is in the stored form; messages name the fields of the newer
/// one.
pub(super) fn check_new(event: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if event["eventTime"].is_null() {
        causes.push(Cause::required("eventTime", ""));
    }
    let kind = text_at(event, &["type"]);
    if !["Normal", "Warning"].contains(&kind) {
        causes.push(Cause::invalid("type", "\"\"", &format!("has invalid value: {kind}")));
    }
    for (stored, shown) in
        [("firstTimestamp", "deprecatedFirstTimestamp"), ("lastTimestamp", "deprecatedLastTimestamp")]
    {
        if event[stored].is_string() {
            causes.push(Cause::invalid(shown, "\"\"", "needs to be unset"));
        }
    }
    let controller = text_at(event, &["reportingComponent"]);
    if controller.is_empty() {
        causes.push(Cause::required("reportingController", ""));
    } else {
        let wrong = names::qualified_name(controller);
        causes.extend(Cause::all_invalid("reportingController", controller, &wrong));
    }
    for key in ["reportingInstance", "action", "reason"] {
        let text = text_at(event, &[key]);
        if text.is_empty() {
            causes.push(Cause::required(key, ""));
        } else if text.len() > TEXT_LIMIT {
            let why = format!("can have at most {TEXT_LIMIT} characters");
            causes.push(Cause::invalid(key, "\"\"", &why));
        }
    }
    causes
}
