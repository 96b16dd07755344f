//! Records who wrote which fields, in `metadata.managedFields`.

use serde_json::{Value, json};

use crate::ownership::{self, Writer};
use crate::patch::PatchKind;
use crate::request::Request;
use crate::resource::Sub;
use crate::route::Target;
use crate::shared::Shared;

/// Returns the writer of a request: its field manager, or else the first word of its user agent.
pub(super) fn writer(shared: &Shared, target: &Target, request: &Request) -> Writer {
    let agent = request.user_agent.split('/').next().unwrap_or("");
    let manager = request.query.get("fieldManager").unwrap_or(agent);
    Writer {
        manager: if manager.is_empty() { "unknown" } else { manager }.to_owned(),
        apply: PatchKind::of(&request.content_type).is_ok_and(|kind| kind == PatchKind::Apply),
        api_version: target.resource.api_version(),
        subresource: target.sub.map(Sub::word),
        now: shared.clock.stamp(),
    }
}

/// Records a creation. With an apply, the writer owns the fields of `config`; otherwise all fields of the
/// new object except the status.
pub(super) fn created(config: &Value, value: &mut Value, writer: &Writer, target: &Target) {
    let Some(kind) = ownership::kind_of(target.resource.stored()) else { return };
    if writer.apply {
        ownership::enter_apply(&json!({}), value, config, kind, writer);
        return;
    }
    let status = value.as_object_mut().and_then(|fields| fields.remove("status"));
    ownership::update(&json!({}), value, kind, writer);
    if let Some(status) = status {
        value["status"] = status;
    }
}

/// Records a change; `config` is what a server-side apply asked for. An object that differs only in its
/// managed fields is left unchanged.
pub(super) fn changed(
    old: &Value,
    new: &mut Value,
    config: Option<&Value>,
    writer: &Writer,
    target: &Target,
) {
    let Some(kind) = ownership::kind_of(target.resource.stored()) else { return };
    match config {
        Some(config) => ownership::enter_apply(old, new, config, kind, writer),
        None if without_entries(new) == without_entries(old) => new.clone_from(old),
        None => ownership::update(old, new, kind, writer),
    }
}

fn without_entries(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(meta) = value["metadata"].as_object_mut() {
        meta.remove("managedFields");
    }
    value
}
