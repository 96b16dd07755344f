//! `fieldSelector`: equality on a few fields, which differ by kind. The error texts are those of
//! `k8s.io/apimachinery/pkg/fields` and of each kind's conversion of field labels.

use std::borrow::Cow;

use serde_json::Value;

use crate::quote::quoted;
use crate::resource::Resource;
use crate::view;

/// A conjunction of equalities on fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FieldSelector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    /// The field in the stored form of the kind.
    field: String,
    value: String,
    equal: bool,
}

/// Checks what can be checked before the kind is known.
pub(crate) fn check_syntax(text: &str) -> Result<(), String> {
    parse_terms(text).map(drop)
}

// === impl FieldSelector ===

impl FieldSelector {
    /// Parses a selector for a kind. The error is the message of the real server.
    pub fn parse(text: &str, resource: &Resource) -> Result<Self, String> {
        let mut terms = parse_terms(text)?;
        for term in &mut terms {
            term.field = stored_field(resource, &term.field)?;
        }
        Ok(Self(terms))
    }

    /// Selects the object with this name.
    pub fn by_name(name: &str) -> Self {
        Self(vec![Term { field: "metadata.name".to_owned(), value: name.to_owned(), equal: true }])
    }

    /// Whether every object is selected.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name that an object must have, which makes a list a lookup.
    pub fn name(&self) -> Option<&str> {
        self.0.iter().find(|t| t.equal && t.field == "metadata.name").map(|t| t.value.as_str())
    }

    /// Whether an object is selected.
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|term| (field_of(object, &term.field) == term.value) == term.equal)
    }
}

/// Splits a selector into terms and takes the backslashes out of their values. Terms come sorted, so that of several
/// errors the one of the first in that order is reported.
fn parse_terms(text: &str) -> Result<Vec<Term>, String> {
    let mut parts = split_terms(text);
    parts.sort_unstable();
    let mut terms = Vec::new();
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        let Some((field, value, equal)) = split_term(part) else {
            return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
        };
        terms.push(Term { field: field.to_owned(), value: unescape(value)?, equal });
    }
    Ok(terms)
}

/// Splits at commas that no backslash precedes.
fn split_terms(text: &str) -> Vec<&str> {
    let mut escaped = false;
    text.split(|c| {
        let separates = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        separates
    })
    .collect()
}

/// Splits at the first operator.
fn split_term(term: &str) -> Option<(&str, &str, bool)> {
    let at = term.find('=')?;
    let (field, rest) = term.split_at(at);
    if let Some(field) = field.strip_suffix('!') {
        return Some((field, &rest[1..], false));
    }
    let value = rest.strip_prefix("==").unwrap_or(&rest[1..]);
    Some((field, value, true))
}

fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                other => {
                    let sequence: String = ['\\'].into_iter().chain(other).collect();
                    return Err(format!("invalid field selector: invalid escape sequence: {sequence}"));
                }
            },
            // The real message has the number of the character.
            ',' | '=' => {
                let number = u32::from(c);
                return Err(format!("invalid field selector: unescaped character in value: {number}"));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

/// Returns the stored field of a field label, if objects of the kind can be selected by it.
fn stored_field(resource: &Resource, label: &str) -> Result<String, String> {
    // Kinds without labels of their own take both of these, cluster-wide ones too.
    let namespaced = resource.namespaced || resource.fields.is_empty();
    let known = label == "metadata.name"
        || (label == "metadata.namespace" && namespaced)
        || resource.fields.contains(&label);
    match label {
        // Very old clients send this.
        "spec.host" if known => Ok("spec.nodeName".to_owned()),
        _ if known => Ok(view::stored_path(resource, label)),
        _ if resource.fields.is_empty() => Err(format!(
            "{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
            quoted(label)
        )),
        _ => Err(format!("field label not supported: {label}")),
    }
}

/// Returns the value of a field; an absent one is empty.
fn field_of<'a>(object: &'a Value, field: &str) -> Cow<'a, str> {
    let value = field.split('.').try_fold(object, |value, key| value.get(key));
    match field {
        "spec.hostNetwork" | "spec.unschedulable" => {
            value.and_then(Value::as_bool).unwrap_or(false).to_string().into()
        }
        // Of an event, the component, wherever it is stored.
        "source" => {
            let component = object.pointer("/source/component").and_then(Value::as_str);
            let component = component.filter(|component| !component.is_empty());
            component.unwrap_or_else(|| text(object.get("reportingComponent"))).into()
        }
        _ => text(value).into(),
    }
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::{
        CLUSTER_ROLES, EVENTS, LEASES, NAMESPACES, NEW_EVENTS, NODES, PODS, SECRETS, SERVICES,
    };

    /// Guards what is selected, by fields that are absent and fields that are not text, too.
    #[test]
    fn fields_are_compared_as_by_kubernetes() {
        let pod = json!({
            "metadata": {"name": "a,b", "namespace": "n"}, "spec": {"hostNetwork": true, "nodeName": "node"},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]},
        });
        let event = json!({
            "reason": "Started", "reportingComponent": "kubelet", "involvedObject": {"name": "a"}, "source": {},
        });
        let node = json!({"metadata": {"name": "n"}, "spec": {}});
        let cases = [
            (PODS, &pod, "", true),
            (PODS, &pod, ",", true),
            (PODS, &pod, r"metadata.name=a\,b", true),
            (PODS, &pod, "metadata.name==b", false),
            (PODS, &pod, "status.phase!=Running", false),
            (PODS, &pod, "status.podIP=", true),
            (PODS, &pod, "status.podIPs=10.0.0.1", false),
            (PODS, &pod, "spec.hostNetwork=true", true),
            (PODS, &pod, "spec.host=node", true),
            (PODS, &pod, "metadata.namespace=n,status.phase=Running", true),
            (EVENTS, &event, "source=kubelet,involvedObject.name=a", true),
            (EVENTS, &event, "involvedObject.name=a,reason!=Pulled,reason!=Created", true),
            (EVENTS, &event, "involvedObject.name=a,reason!=Started,reason!=Created", false),
            (NEW_EVENTS, &event, "reason!=Pulled,reason!=Started", false),
            (NEW_EVENTS, &event, "reportingController=kubelet,regarding.name=a", true),
            (NODES, &node, "spec.unschedulable=false", true),
            (CLUSTER_ROLES, &node, "metadata.namespace=", true),
            (CLUSTER_ROLES, &node, "metadata.namespace=n", false),
        ];
        for (resource, object, text, expected) in cases {
            assert_eq!(FieldSelector::parse(text, resource).unwrap().matches(object), expected, "{text}");
        }
    }

    /// Guards the words about a selector that cannot be parsed.
    #[test]
    fn syntax_errors_are_worded_as_by_kubernetes() {
        let cases = [
            ("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
            ("a=b,x y", "invalid selector: 'a=b,x y'; can't understand 'x y'"),
            // Terms are sorted, and the first error is reported.
            ("z,a", "invalid selector: 'z,a'; can't understand 'a'"),
            ("metadata.name=a=b", "invalid field selector: unescaped character in value: 61"),
            (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
            (r"a=b\", r"invalid field selector: invalid escape sequence: \"),
        ];
        for (text, message) in cases {
            assert_eq!(check_syntax(text).unwrap_err(), message, "{text}");
            assert_eq!(FieldSelector::parse(text, PODS).unwrap_err(), message, "{text}");
        }
    }

    /// Guards which fields each kind can be selected by, and the two forms of the refusal.
    #[test]
    fn other_fields_are_refused_in_the_words_of_the_kind() {
        let own = |label: &str| format!("field label not supported: {label}");
        let default = |label: &str| {
            format!(
                "\"{label}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
            )
        };
        let cases = [
            (PODS, "spec.containers", own("spec.containers")),
            (PODS, " status.phase", own(" status.phase")),
            (PODS, "", own("")),
            (SERVICES, "status.phase", own("status.phase")),
            (EVENTS, "regarding.name", own("regarding.name")),
            (NEW_EVENTS, "involvedObject.name", own("involvedObject.name")),
            (SECRETS, "data", own("data")),
            (NAMESPACES, "metadata.namespace", own("metadata.namespace")),
            (NODES, "metadata.namespace", own("metadata.namespace")),
            (LEASES, "spec.holderIdentity", default("spec.holderIdentity")),
            (CLUSTER_ROLES, "status.phase", default("status.phase")),
        ];
        for (resource, label, message) in cases {
            let found = FieldSelector::parse(&format!("{label}=x"), resource).unwrap_err();
            assert_eq!(found, message, "{} {label}", resource.plural);
        }
    }
}
