//! Patches in their forms. Each is a pure function on JSON.

#[cfg(any(test, not(feature = "kubectl")))]
mod by_name;
mod json_patch;
#[cfg(feature = "kubectl")]
mod strategic;

use http::StatusCode;
use serde_json::{Value, json};

use crate::resource::Resource;
#[cfg(feature = "kubectl")]
use crate::schema;
use crate::status::{ApiError, ApiResult};

/// The form of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Json,
    Merge,
    Strategic,
    /// Server-side apply, in YAML or JSON.
    #[cfg(feature = "kubectl")]
    Apply,
}

/// The content types, in the order in which errors list them.
const TYPES: &[(&str, PatchKind)] = &[
    ("application/json-patch+json", PatchKind::Json),
    ("application/merge-patch+json", PatchKind::Merge),
    ("application/strategic-merge-patch+json", PatchKind::Strategic),
    #[cfg(feature = "kubectl")]
    ("application/apply-patch+yaml", PatchKind::Apply),
];

// === impl PatchKind ===

impl PatchKind {
    /// Returns the form that a content type names.
    pub fn of(content_type: &str) -> ApiResult<Self> {
        let media_type = content_type.split(';').next().unwrap_or("").trim();
        let found = TYPES.iter().find(|(known, _)| *known == media_type);
        found.map(|(_, kind)| *kind).ok_or_else(|| {
            let known: Vec<_> = TYPES.iter().map(|(known, _)| *known).collect();
            ApiError::unsupported_media(&known.join(", "))
        })
    }

    /// Returns an object of a kind after the patch.
    pub fn apply(
        self,
        #[cfg_attr(
            not(feature = "kubectl"),
            expect(unused_variables, reason = "only a strategic merge depends on the kind")
        )]
        resource: &Resource,
        target: &Value,
        patch: &Value,
    ) -> ApiResult<Value> {
        match self {
            Self::Json => json_patch::apply(target, patch).map_err(|error| match error {
                json_patch::Failure::Malformed(why) => ApiError::bad_request(why),
                json_patch::Failure::DoesNotApply => ApiError::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "Invalid",
                    "the server rejected our request due to an error in our request",
                )
                .with_details(json!({})),
            }),
            Self::Merge => {
                let mut patched = target.clone();
                ::json_patch::merge(&mut patched, patch);
                Ok(patched)
            }
            #[cfg(not(feature = "kubectl"))]
            Self::Strategic => {
                let mut patched = target.clone();
                by_name::apply(&mut patched, patch);
                Ok(patched)
            }
            // An apply by the only owner of its fields does the same as a strategic merge.
            #[cfg(feature = "kubectl")]
            Self::Strategic | Self::Apply => {
                let mut patched = target.clone();
                strategic::apply(&mut patched, patch, schema::of(resource))
                    .map_err(|why| ApiError::internal(&why))?;
                Ok(patched)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::PODS;

    #[test]
    fn a_merge_replaces_members_and_null_removes_them() {
        let target = json!({"a": {"b": 1, "c": 2}, "l": [1, 2]});
        let patch = json!({"a": {"b": null, "d": {"e": null, "f": 3}}, "l": [9]});
        let merged = PatchKind::Merge.apply(PODS, &target, &patch);
        assert_eq!(merged.unwrap(), json!({"a": {"c": 2, "d": {"f": 3}}, "l": [9]}));
    }
}
