//! Converts the claim of a workspace.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use lifecycle::{
    observed::ResourceVersion,
    workspace::{
        Scope, ScopeIds, Size, WhenDeleted, WorkspaceId,
        claim::{ClaimPhase, ObservedClaim},
    },
};

use super::uid;
use crate::{names, profile::Quantity, types::Claim};

/// Converts a claim. Returns `None` if it is not the claim of a workspace that this program created: its labels and its
/// name must agree.
#[must_use]
pub fn claim(claim: &Claim) -> Option<(WorkspaceId, ObservedClaim)> {
    let metadata = &claim.metadata;
    let labels = metadata.labels.as_ref()?;
    let id = names::workspace_of(labels).filter(|_| names::is_made_by_us(labels))?;
    if metadata.name.as_deref() != Some(names::claim(&id).as_str()) {
        return None;
    }
    let text = |key: &str| metadata.annotations.as_ref()?.get(key).map(String::as_str);
    let time = |key: &str| text(key)?.parse::<Timestamp>().ok();
    let shared = |key: &str| text(key).map(Arc::from);
    let scope = labels.get(names::WORKSPACE_SCOPE).and_then(|scope| Scope::parse(scope))?;
    let observed = ObservedClaim {
        uid: uid(metadata)?,
        version: ResourceVersion::parse(metadata.resource_version.as_deref()),
        ids: ScopeIds {
            scope,
            sandbox_id: shared(names::WORKSPACE_SANDBOX),
            thread_id: shared(names::THREAD_ID),
            user_id: shared(names::USER_ID),
        },
        phase: ClaimPhase::parse(claim.phase.as_deref()),
        terminating: metadata.deletion_timestamp.is_some(),
        size: size(claim.size.as_deref()).unwrap_or(Size { text: "0".into(), bytes: 0 }),
        capacity: size(claim.capacity.as_deref()),
        storage_class: claim.storage_class.as_deref().map(Arc::from),
        access_modes: claim.access_modes.iter().map(|mode| mode.as_str().into()).collect(),
        // Data is only deleted if that is certain to be wanted.
        when_deleted: text(names::WHEN_DELETED).and_then(WhenDeleted::parse).unwrap_or(WhenDeleted::Keep),
        keep_for: text(names::KEEP_FOR).and_then(keep_for),
        profile: names::profile_of(labels),
        created: metadata.creation_timestamp.as_ref().map(|time| time.0),
        last_used: time(names::LAST_USED),
        unused_since: time(names::UNUSED_SINCE),
    };
    Some((id, observed))
}

fn size(text: Option<&str>) -> Option<Size> {
    let text = text?;
    Some(Size { text: text.into(), bytes: Quantity::bytes_of(text)? })
}

fn keep_for(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

#[cfg(test)]
mod tests;
