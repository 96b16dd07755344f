//! The lifetime annotations on a sandbox's Pod. All functions are pure.
//!
//! Operators may edit these annotations. An invalid value counts as absent.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lifecycle::{
    lifetime::{LIMIT_MAX, LIMIT_MIN, LifetimeAnnotations, LifetimePatch, Limits, LimitsPatch, Owner},
    request::CreateRequest,
};

use crate::names::{IDLE_TIMEOUT, LAST_ACTIVITY, OWNER, TTL, is_made_by_us};

/// The keys of the annotations that are read.
pub const KEYS: [&str; 4] = [TTL, IDLE_TIMEOUT, LAST_ACTIVITY, OWNER];

/// Returns each annotation that is changed with its new text, or `None` for one to remove.
#[must_use]
pub fn texts(patch: &LifetimePatch) -> BTreeMap<&'static str, Option<String>> {
    let LifetimePatch { limits: LimitsPatch { ttl, idle_timeout }, last_activity, owner } = patch;
    let words = |limit: Option<Duration>| limit.map(|limit| humantime::format_duration(limit).to_string());
    let changes = [
        ttl.map(|limit| (TTL, words(limit))),
        idle_timeout.map(|limit| (IDLE_TIMEOUT, words(limit))),
        Some((LAST_ACTIVITY, last_activity.map(|time| time.to_string()))),
        owner.as_ref().map(|owner| (OWNER, Some(owner.as_str().to_owned()))),
    ];
    changes.into_iter().flatten().collect()
}

/// Returns the annotations of a new Pod. Its last activity is its creation, whose time the cluster sets.
pub fn of_request(request: &CreateRequest) -> impl Iterator<Item = (String, String)> {
    let annotations =
        LifetimePatch { limits: request.limits.into(), last_activity: None, owner: request.owner.clone() };
    texts(&annotations).into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?)))
}

/// Reads the lifetime annotations of a Pod.
///
/// If this program created the Pod with an idle timeout and no activity is recorded, the last activity is the creation.
/// For any other Pod without the annotation, the last activity is unknown: DeerFlow's provisioner does not record it,
/// and this program records it only for a Pod with an idle timeout.
#[must_use]
pub fn read(metadata: &ObjectMeta) -> LifetimeAnnotations {
    let text = |key| metadata.annotations.as_ref()?.get(key).map(String::as_str);
    let limits = Limits { ttl: text(TTL).and_then(limit), idle_timeout: text(IDLE_TIMEOUT).and_then(limit) };
    let created = || {
        let kept = limits.idle_timeout.is_some() && metadata.labels.as_ref().is_some_and(is_made_by_us);
        metadata.creation_timestamp.as_ref().filter(|_| kept).map(|time| time.0)
    };
    LifetimeAnnotations {
        limits,
        last_activity: match text(LAST_ACTIVITY) {
            Some(written) => written.parse::<Timestamp>().ok(),
            None => created(),
        },
        owner: text(OWNER).and_then(Owner::parse),
    }
}

/// Parses a limit. A limit that is too short counts as absent; one that is too long is reduced to the maximum.
fn limit(text: &str) -> Option<Duration> {
    let limit = humantime::parse_duration(text).ok()?;
    (limit >= LIMIT_MIN).then_some(limit.min(LIMIT_MAX))
}

#[cfg(test)]
mod tests;
