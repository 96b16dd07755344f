//! One stored object, immutable, with its JSON made at most once.

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::resource::Resource;

/// An object at one version.
#[derive(Debug)]
pub(crate) struct Object {
    pub resource: &'static Resource,
    pub version: u64,
    /// Everything but `kind` and `apiVersion`, which lists leave out.
    pub value: Value,
    /// `value` as JSON. Many readers and watchers share it, so the first of them pays for all.
    json: OnceLock<Bytes>,
}

// === impl Object ===

impl Object {
    pub fn new(resource: &'static Resource, version: u64, value: Value) -> Self {
        Self { resource, version, value, json: OnceLock::new() }
    }

    pub fn name(&self) -> &str {
        text_at(&self.value, &["metadata", "name"])
    }

    /// The namespace; empty for cluster-wide kinds.
    pub fn namespace(&self) -> &str {
        text_at(&self.value, &["metadata", "namespace"])
    }

    pub fn uid(&self) -> &str {
        text_at(&self.value, &["metadata", "uid"])
    }

    pub fn labels(&self) -> Option<&Map<String, Value>> {
        self.value.get("metadata")?.get("labels")?.as_object()
    }

    /// The uids of its owners.
    pub fn owners(&self) -> impl Iterator<Item = &str> {
        let list =
            self.value.get("metadata").and_then(|meta| meta.get("ownerReferences")).and_then(Value::as_array);
        list.into_iter().flatten().map(|owner| text_at(owner, &["uid"]))
    }

    /// Whether a delete has been asked for.
    pub fn terminating(&self) -> bool {
        self.value["metadata"].get("deletionTimestamp").is_some()
    }

    /// The same state under another version.
    pub fn at_version(&self, version: u64) -> Self {
        let mut value = self.value.clone();
        set_version(&mut value, version);
        Self::new(self.resource, version, value)
    }

    /// The JSON as it stands in a list: no kind, no version.
    pub fn item_json(&self) -> &Bytes {
        self.json.get_or_init(|| Bytes::from(self.value.to_string()))
    }

    /// The JSON as an answer or a watch event has it.
    pub fn full_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.item_json().len() + 64);
        self.write_full(&mut out);
        out
    }

    /// Appends the JSON as an answer or a watch event has it.
    pub fn write_full(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.resource.head().as_bytes());
        // An object is never empty: it has metadata. So after the brace there is always a member.
        out.extend_from_slice(&self.item_json()[1..]);
    }

    /// The whole object as a value of its own.
    pub fn full_value(&self) -> Value {
        let mut value = self.value.clone();
        value["kind"] = self.resource.kind.into();
        value["apiVersion"] = self.resource.api_version().into();
        value
    }
}

/// The text at a path; empty if there is none.
pub(crate) fn text_at<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    path.iter().try_fold(value, |at, key| at.get(key)).and_then(Value::as_str).unwrap_or("")
}

pub(super) fn set_version(value: &mut Value, version: u64) {
    value["metadata"]["resourceVersion"] = version.to_string().into();
}
