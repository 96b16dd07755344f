//! The profiles of the settings, as the HTTP API shows them.

use std::collections::BTreeMap;

use kubernetes::{
    manifest::{Template, default_resources},
    names,
    profile::{self, Amount, Mount, Pattern, Quantity, Workspace},
};
use lifecycle::spec::Resources;

use crate::http;

/// Returns the profiles as callers see them.
pub(super) fn of(template: &Template) -> http::Profiles {
    let profiles = template.profiles.iter().map(|(name, profile)| {
        let limits = limits(profile);
        let [cpu, memory, ephemeral_storage] =
            limits.each_ref().map(|limit| limit.as_ref().map(Quantity::canonical));
        http::profiles::Profile {
            name: name.clone(),
            description: profile.description.clone(),
            resources: Resources { cpu, memory, ephemeral_storage },
            workspace: profile.workspace.as_ref().map(workspace),
            start_cpu: profile.start_cpu.as_ref().map(Quantity::canonical),
            ttl: profile.ttl,
            idle_timeout: profile.idle_timeout,
            overrides: overrides(profile, limits),
        }
    });
    http::Profiles::new(profiles, Quantity::is_same_text)
}

/// Returns the limits of the sandbox container: CPU, memory and storage.
fn limits(profile: &profile::Profile) -> [Option<Quantity>; 3] {
    let [(_, cpu), (_, memory), (_, storage)] = default_resources();
    let limit = |own: &Amount, default: Amount| own.limit.clone().or(default.limit);
    [limit(&profile.cpu, cpu), limit(&profile.memory, memory), limit(&profile.ephemeral_storage, storage)]
}

fn overrides(
    profile: &profile::Profile,
    [cpu, memory, storage]: [Option<Quantity>; 3],
) -> http::profiles::Overrides {
    let overrides = &profile.overrides;
    let workspace = profile.workspace.as_ref().map(|workspace| &workspace.size);
    let bounds = |name, bounds: &Option<profile::Bounds>, own: Option<&Quantity>| {
        let bounds = bounds.as_ref()?;
        let (min, max) = (bounds.min.as_ref(), bounds.max(own));
        let [min, max] = [min, max].map(|bound| bound.map(Quantity::canonical));
        Some((name, http::profiles::Bounds { min, max }))
    };
    let texts = |patterns: &Option<Vec<Pattern>>| {
        patterns.as_ref().map(|patterns| patterns.iter().map(Pattern::to_string).collect())
    };
    let resources = [
        bounds("cpu", &overrides.cpu, cpu.as_ref()),
        bounds("memory", &overrides.memory, memory.as_ref()),
        bounds("ephemeral_storage", &overrides.ephemeral_storage, storage.as_ref()),
    ];
    http::profiles::Overrides {
        resources: resources.into_iter().flatten().collect(),
        env: texts(&overrides.env),
        labels: overrides.labels.clone(),
        image: texts(&overrides.image),
        network: overrides.network.clone(),
        workspace: bounds("size", &overrides.workspace_size, workspace)
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
    }
}

fn workspace(workspace: &Workspace) -> http::profiles::Workspace {
    http::profiles::Workspace {
        size: workspace.size.as_str().to_owned(),
        mount_path: match &workspace.mount {
            Mount::Path(path) => path.clone(),
            Mount::UserData => names::USER_DATA_PATH.to_owned(),
        },
        scope: workspace.scope,
        when_deleted: workspace.when_deleted,
        keep_for: workspace.keep_for,
    }
}
