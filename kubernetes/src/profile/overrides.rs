//! The fields that a request may set in place of its profile, with their bounds. An operator writes them as
//! `[profiles.NAME.overrides]`. A request can set no other field.

use std::fmt::Display;

use lifecycle::{ids::ProfileName, network::NetworkMode};
use serde_json::{Map, Value};

use super::{
    Pattern, Quantity,
    fields::{FieldError, Parsed, one_of, quantity, shown, text},
    rules,
};
use crate::names;

/// The fields that a request may set in place of a profile, with their bounds. An absent field cannot be set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Overrides {
    /// The CPU limit.
    pub cpu: Option<Bounds>,
    /// The memory limit.
    pub memory: Option<Bounds>,
    /// The limit of the writable layer and the logs.
    pub ephemeral_storage: Option<Bounds>,
    /// The names of environment variables.
    pub env: Option<Vec<Pattern>>,
    /// The beginnings of the keys of labels.
    pub labels: Option<Vec<String>>,
    /// The images.
    pub image: Option<Vec<Pattern>>,
    /// The network modes.
    pub network: Option<Vec<NetworkMode>>,
    /// The size of the workspace.
    pub workspace_size: Option<Bounds>,
}

/// The least and the largest amount that a request may set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bounds {
    /// The minimum. Without it, any amount that a field of a profile may have.
    pub min: Option<Quantity>,
    /// The maximum. Without it, the amount that the profile itself has.
    pub max: Option<Quantity>,
}

/// Why a request cannot set a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// The request has no profile, and only a profile says what can be set.
    #[error(
        "{field}: without a profile, no request can set this; an operator allows it with {setting} in \
             [profiles.default.overrides]"
    )]
    NoProfile {
        /// The field of the request.
        field: String,
        /// The line that allows it.
        setting: &'static str,
    },
    /// The profile does not say that the field can be set.
    #[error(
        "{field}: the profile {profile} does not let a request set this; an operator allows it with {setting} in \
             [profiles.{profile}.overrides]"
    )]
    NotAllowed {
        /// The field of the request.
        field: String,
        /// The profile.
        profile: ProfileName,
        /// The line that allows it.
        setting: &'static str,
    },
    /// The value is not valid, whatever the bounds.
    #[error("{field}: {value} is not allowed; allowed: {allowed}")]
    Invalid {
        /// The field of the request.
        field: String,
        /// The value.
        value: String,
        /// The allowed values.
        allowed: &'static str,
    },
    /// The amount is below the minimum.
    #[error("{field}: {value} is below {bound}, the minimum of the profile {profile}")]
    Below {
        /// The field of the request.
        field: &'static str,
        /// The amount.
        value: String,
        /// The minimum.
        bound: String,
        /// The profile.
        profile: ProfileName,
    },
    /// The amount is above the maximum.
    #[error("{field}: {value} is above {bound}, the maximum of the profile {profile}")]
    Above {
        /// The field of the request.
        field: &'static str,
        /// The amount.
        value: String,
        /// The maximum.
        bound: String,
        /// The profile.
        profile: ProfileName,
    },
    /// The value or the name is not one of those that the profile allows.
    #[error("{field}: {what} not allowed by the profile {profile}, which allows {allowed}")]
    NotListed {
        /// The field of the request.
        field: String,
        /// The refused thing as the beginning of a sentence, such as `"open" is`.
        what: String,
        /// The allowed values, names or beginnings of names.
        allowed: String,
        /// The profile.
        profile: ProfileName,
    },
    /// This program or Kubernetes sets the label or the variable.
    #[error("{field}: no request can set it, because this program or Kubernetes does")]
    Reserved {
        /// The field of the request.
        field: String,
    },
}

const BOUNDS: &str = "a table with min and max";
const ENV_PATTERN: &str = "a pattern of names of environment variables, of letters, digits, '_' and '*', such as \
                           \"FEATURE_*\"";
const IMAGE_PATTERN: &str = "a pattern of images, such as \"registry.example/sandbox:*\"";
const LABEL_PREFIX: &str = "the beginning of the keys of labels, such as \"team.example.com/\"";

// === impl Overrides ===

impl Overrides {
    /// Parses the table `overrides` of a profile.
    pub(super) fn parse(value: &Value) -> Parsed<Self> {
        let mut overrides = Self::default();
        for (field, value) in table(value, "a table with the fields that a request may set")? {
            overrides.set(field, value).map_err(|error| error.within(&format!(".{field}")))?;
        }
        Ok(overrides)
    }

    fn set(&mut self, field: &str, value: &Value) -> Parsed<()> {
        match field {
            "cpu" => self.cpu = Some(bounds(value, Quantity::parse_cores, Quantity::ALLOWED_CORES)?),
            "memory" => self.memory = Some(bytes(value)?),
            "ephemeral_storage" => self.ephemeral_storage = Some(bytes(value)?),
            "env" => self.env = Some(list(value, "a list of patterns", env_pattern)?),
            "labels" => self.labels = Some(list(value, "a list of beginnings of keys", label_prefix)?),
            "image" => self.image = Some(list(value, "a list of patterns", image_pattern)?),
            "network" => self.network = Some(list(value, "a list of network modes", network_mode)?),
            "workspace" => {
                for (part, value) in table(value, "a table with size")? {
                    let within = |error: FieldError| error.within(&format!(".{part}"));
                    if part != "size" {
                        return Err(within(unknown("size")));
                    }
                    self.workspace_size = Some(bytes(value).map_err(within)?);
                }
            }
            _ => {
                return Err(unknown(
                    "cpu, memory, ephemeral_storage, env, labels, image, network and workspace",
                ));
            }
        }
        Ok(())
    }

    /// Fills absent fields from the profile that this one extends.
    pub(super) fn or(self, base: &Self) -> Self {
        let bounds = |own: Option<Bounds>, base: &Option<Bounds>| match (own, base) {
            (Some(own), Some(base)) => Some(own.or(base)),
            (own, base) => own.or_else(|| base.clone()),
        };
        Self {
            cpu: bounds(self.cpu, &base.cpu),
            memory: bounds(self.memory, &base.memory),
            ephemeral_storage: bounds(self.ephemeral_storage, &base.ephemeral_storage),
            env: self.env.or_else(|| base.env.clone()),
            labels: self.labels.or_else(|| base.labels.clone()),
            image: self.image.or_else(|| base.image.clone()),
            network: self.network.or_else(|| base.network.clone()),
            workspace_size: bounds(self.workspace_size, &base.workspace_size),
        }
    }

    /// Checks whether a request may set this network mode.
    ///
    /// # Errors
    /// The profile does not allow it.
    pub fn check_network(&self, profile: &ProfileName, mode: NetworkMode) -> Result<(), OverrideError> {
        let setting = "network = [\"isolated\"]";
        let allowed = allowed(self.network.as_deref(), "network", profile, setting)?;
        if allowed.contains(&mode) {
            return Ok(());
        }
        Err(not_listed("network", &format!("{mode} is"), allowed, profile))
    }

    /// Checks whether a request may set this size of the workspace. `own` is the size that the profile has.
    ///
    /// # Errors
    /// The text is not a size, or the profile does not allow it.
    pub fn check_workspace_size(
        &self,
        profile: &ProfileName,
        size: &str,
        own: Option<&Quantity>,
    ) -> Result<Quantity, OverrideError> {
        let setting = "workspace = { size = { min = \"1Gi\", max = \"10Gi\" } }";
        let bounds = allowed(self.workspace_size.as_ref(), "workspace.size", profile, setting)?;
        let size = parse_amount("workspace.size", size)?;
        bounds.check("workspace.size", profile, &size, own)?;
        Ok(size)
    }
}

/// Returns what the profile says of a field, or the error if it says nothing.
pub(super) fn allowed<'a, T: ?Sized>(
    bound: Option<&'a T>,
    field: &str,
    profile: &ProfileName,
    setting: &'static str,
) -> Result<&'a T, OverrideError> {
    bound.ok_or_else(|| OverrideError::NotAllowed {
        field: field.to_owned(),
        profile: profile.clone(),
        setting,
    })
}

/// Parses the amount of a request.
pub(super) fn parse_amount(field: &'static str, text: &str) -> Result<Quantity, OverrideError> {
    let (parsed, allowed) = if field == "resources.cpu" {
        (Quantity::parse_cores(text), Quantity::ALLOWED_CORES)
    } else {
        (Quantity::parse_bytes(text), Quantity::ALLOWED_BYTES)
    };
    parsed.ok_or_else(|| OverrideError::Invalid {
        field: field.to_owned(),
        value: shown(&Value::from(text)),
        allowed,
    })
}

pub(super) fn not_listed<T: Display>(
    field: &str,
    what: &str,
    allowed: &[T],
    profile: &ProfileName,
) -> OverrideError {
    let names: Vec<_> = allowed.iter().map(ToString::to_string).collect();
    let allowed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    OverrideError::NotListed {
        field: field.to_owned(),
        what: what.to_owned(),
        allowed,
        profile: profile.clone(),
    }
}

fn table<'a>(value: &'a Value, allowed: &str) -> Parsed<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| FieldError::not_allowed(value, allowed))
}

fn unknown(allowed: &str) -> FieldError {
    FieldError::new(String::new(), format!("a request cannot set it; the fields are {allowed}"))
}

fn list<T>(value: &Value, allowed: &str, parse: impl Fn(&Value) -> Parsed<T>) -> Parsed<Vec<T>> {
    let items = value.as_array().ok_or_else(|| FieldError::not_allowed(value, allowed))?;
    let item = |(index, value)| parse(value).map_err(|error| error.within(&format!("[{index}]")));
    items.iter().enumerate().map(item).collect()
}

fn bytes(value: &Value) -> Parsed<Bounds> {
    bounds(value, Quantity::parse_bytes, Quantity::ALLOWED_BYTES)
}

fn bounds(value: &Value, parse: fn(&str) -> Option<Quantity>, allowed: &str) -> Parsed<Bounds> {
    let mut bounds = Bounds::default();
    for (part, value) in table(value, BOUNDS)? {
        let within = |error: FieldError| error.within(&format!(".{part}"));
        let bound = match part.as_str() {
            "min" => &mut bounds.min,
            "max" => &mut bounds.max,
            _ => {
                let message = format!("it is not allowed; allowed: {BOUNDS}");
                return Err(within(FieldError::new(String::new(), message)));
            }
        };
        *bound = Some(quantity(value, parse, allowed).map_err(within)?);
    }
    Ok(bounds)
}

/// Returns the error of a pattern that could only match what this program or Kubernetes sets.
fn only_reserved(value: &Value) -> FieldError {
    let shown = shown(value);
    let message =
        format!("{shown} could only match what this program or Kubernetes sets, which no request can set");
    FieldError::new(String::new(), message)
}

fn env_pattern(value: &Value) -> Parsed<Pattern> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let pattern = text(value, |text| Pattern::parse(text, is_allowed), ENV_PATTERN)?;
    let begin = pattern.prefix();
    if begin.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(FieldError::not_allowed(value, ENV_PATTERN));
    }
    let reserved = pattern.exact().is_some_and(names::is_fixed_variable)
        || names::FIXED_VARIABLES.iter().any(|fixed| begin.starts_with(fixed));
    if reserved { Err(only_reserved(value)) } else { Ok(pattern) }
}

fn image_pattern(value: &Value) -> Parsed<Pattern> {
    text(value, |text| Pattern::parse(text, rules::is_image_character), IMAGE_PATTERN)
}

fn network_mode(value: &Value) -> Parsed<NetworkMode> {
    one_of(value, &NetworkMode::NAMES, NetworkMode::parse)
}

fn label_prefix(value: &Value) -> Parsed<String> {
    let prefix = text(value, |text| rules::is_label_beginning(text).then(|| text.to_owned()), LABEL_PREFIX)?;
    let reserved = prefix.split_once('/').is_some_and(|(domain, _)| names::is_fixed_domain(domain));
    if reserved { Err(only_reserved(value)) } else { Ok(prefix) }
}

// === impl Bounds ===

impl Bounds {
    fn or(self, base: &Self) -> Self {
        Self { min: self.min.or_else(|| base.min.clone()), max: self.max.or_else(|| base.max.clone()) }
    }

    /// Returns the maximum: without one of its own, `own`, the amount that the profile has.
    #[must_use]
    pub fn max<'a>(&'a self, own: Option<&'a Quantity>) -> Option<&'a Quantity> {
        self.max.as_ref().or(own)
    }

    /// Checks an amount of a request. `own` is the amount that the profile has.
    pub(super) fn check(
        &self,
        field: &'static str,
        profile: &ProfileName,
        value: &Quantity,
        own: Option<&Quantity>,
    ) -> Result<(), OverrideError> {
        let text = |quantity: &Quantity| quantity.as_str().to_owned();
        if let Some(min) = self.min.as_ref().filter(|min| value < *min) {
            let (value, bound, profile) = (text(value), text(min), profile.clone());
            return Err(OverrideError::Below { field, value, bound, profile });
        }
        match self.max(own) {
            Some(max) if value > max => {
                let (value, bound, profile) = (text(value), text(max), profile.clone());
                Err(OverrideError::Above { field, value, bound, profile })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
