//! The control endpoint for the server: faults, availability, snapshots, watches, the call record, the clock.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ControlError, ControlRequest, created, done, done_if, found};
use crate::calls::CallMark;
use crate::cluster::Cluster;
use crate::duration;
use crate::faults::{Rule, RuleId};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    away: bool,
    #[serde(default, rename = "for")]
    time: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Restore {
    #[serde(default)]
    keep_counting: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Watches {
    stalled: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    step: String,
}

pub(super) fn overview(cluster: &Cluster) -> Value {
    json!({
        "away": cluster.is_away(), "version": cluster.version(), "now": cluster.now(), "faults": cluster.faults(),
        "snapshots": snapshots(cluster), "calls": cluster.mark().0, "refused": cluster.refused(),
        "node": super::node::state(cluster),
    })
}

pub(super) fn add_fault(request: &ControlRequest<'_>) -> Answer {
    let rule: Rule = request.read()?;
    rule.check().map_err(|error| ControlError::Invalid(error.to_string()))?;
    created(json!({"id": request.cluster.fault(rule)}))
}

pub(super) fn remove_fault(request: &ControlRequest<'_>, id: &str) -> Answer {
    let is_gone = id.parse().is_ok_and(|id| request.cluster.remove_fault(RuleId(id)));
    done_if(is_gone, "fault", id)
}

pub(super) fn set_away(request: &ControlRequest<'_>) -> Answer {
    let cluster = request.cluster;
    match request.read()? {
        Server { away: true, time: Some(text) } => {
            let wrong = || ControlError::Invalid(format!("{text:?} is not a duration such as 30s"));
            let time = duration::parse(&text).ok_or_else(wrong)?;
            done(|| cluster.away_for(time))
        }
        Server { away: false, time: Some(_) } => {
            Err(ControlError::Invalid("\"for\" goes with \"away\": true alone".to_owned()))
        }
        Server { away, time: None } => done(|| cluster.set_away(away)),
    }
}

/// Returns the ids of the snapshots.
pub(super) fn snapshots(cluster: &Cluster) -> Vec<u64> {
    cluster.shared().snapshots.lock().keys().copied().collect()
}

/// Takes a snapshot and returns its id.
pub(super) fn take_snapshot(cluster: &Cluster) -> u64 {
    let snapshot = cluster.snapshot();
    let mut kept = cluster.shared().snapshots.lock();
    let id = kept.keys().next_back().map_or(0, |last| last + 1);
    kept.insert(id, snapshot);
    id
}

pub(super) fn delete_snapshot(request: &ControlRequest<'_>, id: &str) -> Answer {
    let mut snapshots = request.cluster.shared().snapshots.lock();
    let gone = id.parse().ok().and_then(|id: u64| snapshots.remove(&id));
    done_if(gone.is_some(), "snapshot", id)
}

pub(super) fn restore(request: &ControlRequest<'_>, id: &str) -> Answer {
    let kept =
        id.parse().ok().and_then(|id: u64| request.cluster.shared().snapshots.lock().get(&id).cloned());
    let Some(snapshot) = kept else { return done_if(false, "snapshot", id) };
    let how = if request.body.is_empty() { Restore { keep_counting: false } } else { request.read()? };
    done(|| request.cluster.restore(&snapshot, how.keep_counting))
}

pub(super) fn stall_watches(request: &ControlRequest<'_>) -> Answer {
    let Watches { stalled } = request.read()?;
    done(|| request.cluster.stall_watches(stalled))
}

pub(super) fn calls(request: &ControlRequest<'_>) -> Answer {
    let cluster = request.cluster;
    let since = match request.query.get("since") {
        None => 0,
        Some(text) => text.parse().map_err(|_| {
            ControlError::Invalid(format!("since must be the number of a call, not {text:?}"))
        })?,
    };
    // Read before the calls, so that no call is left out.
    let next = cluster.mark().0;
    let calls = cluster.calls_since(CallMark(since));
    found(json!({"next": next, "calls": calls, "refused": cluster.refused()}))
}

pub(super) fn step_clock(request: &ControlRequest<'_>) -> Answer {
    let Step { step } = request.read()?;
    let by: SignedDuration = step
        .parse()
        .map_err(|_| ControlError::Invalid(format!("{step:?} is not a duration such as 1h or -90s")))?;
    request.cluster.step_clock(by);
    found(json!({"now": request.cluster.now()}))
}
