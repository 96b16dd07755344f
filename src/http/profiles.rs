//! `GET /api/profiles`: the profiles that a create may name; and what a profile adds to a create.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use lifecycle::{
    ids::ProfileName,
    lifetime::Limits,
    network::NetworkMode,
    request::CreateRequest,
    spec::{ObservedSpec, Resources},
    workspace::{Scope, WhenDeleted},
};
use serde::{Serialize, Serializer};
use serde_json::json;
use utoipa::ToSchema;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    errors::reply,
    openapi::{Endpoint, Tag, names::NetworkModeName},
    path, responses,
};

/// All profiles, in order of their names. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Profiles {
    all: Arc<[Profile]>,
    /// Returns whether two quantities of Kubernetes are the same amount.
    is_same_amount: fn(&str, &str) -> bool,
}

/// A profile, as callers see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Profile {
    /// Its name.
    #[schema(value_type = String)]
    pub name: ProfileName,
    /// The operator's description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The limits of the container `sandbox`.
    pub resources: Resources,
    /// The workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Workspace>,
    /// The limit of CPU until the sandbox is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_cpu: Option<String>,
    /// The time to live, if the request sets none.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "duration")]
    #[schema(value_type = Option<String>)]
    pub ttl: Option<Duration>,
    /// The idle timeout, if the request sets none.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "duration")]
    #[schema(value_type = Option<String>)]
    pub idle_timeout: Option<Duration>,
    /// The fields that a request may set, with their bounds.
    #[serde(skip_serializing_if = "Overrides::is_empty")]
    pub overrides: Overrides,
}

/// The fields that a request may set in place of a profile, with their bounds. An absent field cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Overrides {
    /// The bounds of the resources.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<&'static str, Bounds>,
    /// The patterns of the names of environment variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// The beginnings of the keys of labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// The patterns of images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Vec<String>>,
    /// The network modes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<NetworkModeName>>)]
    pub network: Option<Vec<NetworkMode>>,
    /// The bounds of the size of the workspace, by the name `size`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub workspace: BTreeMap<&'static str, Bounds>,
}

/// The least and the largest amount that a request may set, as Kubernetes writes them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Bounds {
    /// The minimum; without one, any amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// The maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
}

/// The workspace of a profile, as callers see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ProfileWorkspace)]
pub struct Workspace {
    /// Its size.
    pub size: String,
    /// Where the sandbox has it.
    pub mount_path: String,
    /// The sandboxes that share it.
    pub scope: Scope,
    /// Whether it is kept or deleted after the last sandbox, if the request does not say so.
    pub when_deleted: WhenDeleted,
    /// How long it is kept after its last use.
    #[serde(serialize_with = "short")]
    #[schema(value_type = String)]
    pub keep_for: Duration,
}

/// All profiles.
#[derive(Serialize, ToSchema)]
#[schema(as = ProfileList)]
struct List<'a> {
    /// The profiles, in order of their names.
    profiles: &'a [Profile],
    /// The profile of a request that names none, or null.
    #[schema(required, value_type = Option<String>)]
    default: Option<&'a ProfileName>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let example = json!({
        "profiles": [{
            "name": "default", "resources": {"cpu": "1", "memory": "1Gi"}, "ttl": "2h",
            "overrides": {"resources": {"cpu": {"min": "100m", "max": "4"}}},
        }],
        "default": "default",
    });
    vec![
        Endpoint::get(
            "/api/profiles",
            "listProfiles",
            Tag::Settings,
            "List the profiles that a create may name",
        )
        .ok::<List<'_>>("All profiles, in order of their names", example),
    ]
}

pub(super) fn route(profiles: Profiles) -> BoxedFilter<(Response,)> {
    path::profiles()
        .and(warp::get())
        .map(move || {
            let default = profiles.default_profile().map(|profile| &profile.name);
            reply(responses::ok(&List { profiles: &profiles.all, default }, 256))
        })
        .boxed()
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn duration<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(duration.unwrap_or_default()))
}

fn short<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

// === impl Profiles ===

impl Profiles {
    /// Creates the list. The function says whether two quantities of Kubernetes are the same amount.
    #[must_use]
    pub fn new(profiles: impl IntoIterator<Item = Profile>, is_same_amount: fn(&str, &str) -> bool) -> Self {
        Self { all: profiles.into_iter().collect(), is_same_amount }
    }

    fn default_profile(&self) -> Option<&Profile> {
        self.find(&ProfileName::default_profile())
    }

    fn find(&self, name: &ProfileName) -> Option<&Profile> {
        self.all.iter().find(|profile| profile.name == *name)
    }

    /// Returns the resources that a request sets and that the sandbox does not have.
    pub(super) fn not_applied(&self, wanted: Resources, spec: &ObservedSpec) -> Resources {
        let actual = &*spec.resources;
        // A sandbox that has more CPU for its start is to get this one afterwards.
        let cpu = spec.cpu_after_start.as_deref().map(str::to_owned).or_else(|| actual.cpu.clone());
        let differs = |wanted: Option<String>, actual: &Option<String>| {
            let is_same =
                |wanted: &str| actual.as_ref().is_some_and(|actual| (self.is_same_amount)(wanted, actual));
            wanted.filter(|wanted| !is_same(wanted))
        };
        Resources {
            cpu: differs(wanted.cpu, &cpu),
            memory: differs(wanted.memory, &actual.memory),
            ephemeral_storage: differs(wanted.ephemeral_storage, &actual.ephemeral_storage),
        }
    }

    /// Adds the profile `default` to a request that names none, and the limits of the profile to one that sets none. The
    /// cluster refuses an unknown profile.
    pub(crate) fn apply(&self, request: CreateRequest) -> CreateRequest {
        let profile = match &request.profile {
            Some(name) => self.find(name),
            None => self.default_profile(),
        };
        let Some(profile) = profile else { return request };
        let Limits { ttl, idle_timeout } = request.limits;
        CreateRequest {
            profile: Some(profile.name.clone()),
            limits: Limits { ttl: ttl.or(profile.ttl), idle_timeout: idle_timeout.or(profile.idle_timeout) },
            ..request
        }
    }
}

impl Default for Profiles {
    /// Returns no profiles.
    fn default() -> Self {
        Self::new([], |one, other| one == other)
    }
}

// === impl Overrides ===

impl Overrides {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::ids::SandboxId;

    use super::*;

    fn name(text: &str) -> Option<ProfileName> {
        ProfileName::parse(text)
    }

    fn profile(text: &str, ttl: Option<u64>) -> Profile {
        Profile {
            name: name(text).unwrap(),
            description: None,
            resources: Resources::default(),
            workspace: None,
            start_cpu: None,
            ttl: ttl.map(Duration::from_secs),
            idle_timeout: None,
            overrides: Overrides::default(),
        }
    }

    fn profiles(all: impl IntoIterator<Item = Profile>) -> Profiles {
        Profiles::new(all, |one, other| one.trim_end() == other)
    }

    /// Guards that a resource that the sandbox has, however it is written, counts as applied, and that one which the
    /// request does not set is not compared.
    #[test]
    fn only_other_resources_are_not_applied() {
        let resources = |cpu: Option<&str>, memory: Option<&str>| Resources {
            cpu: cpu.map(str::to_owned),
            memory: memory.map(str::to_owned),
            ephemeral_storage: None,
        };
        for (wanted, actual, differs) in [
            (resources(None, None), resources(Some("1"), Some("1Gi")), resources(None, None)),
            (resources(Some("1"), None), resources(Some("1"), Some("1Gi")), resources(None, None)),
            (resources(Some("1 "), None), resources(Some("1"), None), resources(None, None)),
            (
                resources(Some("2"), Some("1Gi")),
                resources(Some("1"), Some("1Gi")),
                resources(Some("2"), None),
            ),
            (resources(Some("2"), Some("1Gi")), resources(None, None), resources(Some("2"), Some("1Gi"))),
        ] {
            let spec = ObservedSpec { resources: Arc::new(actual), ..ObservedSpec::default() };
            assert_eq!(profiles([]).not_applied(wanted, &spec), differs);
        }
        let started = ObservedSpec {
            resources: Arc::new(resources(Some("4"), None)),
            cpu_after_start: Some("1".into()),
            ..ObservedSpec::default()
        };
        for (cpu, differs) in [(Some("1"), None), (Some("4"), Some("4"))] {
            assert_eq!(profiles([]).not_applied(resources(cpu, None), &started).cpu.as_deref(), differs);
        }
    }

    /// Guards which profile and which limits a request gets.
    #[test]
    fn a_request_gets_its_profile_and_its_limits() {
        let all =
            profiles([profile("default", Some(60)), profile("large", Some(120)), profile("plain", None)]);
        let some = profiles([profile("large", Some(120))]);
        for (profiles, asked, ttl, given, given_ttl) in [
            (&all, None, None, name("default"), Some(60)),
            (&all, None, Some(7), name("default"), Some(7)),
            (&all, name("large"), None, name("large"), Some(120)),
            (&all, name("large"), Some(7), name("large"), Some(7)),
            (&all, name("plain"), None, name("plain"), None),
            (&all, name("other"), None, name("other"), None),
            (&some, None, None, None, None),
            (&Profiles::default(), name("large"), None, name("large"), None),
        ] {
            let limits = Limits { ttl: ttl.map(Duration::from_secs), idle_timeout: None };
            let id = SandboxId::parse("a").unwrap();
            let request = profiles.apply(CreateRequest { profile: asked, limits, ..CreateRequest::new(id) });
            assert_eq!((request.profile, request.limits.ttl), (given, given_ttl.map(Duration::from_secs)));
        }
    }
}
