use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use super::Effect;

/// Guards what counts as the trace of a write whose answer was lost, and that the state before the write does not.
#[test]
fn a_write_shows_in_the_object() {
    let wanted = BTreeMap::from([("ttl", Some("8h".to_owned())), ("owner", None)]);
    let (created, deleted, annotated) = (Effect::Created, Effect::Deleted("u"), Effect::Annotated(&wanted));
    for (object, of_create, of_delete, of_patch) in [
        (None, false, true, true),
        (Some(json!({"uid": "u"})), true, false, false),
        (Some(json!({"uid": "v"})), true, true, false),
        (Some(json!({"uid": "u", "deletionTimestamp": "2026-11-21T04:20:48Z"})), true, true, false),
        (Some(json!({"uid": "u", "annotations": {"ttl": "8h"}})), true, false, true),
        (Some(json!({"uid": "u", "annotations": {"ttl": "8h", "other": "x"}})), true, false, true),
        (Some(json!({"uid": "u", "annotations": {"ttl": "8h", "owner": "x"}})), true, false, false),
        (Some(json!({"uid": "u", "annotations": {"ttl": "9h"}})), true, false, false),
    ] {
        let meta: Option<ObjectMeta> = object.clone().map(|meta| serde_json::from_value(meta).unwrap());
        let shown = [created, deleted, annotated].map(|effect| effect.is_shown_by(meta.as_ref()));
        assert_eq!(shown, [of_create, of_delete, of_patch], "{object:?}");
    }
}
