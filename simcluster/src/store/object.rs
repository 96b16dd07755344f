//! Stored objects. The store keeps the JSON, which is a tenth of the size of its tree. A handle parses the tree on
//! first use, and drops it with itself.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use super::labels::Labels;
use crate::resource::Resource;

/// A handle on one version of an object.
pub(crate) struct Object {
    record: Arc<Record>,
    /// Parsed at the first use. Clones do not have it, so the store's own handles stay small.
    tree: OnceLock<Value>,
}

/// One version of an object: its JSON, and what is looked up without parsing it.
#[derive(Debug)]
pub(crate) struct Record {
    pub resource: &'static Resource,
    pub version: u64,
    /// Everything but `kind` and `apiVersion`, which lists leave out.
    json: Bytes,
    namespace: Box<str>,
    name: Box<str>,
    uid: Box<str>,
    labels: Labels,
    /// The uids of its owners.
    owners: Box<[Box<str>]>,
    terminating: bool,
}

// === impl Object ===

impl Object {
    pub fn new(resource: &'static Resource, version: u64, value: Value) -> Self {
        Self::replacing(None, resource, version, value)
    }

    /// As [`Object::new`], sharing what is equal in the version before.
    pub(super) fn replacing(
        before: Option<&Record>,
        resource: &'static Resource,
        version: u64,
        value: Value,
    ) -> Self {
        let meta = &value["metadata"];
        let text = |key| text_at(meta, &[key]).into();
        let labels = Labels::new(meta.get("labels").and_then(Value::as_object));
        let same = before.map(|before| &before.labels).filter(|old| **old == labels);
        let owners = meta.get("ownerReferences").and_then(Value::as_array).into_iter().flatten();
        let record = Record {
            resource,
            version,
            // Without the spare capacity of a growing string.
            json: value.to_string().into_boxed_str().into_boxed_bytes().into(),
            namespace: text("namespace"),
            name: text("name"),
            uid: text("uid"),
            labels: same.cloned().unwrap_or(labels),
            owners: owners.map(|owner| text_at(owner, &["uid"]).into()).collect(),
            terminating: meta.get("deletionTimestamp").is_some(),
        };
        Self { record: Arc::new(record), tree: value.into() }
    }

    pub(super) fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// Returns everything but `kind` and `apiVersion`.
    pub fn value(&self) -> &Value {
        // The JSON was written from a value, so it can be read.
        self.tree.get_or_init(|| serde_json::from_slice(&self.json).unwrap_or_default())
    }

    /// Returns the same state under another version.
    pub fn at_version(&self, version: u64) -> Self {
        let mut value = self.value().clone();
        set_version(&mut value, version);
        Self::replacing(Some(self), self.resource, version, value)
    }

    /// Returns the whole object as a value of its own.
    pub fn full_value(&self) -> Value {
        let mut value = self.value().clone();
        value["kind"] = self.resource.kind.into();
        value["apiVersion"] = self.resource.api_version().into();
        value
    }
}

impl Clone for Object {
    fn clone(&self) -> Self {
        Self::from(&self.record)
    }
}

impl From<&Arc<Record>> for Object {
    fn from(record: &Arc<Record>) -> Self {
        Self { record: Arc::clone(record), tree: OnceLock::new() }
    }
}

impl Deref for Object {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.record.fmt(f)
    }
}

// === impl Record ===

impl Record {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace; empty for cluster-wide kinds.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub fn uid(&self) -> &str {
        &self.uid
    }

    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The uids of its owners.
    pub fn owners(&self) -> impl Iterator<Item = &str> {
        self.owners.iter().map(AsRef::as_ref)
    }

    /// Whether a delete has been asked for.
    pub fn terminating(&self) -> bool {
        self.terminating
    }

    /// The JSON as it stands in a list: no kind, no version.
    pub fn item_json(&self) -> &Bytes {
        &self.json
    }

    /// The JSON as a response or a watch event has it.
    pub fn full_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.json.len() + 64);
        self.write_full(&mut out);
        out
    }

    /// Appends the JSON as a response or a watch event has it.
    pub fn write_full(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.resource.head().as_bytes());
        // An object is never empty: it has metadata. So after the brace there is always a member.
        out.extend_from_slice(&self.json[1..]);
    }
}

/// The text at a path; empty if there is none.
pub(crate) fn text_at<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    path.iter().try_fold(value, |at, key| at.get(key)).and_then(Value::as_str).unwrap_or("")
}

pub(super) fn set_version(value: &mut Value, version: u64) {
    value["metadata"]["resourceVersion"] = version.to_string().into();
}
