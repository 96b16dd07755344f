//! The forms of a response: the object itself, only its metadata, or a table.

use serde_json::{Value, json};

use crate::store::Object;

/// The form that an `Accept` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    /// `PartialObjectMetadata`, or a list of them.
    Metadata,
    #[cfg(feature = "kubectl")]
    Table,
}

// === impl Form ===

impl Form {
    /// Returns the first supported form of an `Accept` header.
    pub fn of(accept: &str) -> Self {
        accept.split(',').find_map(Self::of_clause).unwrap_or(Self::Plain)
    }

    /// Whether an `Accept` header contains a supported form.
    pub fn is_known(accept: &str) -> bool {
        accept.trim().is_empty() || accept.split(',').any(|clause| Self::of_clause(clause).is_some())
    }

    fn of_clause(clause: &str) -> Option<Self> {
        let mut parts = clause.split(';').map(str::trim);
        // JSON is a subset of YAML.
        if !["application/json", "application/yaml", "application/*", "*/*"].contains(&parts.next()?) {
            return None;
        }
        let parameters: Vec<_> = parts.collect();
        match parameters.iter().find_map(|part| part.strip_prefix("as=")) {
            None => Some(Self::Plain),
            #[cfg(feature = "kubectl")]
            Some("Table") if parameters.contains(&"v=v1") => Some(Self::Table),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Some(Self::Metadata),
            Some(_) => None,
        }
    }
}

/// Returns an object as a `PartialObjectMetadata`.
pub(crate) fn metadata(object: &Object) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.value()["metadata"],
    })
}

/// Returns objects as a `PartialObjectMetadataList` with the list's own metadata.
pub(crate) fn metadata_list(objects: &[Object], meta: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadataList",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "items": objects.iter().map(metadata).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_form_wins() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,\
             application/json";
        assert_eq!(Form::of(kubectl), Form::Table);
        assert_eq!(Form::of("application/json;as=Table;g=meta.k8s.io;v=v1"), Form::Table);
        assert_eq!(Form::of("application/json"), Form::Plain);
        assert_eq!(Form::of(""), Form::Plain);
        assert!(Form::is_known("text/html,*/*;q=0.8") && !Form::is_known("text/html"));
        let partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        assert_eq!(Form::of(partial), Form::Metadata);
    }
}
