//! Sets of fields, as `metadata.managedFields` writes them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::schema::Sharing;

/// A set of places in an object, as a tree. The steps are written as in `fieldsV1`: `f:image`, `k:{"name":"c"}`, `v:"x"`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// Whether the place itself belongs to the set.
    pub here: bool,
    pub below: BTreeMap<String, FieldSet>,
}

/// The step to a member.
pub(super) fn member(name: &str) -> String {
    format!("f:{name}")
}

/// The step to an item of a list; `None` if the item lacks one of its keys (protocols have a default).
pub(super) fn item(sharing: &Sharing, item: &Value) -> Option<String> {
    match sharing {
        Sharing::Set => Some(format!("v:{item}")),
        Sharing::Keyed(keys) => {
            let mut named = Map::new();
            for key in keys {
                let default = || (*key == "protocol").then(|| json!("TCP"));
                named.insert((*key).to_owned(), item.get(*key).cloned().or_else(default)?);
            }
            Some(format!("k:{}", Value::Object(named)))
        }
        Sharing::Members | Sharing::Whole => None,
    }
}

// === impl FieldSet ===

impl FieldSet {
    /// One place, with nothing below.
    pub fn leaf() -> Self {
        Self { here: true, below: BTreeMap::new() }
    }

    pub fn is_empty(&self) -> bool {
        !self.here && self.below.is_empty()
    }

    /// Puts a set below a step, unless it is empty.
    pub fn put(&mut self, step: String, set: Self) {
        if !set.is_empty() {
            self.below.insert(step, set);
        }
    }

    pub fn union(&mut self, other: &Self) {
        self.here |= other.here;
        for (step, set) in &other.below {
            self.below.entry(step.clone()).or_default().union(set);
        }
    }

    /// Takes out what another set has.
    pub fn subtract(&mut self, other: &Self) {
        self.here &= !other.here;
        for (step, set) in &other.below {
            if let Some(own) = self.below.get_mut(step) {
                own.subtract(set);
                if own.is_empty() {
                    self.below.remove(step);
                }
            }
        }
    }

    /// Takes out what another set has, and all that is below it.
    pub fn subtract_below(&mut self, other: &Self) {
        self.below.retain(|step, own| match other.below.get(step) {
            Some(gone) if gone.here => false,
            Some(gone) => {
                own.subtract_below(gone);
                !own.is_empty()
            }
            None => true,
        });
    }

    /// The places both sets have.
    pub fn intersection(&self, other: &Self) -> Self {
        let mut common = Self { here: self.here && other.here, below: BTreeMap::new() };
        for (step, set) in &self.below {
            if let Some(theirs) = other.below.get(step) {
                common.put(step.clone(), set.intersection(theirs));
            }
        }
        common
    }

    /// The places, as messages write them (`.spec.containers[name="c"].image`), those with nothing below only.
    pub fn paths(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.walk("", &mut found);
        found
    }

    fn walk(&self, path: &str, found: &mut Vec<String>) {
        if self.here && self.below.is_empty() {
            found.push(path.to_owned());
        }
        for (step, set) in &self.below {
            set.walk(&format!("{path}{}", shown(step)), found);
        }
    }

    pub fn to_json(&self) -> Value {
        let mut fields = Map::new();
        if self.here && !self.below.is_empty() {
            fields.insert(".".to_owned(), json!({}));
        }
        fields.extend(self.below.iter().map(|(step, set)| (step.clone(), set.to_json())));
        fields.into()
    }

    pub fn from_json(value: &Value) -> Self {
        let mut set = Self::default();
        let members = value.as_object();
        for (step, below) in members.into_iter().flatten() {
            if step == "." {
                set.here = true;
            } else {
                let mut below = Self::from_json(below);
                below.here |= below.below.is_empty();
                set.below.insert(step.clone(), below);
            }
        }
        set
    }
}

fn shown(step: &str) -> String {
    if let Some(name) = step.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(value) = step.strip_prefix("v:") {
        return format!("[={value}]");
    }
    let keys: Map<String, Value> =
        step.strip_prefix("k:").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let pairs: Vec<_> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("[{}]", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_survives_its_written_form() {
        let written = json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}}}}});
        let set = FieldSet::from_json(&written);
        assert_eq!(set.to_json(), written);
        assert_eq!(set.paths(), [".metadata.labels.a", ".spec.containers[name=\"c\"].image"]);
    }

    #[test]
    fn sets_add_and_subtract() {
        let mut set = FieldSet::from_json(&json!({"f:a": {"f:b": {}, "f:c": {}}}));
        set.subtract(&FieldSet::from_json(&json!({"f:a": {"f:b": {}}})));
        assert_eq!(set.to_json(), json!({"f:a": {"f:c": {}}}));
        set.subtract(&FieldSet::from_json(&json!({"f:a": {"f:c": {}}})));
        assert!(set.is_empty());
        set.union(&FieldSet::from_json(&json!({"f:x": {}})));
        assert_eq!(set.to_json(), json!({"f:x": {}}));
    }
}
