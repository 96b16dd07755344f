//! Patches in their three forms. Each is a pure function on JSON.

mod json_patch;
mod strategic;

use http::StatusCode;
use serde_json::{Value, json};

use crate::resource::Resource;
use crate::schema;
use crate::status::{ApiError, ApiResult};

/// The form of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Json,
    Merge,
    Strategic,
    /// Server-side apply; its body may be YAML, of which only JSON is understood here.
    Apply,
}

// === impl PatchKind ===

impl PatchKind {
    pub fn of(content_type: &str) -> Option<Self> {
        match content_type.split(';').next().unwrap_or("").trim() {
            "application/json-patch+json" => Some(Self::Json),
            "application/merge-patch+json" => Some(Self::Merge),
            "application/strategic-merge-patch+json" => Some(Self::Strategic),
            "application/apply-patch+yaml" => Some(Self::Apply),
            _ => None,
        }
    }

    /// The object of a kind after the patch.
    pub fn apply(self, resource: &Resource, target: &Value, patch: &Value) -> ApiResult<Value> {
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
            // An apply by the only owner of its fields does what a strategic merge does.
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
