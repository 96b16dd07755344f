//! A Pod of which only the request that it keeps is read.

use std::borrow::Cow;

use kube::core::{NamespaceResourceScope, ObjectMeta, Resource};
use serde::Deserialize;

use super::Metadata;
use crate::{annotations, lenient::Object, names};

/// The metadata of a Pod, with the lifetime annotations and the request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Object<Fields>")]
pub(crate) struct PodRequest {
    pub(crate) metadata: ObjectMeta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    metadata: Object<Metadata>,
}

impl From<Object<Fields>> for PodRequest {
    fn from(Object(fields): Object<Fields>) -> Self {
        let [ttl, idle_timeout, last_activity, owner] = annotations::KEYS;
        let kept = [ttl, idle_timeout, last_activity, owner, names::REQUEST];
        let metadata = fields.unwrap_or_default().metadata.0.unwrap_or_default();
        Self { metadata: metadata.keeping(&kept) }
    }
}

resource!(PodRequest, "Pod", "pods");
