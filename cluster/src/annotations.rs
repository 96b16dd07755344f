//! What is kept of a sandbox's life, as annotations on its Pod. Pure, both ways.
//!
//! People may write these by hand: what cannot be read is as if it were absent.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lifecycle::{
    lifetime::{LIMIT_MAX, LIMIT_MIN, LifetimeAnnotations, Limits, Owner},
    request::CreateRequest,
};

use crate::names::{IDLE_TIMEOUT, LAST_ACTIVITY, OWNER, TTL, is_made_by_us};

/// The annotations that are read.
pub const KEYS: [&str; 4] = [TTL, IDLE_TIMEOUT, LAST_ACTIVITY, OWNER];

/// Each annotation with its text; `None` for one that is not to be there.
#[must_use]
pub fn texts(annotations: &LifetimeAnnotations) -> [(&'static str, Option<String>); 4] {
    let LifetimeAnnotations { limits: Limits { ttl, idle_timeout }, last_activity, owner } = annotations;
    let words = |limit: &Option<Duration>| limit.map(|limit| humantime::format_duration(limit).to_string());
    [
        (TTL, words(ttl)),
        (IDLE_TIMEOUT, words(idle_timeout)),
        (LAST_ACTIVITY, last_activity.map(|time| time.to_string())),
        (OWNER, owner.as_ref().map(|owner| owner.as_str().to_owned())),
    ]
}

/// The annotations that a new Pod carries. Its last sign of life is its creation, which the cluster dates.
pub fn of_request(request: &CreateRequest) -> impl Iterator<Item = (String, String)> {
    let annotations =
        LifetimeAnnotations { limits: request.limits, last_activity: None, owner: request.owner.clone() };
    texts(&annotations).into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?)))
}

/// What is written on a Pod about its life.
///
/// A Pod of ours that was made with an idle timeout has shown no sign of life since its creation if none is written.
/// Of any other nobody kept when it was used last: the original does not, and without an idle timeout neither do we.
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

/// A limit in words. One that is too short to be meant is none; one that is too long is the longest.
fn limit(text: &str) -> Option<Duration> {
    let limit = humantime::parse_duration(text).ok()?;
    (limit >= LIMIT_MIN).then_some(limit.min(LIMIT_MAX))
}

#[cfg(test)]
mod tests;
