//! The entries of `metadata.managedFields`: managers and the fields that they own.

use serde_json::{Value, json};

use super::fields::FieldSet;
use crate::store::text_at;

/// The writer of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Writer {
    pub manager: String,
    pub apply: bool,
    pub api_version: String,
    /// The subresource that was written (`status`).
    pub subresource: Option<&'static str>,
    /// When, as Kubernetes writes times.
    pub now: String,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub manager: String,
    pub apply: bool,
    pub api_version: String,
    pub subresource: String,
    pub time: String,
    pub fields: FieldSet,
}

/// The entries of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Managers(pub Vec<Entry>);

// === impl Managers ===

impl Managers {
    pub fn of(object: &Value) -> Self {
        let list = object["metadata"]["managedFields"].as_array();
        let entry = |entry: &Value| Entry {
            manager: text_at(entry, &["manager"]).to_owned(),
            apply: text_at(entry, &["operation"]) == "Apply",
            api_version: text_at(entry, &["apiVersion"]).to_owned(),
            subresource: text_at(entry, &["subresource"]).to_owned(),
            time: text_at(entry, &["time"]).to_owned(),
            fields: FieldSet::from_json(&entry["fieldsV1"]),
        };
        Self(list.into_iter().flatten().map(entry).collect())
    }

    /// Writes the entries into an object, except those without fields.
    pub fn write(mut self, object: &mut Value) {
        self.0.retain(|entry| !entry.fields.is_empty());
        // Applies come first, then the older entries.
        self.0.sort_by(|a, b| (!a.apply, &a.time, &a.manager).cmp(&(!b.apply, &b.time, &b.manager)));
        let list: Vec<_> = self.0.iter().map(Entry::to_json).collect();
        if list.is_empty() {
            object["metadata"].as_object_mut().map(|meta| meta.remove("managedFields"));
        } else {
            object["metadata"]["managedFields"] = list.into();
        }
    }

    /// Returns the index of a writer's entry.
    pub fn position(&self, writer: &Writer) -> Option<usize> {
        self.0.iter().position(|entry| entry.is_of(writer))
    }

    /// Sets the fields of a writer.
    pub fn set(&mut self, writer: &Writer, fields: FieldSet) {
        match self.position(writer) {
            // The time is that of the last change of the owned fields.
            Some(place) if self.0[place].fields == fields => {}
            Some(place) => {
                self.0[place].fields = fields;
                self.0[place].time.clone_from(&writer.now);
                self.0[place].api_version.clone_from(&writer.api_version);
            }
            None => self.0.push(Entry {
                manager: writer.manager.clone(),
                apply: writer.apply,
                api_version: writer.api_version.clone(),
                subresource: writer.subresource.unwrap_or("").to_owned(),
                time: writer.now.clone(),
                fields,
            }),
        }
    }

    /// Returns the entries of all other writers.
    pub fn others(&self, writer: &Writer) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(move |entry| !entry.is_of(writer))
    }

    pub fn others_mut(&mut self, writer: &Writer) -> impl Iterator<Item = &mut Entry> {
        self.0.iter_mut().filter(move |entry| !entry.is_of(writer))
    }
}

// === impl Entry ===

impl Entry {
    fn is_of(&self, writer: &Writer) -> bool {
        self.manager == writer.manager
            && self.apply == writer.apply
            && self.subresource == writer.subresource.unwrap_or("")
            // The version does not matter for an apply.
            && (self.apply || self.api_version == writer.api_version)
    }

    /// Returns its name for messages about conflicts.
    pub fn shown(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource {:?}", self.subresource);
        }
        if self.apply { text } else { format!("{text} using {}", self.api_version) }
    }

    fn to_json(&self) -> Value {
        let mut entry = json!({
            "manager": self.manager, "operation": if self.apply { "Apply" } else { "Update" },
            "apiVersion": self.api_version, "time": self.time, "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.to_json(),
        });
        if !self.subresource.is_empty() {
            entry["subresource"] = self.subresource.as_str().into();
        }
        entry
    }
}
