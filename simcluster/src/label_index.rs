//! An index of Services and Pods by label.
//!
//! Thousands of objects share a label such as `app`. A Service is indexed by the label of its selector that the fewest
//! other Services have, and finds its Pods by the label that the fewest Pods have.

use std::collections::{BTreeSet, HashMap};

use crate::store::{Labels, Object};

/// The Services that may select a Pod, and the Pods that a Service may select. The caller compares all their labels.
#[derive(Debug, Default)]
pub(crate) struct LabelIndex {
    services: Names,
    /// The label by which a Service (namespace, name) is indexed.
    of: HashMap<(String, String), Label>,
    pods: Names,
}

/// A namespace, a key and a value.
type Label = (String, String, String);

/// The names of objects, by label.
#[derive(Debug, Default)]
struct Names(HashMap<Label, BTreeSet<String>>);

// === impl LabelIndex ===

impl LabelIndex {
    pub fn insert_service(&mut self, namespace: &str, name: &str, selector: &Labels) {
        let rarest = pairs(namespace, selector).min_by_key(|label| self.services.of(label).len());
        if let Some(label) = rarest {
            self.services.insert(label.clone(), name);
            self.of.insert((namespace.to_owned(), name.to_owned()), label);
        }
    }

    pub fn remove_service(&mut self, namespace: &str, name: &str) {
        if let Some(label) = self.of.remove(&(namespace.to_owned(), name.to_owned())) {
            self.services.remove(&label, name);
        }
    }

    pub fn insert_pod(&mut self, namespace: &str, name: &str, labels: &Labels) {
        pairs(namespace, labels).for_each(|label| self.pods.insert(label, name));
    }

    pub fn remove_pod(&mut self, namespace: &str, name: &str, labels: &Labels) {
        pairs(namespace, labels).for_each(|label| self.pods.remove(&label, name));
    }

    /// Returns the names of the Services that may select a Pod with these labels.
    pub fn services_of(&self, namespace: &str, labels: &Labels) -> impl Iterator<Item = &str> {
        pairs(namespace, labels).flat_map(|label| self.services.of(&label)).map(String::as_str)
    }

    /// Returns the names of the Pods that a selector may match, in order.
    pub fn pods_of(&self, namespace: &str, selector: &Labels) -> impl Iterator<Item = &str> + Clone {
        let sets = pairs(namespace, selector).map(|label| self.pods.of(&label));
        sets.min_by_key(|names| names.len()).into_iter().flatten().map(String::as_str)
    }
}

// === impl Names ===

impl Names {
    fn of(&self, label: &Label) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        self.0.get(label).unwrap_or(&NONE)
    }

    fn insert(&mut self, label: Label, name: &str) {
        self.0.entry(label).or_default().insert(name.to_owned());
    }

    fn remove(&mut self, label: &Label, name: &str) {
        let Some(names) = self.0.get_mut(label) else { return };
        names.remove(name);
        if names.is_empty() {
            self.0.remove(label);
        }
    }
}

/// Returns the labels that a Service selects.
pub(crate) fn selector(service: &Object) -> Labels {
    Labels::new(service.value()["spec"]["selector"].as_object())
}

fn pairs(namespace: &str, labels: &Labels) -> impl Iterator<Item = Label> {
    labels.iter().map(move |(key, value)| (namespace.to_owned(), key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn labels(value: &Value) -> Labels {
        Labels::new(value.as_object())
    }

    /// Guards that a Service and its Pods find each other by the rarest label, in their namespace alone, and that removed ones
    /// are not found.
    #[test]
    fn services_and_pods_find_each_other() {
        let (a, b) = (labels(&json!({"app": "x", "id": "a"})), labels(&json!({"app": "x", "id": "b"})));
        let mut index = LabelIndex::default();
        for (name, labels) in [("a", &a), ("b", &b)] {
            index.insert_service("ns", name, labels);
            index.insert_pod("ns", name, labels);
        }
        let pods =
            |index: &LabelIndex, labels: &Labels| index.pods_of("ns", labels).collect::<Vec<_>>().join(" ");
        assert_eq!((pods(&index, &a), pods(&index, &b)), ("a".to_owned(), "b".to_owned()));
        assert_eq!(pods(&index, &labels(&json!({"app": "x"}))), "a b");
        assert!(index.services_of("ns", &b).any(|name| name == "b"));
        assert_eq!((index.pods_of("other", &a).count(), index.services_of("other", &a).count()), (0, 0));
        index.remove_service("ns", "b");
        index.remove_pod("ns", "b", &b);
        assert!(!index.services_of("ns", &b).any(|name| name == "b"));
        assert_eq!(pods(&index, &b), "");
        index.remove_service("ns", "a");
        index.remove_pod("ns", "a", &a);
        assert!(index.services.0.is_empty() && index.of.is_empty() && index.pods.0.is_empty());
    }
}
