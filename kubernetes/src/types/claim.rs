//! The claim of a workspace.

use std::{borrow::Cow, collections::BTreeMap};

use kube::core::{NamespaceResourceScope, ObjectMeta, Resource};
use serde::Deserialize;

use super::Metadata;
use crate::{
    lenient::{Object, Scalar},
    names,
};

/// A `PersistentVolumeClaim`, reduced to the fields that are read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Object<ClaimFields>")]
pub struct Claim {
    /// The same fields as those of a Pod, and the annotations of workspaces.
    pub metadata: ObjectMeta,
    /// The requested size.
    pub(crate) size: Option<String>,
    /// The size of its volume.
    pub(crate) capacity: Option<String>,
    pub(crate) storage_class: Option<String>,
    pub(crate) access_modes: Vec<String>,
    /// `Pending`, `Bound` or `Lost`.
    pub(crate) phase: Option<String>,
}

/// The annotations of a claim that are read.
const ANNOTATIONS: [&str; 7] = [
    names::WORKSPACE_SANDBOX,
    names::THREAD_ID,
    names::USER_ID,
    names::WHEN_DELETED,
    names::KEEP_FOR,
    names::LAST_USED,
    names::UNUSED_SINCE,
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClaimFields {
    metadata: Object<Metadata>,
    spec: Object<ClaimSpec>,
    status: Object<ClaimStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClaimSpec {
    access_modes: Scalar<Vec<String>>,
    storage_class_name: Scalar<String>,
    resources: Object<ClaimResources>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClaimResources {
    requests: Scalar<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClaimStatus {
    phase: Scalar<String>,
    capacity: Scalar<BTreeMap<String, String>>,
}

// === impl Claim ===

impl From<Object<ClaimFields>> for Claim {
    fn from(Object(fields): Object<ClaimFields>) -> Self {
        let ClaimFields { metadata, spec, status } = fields.unwrap_or_default();
        let spec = spec.0.unwrap_or_default();
        let status = status.0.unwrap_or_default();
        let storage = |amounts: Scalar<BTreeMap<String, String>>| amounts.0?.remove("storage");
        Self {
            metadata: metadata.0.unwrap_or_default().keeping(&ANNOTATIONS),
            size: storage(spec.resources.0.unwrap_or_default().requests),
            capacity: storage(status.capacity),
            storage_class: spec.storage_class_name.0,
            access_modes: spec.access_modes.0.unwrap_or_default(),
            phase: status.phase.0,
        }
    }
}

resource!(Claim, "PersistentVolumeClaim", "persistentvolumeclaims");
