//! Applies the values that a request sets in place of its profile.
//!
//! The result is a profile, so a request reaches no other part of a Pod than a profile does.

use lifecycle::{ids::ProfileName, request::RequestedOverrides};
use serde_json::Value;

use super::{
    Amount, Bounds, OverrideError, Overrides, Profile, Quantity,
    fields::shown,
    overrides::{allowed, not_listed, parse_amount},
    rules,
};
use crate::names;

/// The lines with which an operator allows each field.
const RESOURCES: [(&str, &str); 3] = [
    ("resources.cpu", "cpu = { min = \"100m\", max = \"4\" }"),
    ("resources.memory", "memory = { min = \"256Mi\", max = \"8Gi\" }"),
    ("resources.ephemeral_storage", "ephemeral_storage = { min = \"500Mi\", max = \"20Gi\" }"),
];
const ENV: &str = "env = [\"NAME\"]";
const LABELS: &str = "labels = [\"team.example.com/\"]";
const NETWORK: &str = "network = [\"isolated\"]";
const IMAGE: &str = "image = [\"registry.example/sandbox:*\"]";

/// Returns the error of a request that has no profile and sets what only a profile can allow.
///
/// # Errors
/// The first field that the request sets.
pub fn check_without_profile(requested: &RequestedOverrides) -> Result<(), OverrideError> {
    let resources = &requested.resources;
    let amounts = [&resources.cpu, &resources.memory, &resources.ephemeral_storage];
    let mut fields = amounts.into_iter().zip(RESOURCES).filter(|(amount, _)| amount.is_some());
    let first = fields
        .next()
        .map(|(_, allowed)| allowed)
        .or_else(|| (!requested.env.is_empty()).then_some(("env", ENV)))
        .or_else(|| (!requested.labels.is_empty()).then_some(("labels", LABELS)))
        .or_else(|| requested.image.is_some().then_some(("image", IMAGE)))
        .or_else(|| requested.network.is_some().then_some(("network", NETWORK)));
    match first {
        Some((field, setting)) => Err(OverrideError::NoProfile { field: field.to_owned(), setting }),
        None => Ok(()),
    }
}

// === impl Profile ===

impl Profile {
    /// Returns the profile with what a request sets in its place. `defaults` are the resources of a Pod without a
    /// profile.
    ///
    /// # Errors
    /// The first value that is not within the profile's bounds.
    pub fn with_request(
        &self,
        name: &ProfileName,
        requested: &RequestedOverrides,
        defaults: &[(&'static str, Amount); 3],
    ) -> Result<Self, OverrideError> {
        let RequestedOverrides { resources, env, labels, image, network } = requested;
        let mut profile = self.clone();
        let Overrides { cpu, memory, ephemeral_storage, .. } = &self.overrides;
        for (index, (wanted, bounds, amount)) in [
            (&resources.cpu, cpu, &mut profile.cpu),
            (&resources.memory, memory, &mut profile.memory),
            (&resources.ephemeral_storage, ephemeral_storage, &mut profile.ephemeral_storage),
        ]
        .into_iter()
        .enumerate()
        {
            if let Some(wanted) = wanted {
                let own = amount.clone().or(&defaults[index].1);
                *amount = own.with_limit(resource(
                    RESOURCES[index],
                    name,
                    wanted,
                    bounds.as_ref(),
                    own.limit.as_ref(),
                )?);
            }
        }
        for (key, value) in env {
            self.overrides.check_variable(name, key)?;
            profile.env.insert(key.clone(), value.clone());
        }
        for (key, value) in labels {
            self.overrides.check_label(name, key, value)?;
            profile.labels.insert(key.clone(), value.clone());
        }
        if let Some(image) = image {
            self.overrides.check_image(name, image)?;
            profile.image = Some(image.clone());
        }
        if let Some(mode) = *network {
            self.overrides.check_network(name, mode)?;
            profile.set_network_mode(mode);
        }
        Ok(profile)
    }
}

/// Checks the limit of one resource.
fn resource(
    (field, setting): (&'static str, &'static str),
    profile: &ProfileName,
    wanted: &str,
    bounds: Option<&Bounds>,
    own: Option<&Quantity>,
) -> Result<Quantity, OverrideError> {
    let bounds = allowed(bounds, field, profile, setting)?;
    let wanted = parse_amount(field, wanted)?;
    bounds.check(field, profile, &wanted, own)?;
    Ok(wanted)
}

// === impl Amount ===

impl Amount {
    /// Returns this amount with another limit. A request that is equal to its limit follows it, and one that would be
    /// above it is lowered to it. The quality of service of the Pod may then become Guaranteed.
    pub(crate) fn with_limit(&self, limit: Quantity) -> Self {
        let follows = |request: &Quantity| {
            *request > limit || self.limit.as_ref().is_some_and(|old| request.is_same(old))
        };
        let request =
            self.request.clone().map(|request| if follows(&request) { limit.clone() } else { request });
        Self { request, limit: Some(limit) }
    }
}

// === impl Overrides ===

impl Overrides {
    fn check_variable(&self, profile: &ProfileName, name: &str) -> Result<(), OverrideError> {
        let field = || format!("env.{name}");
        let allowed = allowed(self.env.as_deref(), "env", profile, ENV)?;
        if names::is_fixed_variable(name) {
            return Err(OverrideError::Reserved { field: field() });
        }
        if rules::variable(name).is_none() {
            let value = format!("the name {name:?}");
            return Err(OverrideError::Invalid { field: "env".to_owned(), value, allowed: rules::VARIABLE });
        }
        if allowed.iter().any(|pattern| pattern.matches(name)) {
            return Ok(());
        }
        Err(not_listed(&field(), "the name is", allowed, profile))
    }

    fn check_label(&self, profile: &ProfileName, key: &str, value: &str) -> Result<(), OverrideError> {
        let field = || format!("labels.{key}");
        let allowed = allowed(self.labels.as_deref(), "labels", profile, LABELS)?;
        if names::is_fixed_label(key) {
            return Err(OverrideError::Reserved { field: field() });
        }
        if rules::label_key(key).is_none() {
            let value = format!("the key {key:?}");
            return Err(OverrideError::Invalid {
                field: "labels".to_owned(),
                value,
                allowed: rules::LABEL_KEY,
            });
        }
        if !allowed.iter().any(|prefix| key.starts_with(prefix.as_str())) {
            let allowed: Vec<_> = allowed.iter().map(|prefix| format!("{prefix}…")).collect();
            return Err(not_listed(&field(), "the key is", &allowed, profile));
        }
        if rules::label_value(value).is_none() {
            let value = shown(&Value::from(value));
            return Err(OverrideError::Invalid { field: field(), value, allowed: rules::LABEL_VALUE });
        }
        Ok(())
    }

    fn check_image(&self, profile: &ProfileName, image: &str) -> Result<(), OverrideError> {
        let allowed = allowed(self.image.as_deref(), "image", profile, IMAGE)?;
        let value = shown(&Value::from(image));
        if !rules::is_image(image) {
            return Err(OverrideError::Invalid { field: "image".to_owned(), value, allowed: rules::IMAGE });
        }
        if allowed.iter().any(|pattern| pattern.matches(image)) {
            return Ok(());
        }
        Err(not_listed("image", &format!("{value} is"), allowed, profile))
    }
}
