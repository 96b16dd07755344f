//! Validation of an object's shape: maps and lists where the server reads them. With the feature `kubectl`, `fields`
//! validates all fields against the types of the API instead.

use serde_json::Value;

use crate::resource::Resource;

/// Fields that are maps.
const MAPS: [&str; 8] = [
    "/metadata",
    "/metadata/labels",
    "/metadata/annotations",
    "/spec",
    "/status",
    "/data",
    "/stringData",
    "/roleRef",
];
/// Fields that are lists of maps.
const LISTS: [&str; 11] = [
    "/metadata/ownerReferences",
    "/spec/containers",
    "/spec/initContainers",
    "/spec/ephemeralContainers",
    "/spec/volumes",
    "/spec/tolerations",
    "/spec/ports",
    "/status/conditions",
    "/status/containerStatuses",
    "/rules",
    "/subjects",
];

/// Checks the shape of an object and removes its nulls, which equal absent fields. Returns no unknown fields, because
/// it does not know the types.
pub(crate) fn check_fields(_: &Resource, value: &mut Value) -> Result<Vec<String>, String> {
    if let Some(members) = value.as_object_mut() {
        // In a status, unset times are written as null.
        members.iter_mut().filter(|(key, _)| *key != "status").for_each(|(_, member)| remove_nulls(member));
        members.retain(|_, member| !member.is_null());
    }
    let is_list = |member: &Value| member.as_array().is_some_and(|items| items.iter().all(Value::is_object));
    let wrong = |paths: &[&str], is_right: &dyn Fn(&Value) -> bool| {
        let wrong = paths.iter().find(|path| value.pointer(path).is_some_and(|member| !is_right(member)));
        wrong.map(|path| path[1..].replace('/', "."))
    };
    if let Some(path) = wrong(&MAPS, &Value::is_object) {
        return Err(format!("json: {path} must be an object"));
    }
    if let Some(path) = wrong(&LISTS, &is_list) {
        return Err(format!("json: {path} must be an array of objects"));
    }
    Ok(Vec::new())
}

fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::PODS;

    #[test]
    fn maps_and_lists_are_where_the_server_expects_them() {
        for (mut value, wrong) in [
            (json!({"metadata": []}), "json: metadata must be an object"),
            (json!({"metadata": {"labels": "x"}}), "json: metadata.labels must be an object"),
            (json!({"spec": {"containers": {}}}), "json: spec.containers must be an array of objects"),
            (json!({"spec": {"ports": [80]}}), "json: spec.ports must be an array of objects"),
        ] {
            assert_eq!(check_fields(PODS, &mut value), Err(wrong.to_owned()));
        }
    }

    #[test]
    fn nulls_are_removed_except_from_the_status() {
        let conditions = json!([{"type": "Ready", "lastProbeTime": null}]);
        let mut pod = json!({"data": null, "status": {"conditions": conditions},
            "spec": {"nodeName": null, "containers": [{"name": "c", "env": null}]}});
        assert_eq!(check_fields(PODS, &mut pod), Ok(Vec::new()));
        assert_eq!(
            pod,
            json!({"spec": {"containers": [{"name": "c"}]}, "status": {"conditions": conditions}})
        );
    }
}
