//! Annotations read back from the cluster, which operators may write by hand.
//!
//! The first four lines are the annotations of the ttl, the idle timeout, the last activity and the owner. The fifth
//! is the creation time of the Pod. A missing line is a missing annotation.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kubernetes::{annotations, names, observe, types::Pod};
use lifecycle::{
    activity::Activity,
    lifetime::{Clocks, LIMIT_MAX, LIMIT_MIN, LifetimeAnnotations, LifetimePatch, OWNER_MAX, Policy},
    observed::ObservedPod,
};
use serde_json::{Map, Value, json};

/// Checks that any text is absent or a valid annotation, that a valid one is written as it is read, and that no text
/// makes a deadline come early or a clock overflow.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let keys = [names::TTL, names::IDLE_TIMEOUT, names::LAST_ACTIVITY, names::OWNER];
    let annotations: Map<String, Value> =
        keys.into_iter().zip(lines.by_ref()).map(|(key, line)| (key.to_owned(), line.into())).collect();
    let Ok(pod) = serde_json::from_value::<Pod>(json!({
        "metadata": {
            "name": "sandbox-a",
            "uid": "u",
            "annotations": annotations,
            "labels": {names::MANAGED_BY: names::MANAGED_BY_VALUE},
            "creationTimestamp": lines.next(),
        },
        "status": {"phase": "Running"},
    })) else {
        panic!("an annotation costs the whole Pod: {text:?}")
    };
    let seen = observe::pod(&pod).expect("it has a uid");
    is_valid(&seen.annotations);
    is_written_as_it_is_read(&seen.annotations);
    is_not_reaped_early(&seen);
}

fn is_valid(annotations: &LifetimeAnnotations) {
    for limit in [annotations.limits.ttl, annotations.limits.idle_timeout].into_iter().flatten() {
        assert!((LIMIT_MIN..=LIMIT_MAX).contains(&limit), "{limit:?}");
    }
    if let Some(owner) = &annotations.owner {
        let owner = owner.as_str();
        assert!(
            (1..=OWNER_MAX).contains(&owner.len()) && owner.bytes().all(|b| b.is_ascii_graphic()),
            "{owner:?}"
        );
    }
}

fn is_written_as_it_is_read(annotations: &LifetimeAnnotations) {
    let patch = LifetimePatch {
        limits: annotations.limits.into(),
        last_activity: annotations.last_activity,
        owner: annotations.owner.clone(),
    };
    let written = annotations::texts(&patch)
        .into_iter()
        .filter_map(|(key, text)| Some((key.to_owned(), text?)))
        .collect();
    let metadata = ObjectMeta { annotations: Some(written), ..ObjectMeta::default() };
    assert_eq!(&annotations::read(&metadata), annotations, "{metadata:?}");
}

fn is_not_reaped_early(pod: &ObservedPod) {
    let wall: Timestamp = "2026-11-21T04:20:13Z".parse().unwrap();
    let clocks = Clocks { monotonic: Instant::now() + Duration::from_secs(1 << 20), wall };
    let limits = pod.annotations.limits;
    let activity = Activity::adopt(pod, limits, clocks);
    assert!(
        activity.created_at <= clocks.monotonic && activity.last_activity <= clocks.monotonic,
        "nothing has happened in the future"
    );

    let policy = Policy::default();
    let deadline = activity.deadline(limits, &policy);
    assert_eq!(deadline.is_some(), limits.ttl.is_some() || limits.idle_timeout.is_some());
    let limits = [(pod.created, limits.ttl), (pod.annotations.last_activity, limits.idle_timeout)];
    let earliest = limits.into_iter().filter_map(|(since, limit)| {
        // The time by the wall clock until the limit, counted from that time. It is counted from now if that time
        // is unknown or in the future.
        let passed =
            since.map_or(Duration::ZERO, |since| wall.duration_since(since).try_into().unwrap_or_default());
        Some(i128::try_from(limit?.as_nanos()).ok()? - i128::try_from(passed.as_nanos()).ok()?)
    });
    if let (Some(deadline), Some(earliest)) = (deadline, earliest.min()) {
        let nanos = |time: Duration| i128::try_from(time.as_nanos()).unwrap();
        let left = nanos(deadline.at.saturating_duration_since(clocks.monotonic))
            - nanos(clocks.monotonic.saturating_duration_since(deadline.at));
        assert!(left >= earliest, "{deadline:?} comes {} ns too early", earliest - left);
    }
}
