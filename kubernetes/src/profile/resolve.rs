//! Resolves `extends`, and checks the resulting profiles.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::ids::ProfileName;

use super::{Amount, Bounds, HOSTNAME, Level, Mount, Overrides, Profile, Quantity, Spread};

/// The profiles by their names, with the fields of those that they extend.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Profiles(BTreeMap<ProfileName, Profile>);

/// The volumes that the settings put on host paths. The default is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostPaths {
    /// The threads' own directories.
    pub user_data: bool,
    /// The skills.
    pub skills: bool,
}

/// Why a profile cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// It extends a profile that does not exist.
    #[error("profiles.{profile}.extends: there is no profile {base:?}")]
    UnknownBase {
        /// The profile.
        profile: ProfileName,
        /// The profile that it names.
        base: ProfileName,
    },
    /// It extends itself, directly or through others.
    #[error("profiles.{0}.extends: the profile extends itself")]
    Circle(ProfileName),
    /// A request is above its limit.
    #[error(
        "profiles.{profile}.{resource}: the request {request:?} is above the limit {limit:?}; set both, or a lower \
         request"
    )]
    RequestAboveLimit {
        /// The profile.
        profile: ProfileName,
        /// The field.
        resource: &'static str,
        /// The request, which may be that of the settings.
        request: String,
        /// The limit, which may be that of the settings.
        limit: String,
    },
    /// The CPU at the start is below that after it.
    #[error(
        "profiles.{profile}.start_cpu: {start:?} is below the limit of cpu, which is {limit:?}; set at least that"
    )]
    StartBelowLimit {
        /// The profile.
        profile: ProfileName,
        /// The CPU at the start.
        start: String,
        /// The limit, which may be that of the settings.
        limit: String,
    },
    /// No amount is within the bounds of a field that a request may set.
    #[error(
        "profiles.{profile}.overrides.{field}: the minimum {min:?} is above {}, which is {max:?}",
        if *is_own { "the profile's own amount" } else { "the maximum" }
    )]
    NothingBetween {
        /// The profile.
        profile: ProfileName,
        /// The field.
        field: &'static str,
        /// The minimum.
        min: String,
        /// The maximum.
        max: String,
        /// Whether the maximum is the profile's own amount, because no other is set.
        is_own: bool,
    },
    /// The profile's own amount is not within the bounds of what a request may set: no request could return to it.
    #[error(
        "profiles.{profile}.overrides.{field}: the profile's own amount {own:?} is not between {} and {}; set other \
         bounds, or another amount",
        min.as_deref().unwrap_or("0"), max.as_deref().unwrap_or("itself")
    )]
    OutsideItsBounds {
        /// The profile.
        profile: ProfileName,
        /// The field.
        field: &'static str,
        /// The profile's own amount, which may be that of the settings.
        own: String,
        /// The minimum.
        min: Option<String>,
        /// The maximum.
        max: Option<String>,
    },
    /// Two constraints spread over the same domains in the same way, which Kubernetes refuses.
    #[error(
        "profiles.{profile}.topology_spread_constraints: two constraints, or one and spread, have topologyKey {key:?} and \
         whenUnsatisfiable {action:?}; remove one"
    )]
    SpreadTwice {
        /// The profile.
        profile: ProfileName,
        /// The label of nodes.
        key: String,
        /// The value of `whenUnsatisfiable`.
        action: String,
    },
    /// The level needs a user that is not root.
    #[error("profiles.{0}.run_as_user: security = \"restricted\" needs a user that is not 0")]
    Root(ProfileName),
    /// The level forbids host paths, and the settings mount some.
    #[error(
        "profiles.{0}.security: the levels baseline and restricted forbid host paths; set USERDATA_PVC_NAME and \
         SKILLS_PVC_NAME, or use security = \"deerflow\"; in place of USERDATA_PVC_NAME the profile may have a \
         workspace with user_data = true"
    )]
    HostPaths(ProfileName),
}

// === impl Profiles ===

impl Profiles {
    /// Resolves the profiles. `defaults` are the resources of a Pod without a profile, and `host_paths` are the
    /// volumes that the settings put on host paths.
    ///
    /// # Errors
    /// Every problem.
    pub fn new(
        written: &BTreeMap<ProfileName, Profile>,
        defaults: &[(&'static str, Amount); 3],
        host_paths: HostPaths,
    ) -> Result<Self, Vec<ProfileError>> {
        let mut errors = Vec::new();
        let mut resolved = BTreeMap::new();
        for name in written.keys() {
            match resolve(written, name) {
                Ok(profile) => {
                    errors.extend(check(name, &profile, defaults, host_paths));
                    resolved.insert(name.clone(), profile);
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Self(resolved)) } else { Err(errors) }
    }

    /// Returns a profile.
    #[must_use]
    pub fn get(&self, name: &ProfileName) -> Option<&Profile> {
        self.0.get(name)
    }

    /// Returns all profiles, in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&ProfileName, &Profile)> {
        self.0.iter()
    }

    /// Keeps the profiles for which the function returns true.
    pub fn retain(&mut self, mut keeps: impl FnMut(&ProfileName) -> bool) {
        self.0.retain(|name, _| keeps(name));
    }

    /// Returns whether a profile has a workspace.
    #[must_use]
    pub fn have_workspaces(&self) -> bool {
        self.0.values().any(|profile| profile.workspace.is_some())
    }

    /// Returns whether there are no profiles.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn resolve(written: &BTreeMap<ProfileName, Profile>, name: &ProfileName) -> Result<Profile, ProfileError> {
    let unknown = |profile: &ProfileName, base: &ProfileName| ProfileError::UnknownBase {
        profile: profile.clone(),
        base: base.clone(),
    };
    let mut profile = written.get(name).cloned().unwrap_or_default();
    let (mut at, mut next) = (name, profile.extends.clone());
    let mut passed = vec![name];
    while let Some(base) = next {
        let (base, fields) = written.get_key_value(&base).ok_or_else(|| unknown(at, &base))?;
        if passed.contains(&base) {
            return Err(ProfileError::Circle(name.clone()));
        }
        passed.push(base);
        profile = profile.or(fields);
        (at, next) = (base, fields.extends.clone());
    }
    Ok(profile)
}

fn check(
    name: &ProfileName,
    profile: &Profile,
    defaults: &[(&'static str, Amount); 3],
    host_paths: HostPaths,
) -> Vec<ProfileError> {
    let amounts = [&profile.cpu, &profile.memory, &profile.ephemeral_storage];
    let above = amounts.into_iter().zip(defaults).filter_map(|(own, (resource, default))| {
        let Amount { request: Some(request), limit: Some(limit) } = own.clone().or(default) else {
            return None;
        };
        (request > limit).then(|| ProfileError::RequestAboveLimit {
            profile: name.clone(),
            resource,
            request: request.as_str().to_owned(),
            limit: limit.as_str().to_owned(),
        })
    });
    let Overrides { cpu, memory, ephemeral_storage, .. } = &profile.overrides;
    let bounds = [cpu, memory, ephemeral_storage].into_iter().zip(amounts).zip(defaults);
    let outside = bounds.filter_map(|((bounds, own), (resource, default))| {
        check_bounds(name, resource, bounds.as_ref()?, own.limit.as_ref().or(default.limit.as_ref()))
    });
    let workspace = profile.overrides.workspace_size.as_ref().zip(profile.workspace.as_ref());
    let workspace = workspace
        .and_then(|(bounds, workspace)| check_bounds(name, "workspace.size", bounds, Some(&workspace.size)));
    let cpu_limit = profile.cpu.limit.as_ref().or(defaults[0].1.limit.as_ref());
    let start = profile.start_cpu.as_ref().zip(cpu_limit).filter(|(start, limit)| start < limit);
    let start = start.map(|(start, limit)| ProfileError::StartBelowLimit {
        profile: name.clone(),
        start: start.as_str().to_owned(),
        limit: limit.as_str().to_owned(),
    });
    let level = profile.security.level();
    let root = level == Level::Restricted && profile.security.run_as_user.is_none_or(|user| user == 0);
    let keeps_user_data =
        profile.workspace.as_ref().is_some_and(|workspace| workspace.mount == Mount::UserData);
    let has_host_paths = host_paths.skills || (host_paths.user_data && !keeps_user_data);
    let host_paths = level != Level::DeerFlow && has_host_paths;
    let mut errors: Vec<_> = above.chain(outside).chain(workspace).chain(start).collect();
    errors.extend(spread_twice(profile).map(|(key, action)| ProfileError::SpreadTwice {
        profile: name.clone(),
        key: key.to_owned(),
        action: action.to_owned(),
    }));
    errors.extend(root.then(|| ProfileError::Root(name.clone())));
    errors.extend(host_paths.then(|| ProfileError::HostPaths(name.clone())));
    errors
}

/// Returns the topology key and the action that two constraints of a profile have in common.
fn spread_twice(profile: &Profile) -> Option<(&str, &str)> {
    let own = profile.topology_spread_constraints.iter().flatten();
    let own = own.map(|constraint| (&*constraint.topology_key, &*constraint.when_unsatisfiable));
    let short = profile.spread.and_then(Spread::when_unsatisfiable).map(|action| (HOSTNAME, action));
    let mut known = BTreeSet::new();
    own.chain(short).find(|constraint| !known.insert(*constraint))
}

/// Checks the bounds of a field that a request may set, beside the amount that the profile itself has.
fn check_bounds(
    profile: &ProfileName,
    field: &'static str,
    bounds: &Bounds,
    own: Option<&Quantity>,
) -> Option<ProfileError> {
    let text = |quantity: &Quantity| quantity.as_str().to_owned();
    let (min, max) = (bounds.min.as_ref(), bounds.max(own));
    if let Some((min, max)) = min.zip(max).filter(|(min, max)| min > max) {
        let (min, max, is_own) = (text(min), text(max), bounds.max.is_none());
        return Some(ProfileError::NothingBetween { profile: profile.clone(), field, min, max, is_own });
    }
    let own = own.filter(|own| min.is_some_and(|min| *own < min) || max.is_some_and(|max| *own > max))?;
    let (own, min, max) = (text(own), min.map(text), max.map(text));
    Some(ProfileError::OutsideItsBounds { profile: profile.clone(), field, own, min, max })
}
