//! `fieldSelector`: equality on a few paths, which differ by resource.

use serde_json::Value;

use crate::resource::Resource;
use crate::status::{ApiError, ApiResult};
use crate::view;

/// A conjunction of equalities on paths.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FieldSelector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    /// As a JSON pointer.
    path: String,
    value: String,
    equal: bool,
}

// === impl FieldSelector ===

impl FieldSelector {
    /// Reads a selector for a resource; a path that cannot be selected by is a 400.
    pub fn parse(text: &str, resource: &Resource) -> ApiResult<Self> {
        let mut terms = Vec::new();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (path, value, equal) = if let Some((path, value)) = part.split_once("!=") {
                (path, value, false)
            } else if let Some((path, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (path, value, true)
            } else {
                return Err(ApiError::bad_request(format!(
                    "invalid selector: '{text}'; can't understand '{part}'"
                )));
            };
            let known = path == "metadata.name"
                || (path == "metadata.namespace" && resource.namespaced)
                || resource.fields.contains(&path);
            if !known {
                return Err(ApiError::bad_request(format!(
                    "Unable to find {:?} that match label selector \"\", field selector {text:?}: field label \
                     not supported: {path}",
                    format!("{}, Resource={}", resource_version(resource), resource.plural),
                )));
            }
            let stored = view::stored_path(resource, path);
            terms.push(Term {
                path: format!("/{}", stored.replace('.', "/")),
                value: value.to_owned(),
                equal,
            });
        }
        Ok(Self(terms))
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one name asked for, which makes a list a look-up.
    pub fn name(&self) -> Option<&str> {
        self.0.iter().find(|t| t.equal && t.path == "/metadata/name").map(|t| t.value.as_str())
    }

    /// Whether an object is selected. A field that is absent counts as empty.
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|term| {
            let found = object.pointer(&term.path).and_then(Value::as_str).unwrap_or("");
            (found == term.value) == term.equal
        })
    }
}

fn resource_version(resource: &Resource) -> String {
    if resource.group.is_empty() { "/v1".to_owned() } else { format!("{}/v1", resource.group) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::{PODS, SERVICES};

    #[test]
    fn paths_are_compared_and_absent_ones_count_as_empty() {
        let pod = json!({"metadata": {"name": "a"}, "status": {"phase": "Running"}});
        let cases = [
            ("metadata.name=a", true),
            ("metadata.name==b", false),
            ("status.phase!=Running", false),
            ("spec.nodeName=", true),
            ("metadata.name=a,status.phase=Running", true),
        ];
        for (text, expected) in cases {
            assert_eq!(FieldSelector::parse(text, PODS).unwrap().matches(&pod), expected, "{text}");
        }
    }

    #[test]
    fn a_path_of_another_resource_is_a_bad_request() {
        assert_eq!(FieldSelector::parse("status.phase=x", SERVICES).unwrap_err().code, 400);
    }
}
