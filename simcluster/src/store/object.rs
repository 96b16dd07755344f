//! Stored objects. The store keeps the JSON, which is a tenth of the size of its tree, as its difference from that of a
//! similar object. The tree that an object was made from is shared for as long as a handle or the window has it. Later a
//! handle parses the tree on first use, and drops it with itself.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock, Weak};

use serde_json::Value;

use super::delta::Delta;
use super::labels::Labels;
use crate::resource::Resource;

/// A handle on one version of an object.
pub(crate) struct Object {
    record: Arc<Record>,
    /// Taken from the record or parsed at the first use. Clones do not have one that was parsed.
    tree: OnceLock<Arc<Value>>,
}

/// One version of an object: its JSON, and what is looked up without parsing it.
#[derive(Debug)]
pub(crate) struct Record {
    pub resource: &'static Resource,
    pub version: u64,
    /// Everything but `kind` and `apiVersion`, which lists leave out, and without the first brace.
    json: Delta,
    /// The source of the JSON, as long as a handle or the window has it.
    tree: Weak<Value>,
    /// The namespace, the name and the uid, one after the other.
    ids: Box<str>,
    namespace_end: usize,
    name_end: usize,
    labels: Labels,
    /// The uids of its owners.
    owners: Box<[Box<str>]>,
    terminating: bool,
}

// === impl Object ===

impl Object {
    /// Creates an object that the store does not keep.
    pub fn new(resource: &'static Resource, version: u64, value: Value) -> Self {
        Self::with(None, resource, version, value, Delta::whole)
    }

    /// Creates an object, which shares its labels with the version before if they are equal. `keep` stores the JSON.
    pub(super) fn with(
        before: Option<&Record>,
        resource: &'static Resource,
        version: u64,
        value: Value,
        keep: impl FnOnce(&[u8]) -> Delta,
    ) -> Self {
        let tree = Arc::new(value);
        let meta = &tree["metadata"];
        let [namespace, name, uid] = ["namespace", "name", "uid"].map(|key| text_at(meta, &[key]));
        let labels = Labels::new(meta.get("labels").and_then(Value::as_object));
        let same = before.map(|before| &before.labels).filter(|old| **old == labels);
        let owners = meta.get("ownerReferences").and_then(Value::as_array).into_iter().flatten();
        let json = tree.to_string();
        let record = Record {
            resource,
            version,
            json: keep(json.get(1..).unwrap_or_default().as_bytes()),
            tree: Arc::downgrade(&tree),
            ids: [namespace, name, uid].concat().into(),
            namespace_end: namespace.len(),
            name_end: namespace.len() + name.len(),
            labels: same.cloned().unwrap_or(labels),
            owners: owners.map(|owner| text_at(owner, &["uid"]).into()).collect(),
            terminating: meta.get("deletionTimestamp").is_some(),
        };
        Self { record: Arc::new(record), tree: tree.into() }
    }

    pub(super) fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// Returns everything but `kind` and `apiVersion`.
    pub fn value(&self) -> &Value {
        self.tree()
    }

    pub(super) fn tree(&self) -> &Arc<Value> {
        self.tree.get_or_init(|| self.record.tree.upgrade().unwrap_or_else(|| Arc::new(self.parse())))
    }

    fn parse(&self) -> Value {
        let mut json = Vec::with_capacity(self.len());
        self.write_item(&mut json);
        // The JSON was written from a value, so it can be read.
        serde_json::from_slice(&json).unwrap_or_default()
    }

    /// Returns the same state under another version.
    pub fn at_version(&self, version: u64) -> Self {
        let mut value = self.value().clone();
        set_version(&mut value, version);
        Self::new(self.resource, version, value)
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
        &self.ids[self.namespace_end..self.name_end]
    }

    /// The namespace; empty for cluster-wide kinds.
    pub fn namespace(&self) -> &str {
        &self.ids[..self.namespace_end]
    }

    pub fn uid(&self) -> &str {
        &self.ids[self.name_end..]
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

    /// Returns the length of the JSON in a list.
    pub fn len(&self) -> usize {
        self.json.len() + 1
    }

    /// Appends the JSON of an item of a list: no kind, no version.
    pub fn write_item(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        self.json.write(out);
    }

    /// Returns the JSON of a response or of a watch event.
    pub fn full_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len() + 64);
        self.write_full(&mut out);
        out
    }

    /// Appends the JSON of a response or of a watch event.
    pub fn write_full(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.resource.head().as_bytes());
        // An object is never empty: it has metadata. So after the brace there is always a member.
        self.json.write(out);
    }
}

/// The text at a path; empty if there is none.
pub(crate) fn text_at<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    path.iter().try_fold(value, |at, key| at.get(key)).and_then(Value::as_str).unwrap_or("")
}

/// Sets a field to that of another value, or removes it if there is none.
pub(crate) fn copy_field(from: &Value, to: &mut Value, key: &str) {
    match from.get(key) {
        Some(value) => to[key] = value.clone(),
        None => drop(to.as_object_mut().and_then(|fields| fields.remove(key))),
    }
}

pub(super) fn set_version(value: &mut Value, version: u64) {
    value["metadata"]["resourceVersion"] = version.to_string().into();
}
