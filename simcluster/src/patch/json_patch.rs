//! RFC 6902: a list of operations, all of which must apply.

use serde_json::Value;

/// Why a patch did not apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is no JSON patch.
    Malformed(String),
    /// A test failed or a path leads nowhere.
    DoesNotApply,
}

pub(super) fn apply(target: &Value, operations: &Value) -> Result<Value, Failure> {
    let malformed = |why: &str| Failure::Malformed(why.to_owned());
    let operations =
        operations.as_array().ok_or_else(|| malformed("a JSON patch is a list of operations"))?;
    let mut value = target.clone();
    for step in operations {
        let text = |key: &str| step.get(key).and_then(Value::as_str);
        let place = text("path").ok_or_else(|| malformed("an operation lacks its path"))?;
        let given = || step.get("value").cloned().ok_or_else(|| malformed("an operation lacks its value"));
        let from = || text("from").ok_or_else(|| malformed("an operation lacks its from"));
        match text("op").unwrap_or("") {
            "add" => add(&mut value, place, given()?)?,
            "replace" => *find(&mut value, place)? = given()?,
            "remove" => drop(remove(&mut value, place)?),
            "move" => {
                let moved = remove(&mut value, from()?)?;
                add(&mut value, place, moved)?;
            }
            "copy" => {
                let copied = find(&mut value, from()?)?.clone();
                add(&mut value, place, copied)?;
            }
            "test" if *tested(&value, place)? == given()? => {}
            "test" => return Err(Failure::DoesNotApply),
            other => return Err(Failure::Malformed(format!("unknown operation {other:?}"))),
        }
    }
    Ok(value)
}

fn find<'a>(value: &'a mut Value, path: &str) -> Result<&'a mut Value, Failure> {
    value.pointer_mut(path).ok_or(Failure::DoesNotApply)
}

/// What a test looks at: a member that its object lacks is null, as clients rely on who add a list's first item.
fn tested<'a>(value: &'a Value, path: &str) -> Result<&'a Value, Failure> {
    let parent = split(path).and_then(|(parent, _)| value.pointer(parent));
    let absent = parent.filter(|parent| parent.is_object()).map(|_| &Value::Null);
    value.pointer(path).or(absent).ok_or(Failure::DoesNotApply)
}

fn add(value: &mut Value, path: &str, new: Value) -> Result<(), Failure> {
    let Some((parent, key)) = split(path) else {
        *value = new;
        return Ok(());
    };
    match find(value, parent)? {
        Value::Object(fields) => drop(fields.insert(key, new)),
        Value::Array(items) if key == "-" => items.push(new),
        Value::Array(items) => match key.parse::<usize>() {
            Ok(place) if place <= items.len() => items.insert(place, new),
            _ => return Err(Failure::DoesNotApply),
        },
        _ => return Err(Failure::DoesNotApply),
    }
    Ok(())
}

fn remove(value: &mut Value, path: &str) -> Result<Value, Failure> {
    let (parent, key) = split(path).ok_or(Failure::DoesNotApply)?;
    match find(value, parent)? {
        Value::Object(fields) => fields.remove(&key).ok_or(Failure::DoesNotApply),
        Value::Array(items) => match key.parse::<usize>() {
            Ok(place) if place < items.len() => Ok(items.remove(place)),
            _ => Err(Failure::DoesNotApply),
        },
        _ => Err(Failure::DoesNotApply),
    }
}

/// The path of the parent, and the last key with its escapes undone. `None` for the whole document.
fn split(path: &str) -> Option<(&str, String)> {
    let (parent, key) = path.rsplit_once('/')?;
    Some((parent, key.replace("~1", "/").replace("~0", "~")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_apply_in_order() {
        let patch = json!([
            {"op": "test", "path": "/a/x~1y", "value": 1},
            {"op": "test", "path": "/a/absent", "value": null},
            {"op": "replace", "path": "/a/x~1y", "value": 2},
            {"op": "add", "path": "/l/-", "value": 3},
            {"op": "add", "path": "/l/0", "value": 0},
            {"op": "copy", "from": "/l", "path": "/m"},
            {"op": "move", "from": "/l/0", "path": "/first"},
            {"op": "remove", "path": "/gone"},
        ]);
        let target = json!({"a": {"x/y": 1}, "l": [1, 2], "gone": true});
        let expected = json!({"a": {"x/y": 2}, "l": [1, 2, 3], "m": [0, 1, 2, 3], "first": 0});
        assert_eq!(apply(&target, &patch), Ok(expected));
    }

    #[test]
    fn one_operation_that_does_not_apply_fails_all() {
        for operation in [
            json!({"op": "test", "path": "/a", "value": 2}),
            json!({"op": "test", "path": "/b", "value": 2}),
            json!({"op": "test", "path": "/b/c", "value": null}),
            json!({"op": "remove", "path": "/b"}),
            json!({"op": "replace", "path": "/b/c", "value": 1}),
        ] {
            assert_eq!(apply(&json!({"a": 1}), &json!([operation])), Err(Failure::DoesNotApply));
        }
    }
}
