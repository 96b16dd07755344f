//! RFC 6902: a list of operations, all of which must apply.

use json_patch::{Patch, PatchOperation, patch_unsafe};
use serde::Deserialize as _;
use serde_json::Value;

/// The reason why a patch was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Not a JSON patch.
    Malformed(String),
    /// A test failed or a path does not exist.
    DoesNotApply,
}

/// Returns the target after all operations.
pub(super) fn apply(target: &Value, operations: &Value) -> Result<Value, Failure> {
    let Patch(operations) =
        Patch::deserialize(operations).map_err(|error| Failure::Malformed(error.to_string()))?;
    let mut value = target.clone();
    for operation in operations {
        if !expects_absence(&value, &operation) {
            patch_unsafe(&mut value, &[operation]).map_err(|_| Failure::DoesNotApply)?;
        }
    }
    Ok(value)
}

/// Whether an operation tests a member for `null` that its object does not have. Kubernetes passes this test, and clients
/// use it before they add the first item of a list.
fn expects_absence(value: &Value, operation: &PatchOperation) -> bool {
    let PatchOperation::Test(test) = operation else { return false };
    let path = test.path.as_str();
    let parent = path.rsplit_once('/').and_then(|(parent, _)| value.pointer(parent));
    test.value.is_null() && value.pointer(path).is_none() && parent.is_some_and(Value::is_object)
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
