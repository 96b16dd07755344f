//! The profiles of the settings, as the HTTP API shows them.

use kubernetes::{
    manifest::{Template, default_resources},
    profile::Amount,
};
use lifecycle::spec::Resources;

use crate::http;

/// Returns the profiles as callers see them.
pub(super) fn of(template: &Template) -> http::Profiles {
    let defaults = default_resources();
    http::Profiles::new(template.profiles.iter().map(|(name, profile)| {
        let amounts = [&profile.cpu, &profile.memory, &profile.ephemeral_storage];
        let limit = |own: &Amount, default: &Amount| {
            own.limit.as_ref().or(default.limit.as_ref()).map(|limit| limit.as_str().to_owned())
        };
        let [cpu, memory, ephemeral_storage] =
            [0, 1, 2].map(|index| limit(amounts[index], &defaults[index].1));
        http::profiles::Profile {
            name: name.clone(),
            description: profile.description.clone(),
            resources: Resources { cpu, memory, ephemeral_storage },
            ttl: profile.ttl,
            idle_timeout: profile.idle_timeout,
        }
    }))
}
