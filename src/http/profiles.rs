//! `GET /api/profiles`: the profiles that a create may name; and what a profile adds to a create.

use std::{sync::Arc, time::Duration};

use lifecycle::{ids::ProfileName, lifetime::Limits, request::CreateRequest, spec::Resources};
use serde::{Serialize, Serializer};
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{errors::reply, path, responses};

/// All profiles, in order of their names. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Profiles(Arc<[Profile]>);

/// A profile, as callers see it.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// The operator's description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The limits of the container `sandbox`.
    pub resources: Resources,
    /// The time to live, if the request sets none.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "duration")]
    pub ttl: Option<Duration>,
    /// The idle timeout, if the request sets none.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "duration")]
    pub idle_timeout: Option<Duration>,
}

#[derive(Serialize)]
struct List<'a> {
    profiles: &'a [Profile],
    /// The profile of a request that names none.
    default: Option<&'a ProfileName>,
}

pub(super) fn route(profiles: Profiles) -> BoxedFilter<(Response,)> {
    path::profiles()
        .and(warp::get())
        .map(move || {
            let default = profiles.default_profile().map(|profile| &profile.name);
            reply(responses::ok(&List { profiles: &profiles.0, default }, 256))
        })
        .boxed()
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn duration<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(duration.unwrap_or_default()))
}

// === impl Profiles ===

impl Profiles {
    /// Creates the list.
    #[must_use]
    pub fn new(profiles: impl IntoIterator<Item = Profile>) -> Self {
        Self(profiles.into_iter().collect())
    }

    fn default_profile(&self) -> Option<&Profile> {
        self.find(&ProfileName::default_profile())
    }

    fn find(&self, name: &ProfileName) -> Option<&Profile> {
        self.0.iter().find(|profile| profile.name == *name)
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
            ttl: ttl.map(Duration::from_secs),
            idle_timeout: None,
        }
    }

    /// Guards which profile and which limits a request gets.
    #[test]
    fn a_request_gets_its_profile_and_its_limits() {
        let all = Profiles::new([
            profile("default", Some(60)),
            profile("large", Some(120)),
            profile("plain", None),
        ]);
        let some = Profiles::new([profile("large", Some(120))]);
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
