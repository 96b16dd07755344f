//! A Pod of which only the request that it keeps is read.

use std::borrow::Cow;

use kube::core::{NamespaceResourceScope, ObjectMeta, Resource};
use lifecycle::spec::Resources;
use serde::Deserialize;

use super::Metadata;
use crate::{annotations, lenient::Object, names, spec::PodSpec};

/// The metadata of a Pod, with the lifetime annotations and the request, and the limits of its container `sandbox`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Object<Fields>")]
pub(crate) struct PodRequest {
    pub(crate) metadata: ObjectMeta,
    pub(crate) limits: Resources,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    metadata: Object<Metadata>,
    spec: Object<PodSpec>,
}

impl From<Object<Fields>> for PodRequest {
    fn from(Object(fields): Object<Fields>) -> Self {
        let [ttl, idle_timeout, last_activity, owner] = annotations::KEYS;
        let (cpu, first) = (names::CPU_AFTER_START, names::FIRST_CREATED);
        let kept = [ttl, idle_timeout, last_activity, owner, names::REQUEST, cpu, first];
        let Fields { metadata, spec } = fields.unwrap_or_default();
        Self {
            metadata: metadata.0.unwrap_or_default().keeping(&kept),
            limits: spec.0.unwrap_or_default().limits(),
        }
    }
}

resource!(PodRequest, "Pod", "pods");
