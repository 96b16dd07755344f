//! The fields of a profile: how each is parsed, and what is allowed.

use std::collections::BTreeMap;

use lifecycle::{ids::ProfileName, text::Hidden};
use serde_json::Value;

use super::{
    Amount, ImageLocality, Level, Overrides, Profile, ProfileNetwork, Quantity, Spread, Workspace,
    rules::{
        ANY_TEXT, IMAGE, LABEL_KEY, LABEL_VALUE, LIMIT, OBJECT_NAME, ONE_LINE, OWN_LABEL, PROFILE_NAME,
        VARIABLE, any_text, image, label_key, label_value, limit, object_name, one_line, own_label, variable,
    },
    shapes,
};

/// The names of all fields.
pub const FIELDS: [&str; 33] = [
    "extends",
    "description",
    "image",
    "cpu",
    "start_cpu",
    "memory",
    "ephemeral_storage",
    "env",
    "labels",
    "annotations",
    "node_selector",
    "tolerations",
    "affinity",
    "topology_spread_constraints",
    "spread",
    "image_locality",
    "runtime_class",
    "priority_class",
    "scheduler_name",
    "image_pull_secrets",
    "security",
    "run_as_user",
    "run_as_group",
    "fs_group",
    "automount_service_account_token",
    "host_users",
    "shm_size",
    "tmp_size",
    "network",
    "workspace",
    "ttl",
    "idle_timeout",
    "overrides",
];

/// Why the value of a field cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The path in the field, such as `[0].effect`; empty for the field itself.
    pub path: String,
    /// The problem, and the allowed values.
    pub message: String,
}

pub(super) type Parsed<T> = Result<T, FieldError>;

impl Profile {
    /// Sets a field from its value in the settings file.
    ///
    /// # Errors
    /// The field is unknown, or its value is not allowed.
    pub fn set(&mut self, field: &str, value: &Value) -> Result<(), FieldError> {
        match field {
            "extends" => self.extends = Some(text(value, ProfileName::parse, PROFILE_NAME)?),
            "description" => self.description = Some(text(value, one_line, ONE_LINE)?),
            "image" => self.image = Some(text(value, image, IMAGE)?),
            "cpu" => self.cpu = amount(value, Quantity::parse_cores, Quantity::ALLOWED_CORES)?,
            "start_cpu" => {
                self.start_cpu = Some(quantity(value, Quantity::parse_cores, Quantity::ALLOWED_CORES)?);
            }
            "memory" => self.memory = amount(value, Quantity::parse_bytes, Quantity::ALLOWED_BYTES)?,
            "ephemeral_storage" => {
                self.ephemeral_storage = amount(value, Quantity::parse_bytes, Quantity::ALLOWED_BYTES)?;
            }
            "env" => self.env = env(value)?,
            "labels" => self.labels = map(value, (own_label, OWN_LABEL), label_value, LABEL_VALUE)?,
            "annotations" => self.annotations = map(value, (own_label, OWN_LABEL), any_text, ANY_TEXT)?,
            "node_selector" => {
                self.node_selector = map(value, (label_key, LABEL_KEY), label_value, LABEL_VALUE)?;
            }
            "tolerations" => self.tolerations = Some(shapes::tolerations(value)?),
            "affinity" => self.affinity = Some(Box::new(shapes::affinity(value)?)),
            "topology_spread_constraints" => {
                self.topology_spread_constraints = Some(shapes::topology_spread_constraints(value)?);
            }
            "spread" => self.spread = Some(one_of(value, &Spread::NAMES, Spread::parse)?),
            "image_locality" => {
                self.image_locality = Some(one_of(value, &ImageLocality::NAMES, ImageLocality::parse)?);
            }
            "runtime_class" => self.runtime_class = Some(text(value, object_name, OBJECT_NAME)?),
            "priority_class" => self.priority_class = Some(text(value, object_name, OBJECT_NAME)?),
            "scheduler_name" => self.scheduler_name = Some(text(value, object_name, OBJECT_NAME)?),
            "image_pull_secrets" => self.image_pull_secrets = Some(object_names(value)?),
            "security" => self.security.level = Some(one_of(value, &Level::NAMES, Level::parse)?),
            "run_as_user" => self.security.run_as_user = Some(user_id(value)?),
            "run_as_group" => self.security.run_as_group = Some(user_id(value)?),
            "fs_group" => self.security.fs_group = Some(user_id(value)?),
            "automount_service_account_token" => self.automount_service_account_token = Some(boolean(value)?),
            "host_users" => self.host_users = Some(boolean(value)?),
            "shm_size" => self.shm_size = Some(bytes(value)?),
            "tmp_size" => self.tmp_size = Some(bytes(value)?),
            "network" => self.network = Some(ProfileNetwork::parse(value)?),
            "workspace" => self.workspace = Some(Workspace::parse(value)?),
            "ttl" => self.ttl = Some(text(value, limit, LIMIT)?),
            "idle_timeout" => self.idle_timeout = Some(text(value, limit, LIMIT)?),
            "overrides" => self.overrides = Overrides::parse(value)?,
            _ => return Err(FieldError::new(String::new(), "it is not a field of a profile".to_owned())),
        }
        Ok(())
    }
}

// === impl FieldError ===

impl FieldError {
    pub(super) fn new(path: String, message: String) -> Self {
        Self { path, message }
    }

    /// A value that is not allowed.
    pub(super) fn not_allowed(value: &Value, allowed: &str) -> Self {
        Self::new(String::new(), format!("{} is not allowed; allowed: {allowed}", shown(value)))
    }

    /// The same error in a part of the field.
    pub(super) fn within(self, part: &str) -> Self {
        Self { path: format!("{part}{}", self.path), ..self }
    }
}

/// Returns a value for an error text, shortened.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Array(items) if items.is_empty() => "an empty list".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
        value => {
            let text = value.to_string();
            let end = text.floor_char_boundary(100);
            if end < text.len() { format!("{}…", &text[..end]) } else { text }
        }
    }
}

pub(super) fn text<T>(value: &Value, parse: impl Fn(&str) -> Option<T>, allowed: &str) -> Parsed<T> {
    value.as_str().and_then(parse).ok_or_else(|| FieldError::not_allowed(value, allowed))
}

pub(super) fn one_of<T>(value: &Value, names: &[&str], parse: fn(&str) -> Option<T>) -> Parsed<T> {
    text(value, parse, &names.join(", "))
}

pub(super) fn boolean(value: &Value) -> Parsed<bool> {
    value.as_bool().ok_or_else(|| FieldError::not_allowed(value, "true or false"))
}

/// Parses a user or group id. The bounds are those of Kubernetes' validation of Pods.
fn user_id(value: &Value) -> Parsed<i64> {
    let id = value.as_i64().filter(|id| (0..=i64::from(i32::MAX)).contains(id));
    id.ok_or_else(|| FieldError::not_allowed(value, "a number between 0 and 2147483647"))
}

pub(super) fn quantity(
    value: &Value,
    parse: fn(&str) -> Option<Quantity>,
    allowed: &str,
) -> Parsed<Quantity> {
    // TOML has numbers, which are quantities without a suffix.
    let text =
        if value.is_number() { value.to_string() } else { value.as_str().unwrap_or_default().to_owned() };
    parse(&text).ok_or_else(|| FieldError::not_allowed(value, allowed))
}

pub(super) fn bytes(value: &Value) -> Parsed<Quantity> {
    quantity(value, Quantity::parse_bytes, Quantity::ALLOWED_BYTES)
}

/// Parses a quantity that is both the request and the limit, or a table with either.
fn amount(value: &Value, parse: fn(&str) -> Option<Quantity>, allowed: &str) -> Parsed<Amount> {
    let Value::Object(parts) = value else {
        let allowed = format!("{allowed}, or a table with request and limit");
        let both = quantity(value, parse, &allowed)?;
        return Ok(Amount { request: Some(both.clone()), limit: Some(both) });
    };
    let mut amount = Amount::default();
    for (part, value) in parts {
        let parsed = match part.as_str() {
            "request" => &mut amount.request,
            "limit" => &mut amount.limit,
            _ => {
                let message = format!("{part:?} is not allowed; allowed: request and limit");
                return Err(FieldError::new(String::new(), message));
            }
        };
        *parsed = Some(quantity(value, parse, allowed).map_err(|error| error.within(&format!(".{part}")))?);
    }
    Ok(amount)
}

fn map<V>(
    value: &Value,
    (key_of, keys): (fn(&str) -> Option<String>, &str),
    parse: impl Fn(&str) -> Option<V>,
    values: &str,
) -> Parsed<BTreeMap<String, V>> {
    let entries = value.as_object().ok_or_else(|| FieldError::not_allowed(value, "a table of texts"))?;
    let entry = |(key, value): (&String, &Value)| {
        let Some(known) = key_of(key) else {
            return Err(FieldError::new(
                String::new(),
                format!("the key {key:?} is not allowed; allowed: {keys}"),
            ));
        };
        Ok((known, text(value, &parse, values).map_err(|error| error.within(&format!(".{key}")))?))
    };
    entries.iter().map(entry).collect()
}

/// Parses environment variables. Their values may be secret, so no error shows one.
fn env(value: &Value) -> Parsed<BTreeMap<String, Hidden>> {
    if !value.is_object() {
        return Err(FieldError::new(String::new(), "it is not a table of texts".to_owned()));
    }
    let hide = |error: FieldError| match error.path.as_str() {
        "" => error,
        _ => FieldError { message: "the value is not a text without NUL".to_owned(), ..error },
    };
    let text = |text: &str| (!text.contains('\0')).then(|| Hidden(text.to_owned()));
    map(value, (variable, VARIABLE), text, ANY_TEXT).map_err(hide)
}

fn object_names(value: &Value) -> Parsed<Vec<String>> {
    let names = value.as_array().ok_or_else(|| FieldError::not_allowed(value, "a list of names"))?;
    let name = |(index, value)| {
        text(value, object_name, OBJECT_NAME).map_err(|error| error.within(&format!("[{index}]")))
    };
    names.iter().enumerate().map(name).collect()
}
