//! The owners of the fields of an object, and server-side apply.
//!
//! Every write is recorded in `metadata.managedFields`. An update takes the fields that it changes. An apply owns exactly
//! the fields of its configuration, and is rejected where it would change a field of another owner, unless it is forced.

mod extract;
mod fields;
mod managers;
mod merge;

use serde_json::Value;

use crate::schema::{self, Struct};
use crate::status::Cause;

pub(crate) use managers::Writer;

use managers::Managers;

/// The result of an apply.
#[derive(Debug)]
pub(crate) enum Applied {
    /// The new object, without its managed fields: they follow from the object that is stored in the end.
    Done(Value),
    /// Other managers own fields that it would change: the message, and a cause for each field.
    Conflicts(String, Vec<Cause>),
}

/// Records an update: the writer owns the fields that it changed; other managers lose the fields that it changed or
/// removed.
pub(crate) fn update(old: &Value, new: &mut Value, kind: &Struct, writer: &Writer) {
    let mut managers = Managers::of(old);
    let (changed, gone) = extract::changes(old, new, kind);
    for entry in managers.others_mut(writer) {
        entry.fields.subtract(&changed);
        entry.fields.subtract(&gone);
        entry.fields.subtract_below(&gone);
    }
    let mut own = managers.position(writer).map(|place| managers.0[place].fields.clone()).unwrap_or_default();
    own.subtract(&gone);
    own.subtract_below(&gone);
    own.union(&changed);
    managers.set(writer, own);
    managers.write(new);
}

/// Returns the object after a writer applies a configuration.
pub(crate) fn apply(live: &Value, config: &Value, kind: &Struct, writer: &Writer, force: bool) -> Applied {
    let config = merge::canonical(config, kind);
    let managers = Managers::of(live);
    let wanted = extract::fields(&config, kind, false);
    let mut merged = live.clone();
    merge::merge(&mut merged, &config, kind);
    let (changed, _) = extract::changes(live, &merged, kind);
    if !force {
        let conflicts: Vec<_> = managers
            .others(writer)
            .map(|entry| (entry.shown(), entry.fields.intersection(&changed).intersection(&wanted).paths()))
            .filter(|(_, paths)| !paths.is_empty())
            .collect();
        if !conflicts.is_empty() {
            return refuse(conflicts);
        }
    }
    // A field that the manager applied before and does not apply now is removed, unless it has another owner.
    let mut dropped =
        managers.position(writer).map(|place| managers.0[place].fields.clone()).unwrap_or_default();
    dropped.subtract(&wanted);
    for entry in managers.others(writer) {
        dropped.subtract(&entry.fields);
    }
    merge::remove(&mut merged, &dropped);
    Applied::Done(merged)
}

/// Records an apply: the writer owns the fields of the configuration; other managers lose the fields that it changed.
pub(crate) fn enter_apply(live: &Value, new: &mut Value, config: &Value, kind: &Struct, writer: &Writer) {
    let mut managers = Managers::of(live);
    let config = merge::canonical(config, kind);
    let mut merged = live.clone();
    merge::merge(&mut merged, &config, kind);
    let (changed, _) = extract::changes(live, &merged, kind);
    let (_, gone) = extract::changes(live, new, kind);
    for entry in managers.others_mut(writer) {
        entry.fields.subtract(&changed);
        entry.fields.subtract(&gone);
        entry.fields.subtract_below(&gone);
    }
    managers.set(writer, extract::fields(&config, kind, false));
    managers.write(new);
}

/// Returns the type of a resource's objects.
pub(crate) fn kind_of(resource: &crate::resource::Resource) -> Option<&'static Struct> {
    schema::of(resource)
}

fn refuse(mut conflicts: Vec<(String, Vec<String>)>) -> Applied {
    conflicts.sort();
    let causes: Vec<_> = conflicts
        .iter()
        .flat_map(|(owner, paths)| paths.iter().map(move |path| (owner, path)))
        .map(|(owner, path)| Cause {
            reason: "FieldManagerConflict",
            message: format!("conflict with {owner}"),
            field: path.clone(),
        })
        .collect();
    let message = if let [only] = causes.as_slice() {
        format!("Apply failed with 1 conflict: {}: {}", only.message, only.field)
    } else {
        let lines: Vec<_> = conflicts
            .iter()
            .flat_map(|(owner, paths)| {
                let head = format!("conflicts with {owner}:");
                std::iter::once(head).chain(paths.iter().map(|path| format!("- {path}")))
            })
            .collect();
        format!("Apply failed with {} conflicts: {}", causes.len(), lines.join("\n"))
    };
    Applied::Conflicts(message, causes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn writer(manager: &str, apply: bool) -> Writer {
        let now = "2026-01-01T00:00:00Z".to_owned();
        Writer { manager: manager.to_owned(), apply, api_version: "v1".to_owned(), subresource: None, now }
    }

    fn pod(image: &str) -> Value {
        json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": image}]}})
    }

    fn kind() -> &'static Struct {
        schema::named("Pod").unwrap()
    }

    fn applied(live: &Value, config: &Value, by: &Writer, force: bool) -> Value {
        match apply(live, config, kind(), by, force) {
            Applied::Done(mut new) => {
                enter_apply(live, &mut new, config, kind(), by);
                new
            }
            Applied::Conflicts(message, _) => panic!("{message}"),
        }
    }

    #[test]
    fn an_apply_conflicts_with_whoever_set_the_field() {
        let mut live = pod("1");
        update(&json!({}), &mut live, kind(), &writer("kubectl-create", false));
        let Applied::Conflicts(message, causes) = apply(&live, &pod("2"), kind(), &writer("me", true), false)
        else {
            panic!("no conflict")
        };
        let wanted = "Apply failed with 1 conflict: conflict with \"kubectl-create\" using v1: \
             .spec.containers[name=\"c\"].image";
        assert_eq!(message, wanted);
        assert_eq!(causes[0].field, ".spec.containers[name=\"c\"].image");
        let taken = applied(&live, &pod("2"), &writer("me", true), true);
        assert_eq!(taken["spec"]["containers"][0]["image"], "2");
        let again = apply(&taken, &pod("3"), kind(), &writer("me", true), false);
        assert!(matches!(again, Applied::Done(_)), "{again:?}");
    }

    #[test]
    fn the_same_value_is_shared() {
        let mut live = pod("1");
        update(&json!({}), &mut live, kind(), &writer("other", false));
        let shared = applied(&live, &pod("1"), &writer("me", true), false);
        assert_eq!(shared["metadata"]["managedFields"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_is_applied_no_more_goes() {
        let mut config = pod("1");
        config["metadata"]["labels"] = json!({"x": "1", "y": "1"});
        let live = applied(&json!({"metadata": {"name": "a"}}), &config, &writer("me", true), false);
        config["metadata"]["labels"] = json!({"x": "1"});
        let next = applied(&live, &config, &writer("me", true), false);
        assert_eq!(next["metadata"]["labels"], json!({"x": "1"}));
    }

    #[test]
    fn a_second_apply_of_the_same_changes_nothing() {
        let live = applied(&json!({"metadata": {"name": "a"}}), &pod("1"), &writer("me", true), false);
        assert_eq!(applied(&live, &pod("1"), &writer("me", true), false), live);
    }
}
