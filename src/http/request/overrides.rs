//! The fields of a create that stand in place of its profile's: their shapes. The bounds are the profile's.

use lifecycle::{network::NetworkMode, request::RequestedOverrides, spec::Resources, text::Hidden};
use serde_json::Value;

use super::{
    Problem,
    fields::{Fields, or_null, text},
};

/// The maximum number of environment variables.
pub(super) const ENV_MAX: usize = 64;
/// The maximum size of all environment variables with their names, in bytes. They are a part of the Pod, which every
/// watch carries.
const ENV_BYTES_MAX: usize = 32 << 10;
/// The maximum number of labels.
pub(super) const LABELS_MAX: usize = 32;
/// The resources that a request may set.
const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral_storage"];

/// Parses the fields of a create that stand in place of its profile's.
pub(super) fn read(fields: &mut Fields<'_>) -> RequestedOverrides {
    let resources = resources(fields);
    let env = fields.entries("env", ENV_MAX, variable);
    if env.iter().map(|(name, Hidden(value))| name.len() + value.len()).sum::<usize>() > ENV_BYTES_MAX {
        let rule = format!("all variables with their names have at most {ENV_BYTES_MAX} bytes");
        fields.refuse("env", Problem::value_error(&rule));
    }
    let labels = fields.entries("labels", LABELS_MAX, |value| Ok(value.to_owned()));
    let image = fields.optional("image", or_null(|value| text(value).map(str::to_owned)));
    let network = fields.optional("network", or_null(network));
    RequestedOverrides { resources, env, labels, image, network }
}

fn network(value: &Value) -> Result<NetworkMode, Problem> {
    NetworkMode::parse(text(value)?).ok_or_else(|| Problem::one_of(&NetworkMode::NAMES))
}

/// Parses the field `resources`.
pub(super) fn resources(fields: &mut Fields<'_>) -> Resources {
    fields.object("resources", |fields| {
        fields.only(&RESOURCES);
        let [cpu, memory, ephemeral_storage] = RESOURCES.map(|name| fields.optional(name, or_null(amount)));
        Resources { cpu, memory, ephemeral_storage }
    })
}

/// Parses a quantity as far as its type tells. Kubernetes takes numbers, too.
pub(super) fn amount(value: &Value) -> Result<String, Problem> {
    match value {
        Value::Number(number) => Ok(number.to_string()),
        value => text(value).map(str::to_owned),
    }
}

fn variable(value: &str) -> Result<Hidden, Problem> {
    if value.contains('\0') {
        return Err(Problem::value_error("a value must not contain NUL"));
    }
    Ok(Hidden(value.to_owned()))
}
