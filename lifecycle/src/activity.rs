//! The activity of a sandbox, and the time at which its first limit is reached.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::{
    lifetime::{Clocks, LIMIT_MAX, Limits, Policy, ReapReason, WRITE_STEP},
    observed::ObservedPod,
    phase::Phase,
    pull::PullTime,
};

/// Kubernetes truncates times to whole seconds.
const TRUNCATED: Duration = Duration::from_secs(1);

/// The time at which a limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The time, on the monotonic clock.
    pub at: Instant,
    /// The limit that is reached then.
    pub reason: ReapReason,
}

/// The activity of one Pod, as known to this process since it first observed the Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The creation time of the Pod.
    pub created_at: Instant,
    /// The creation time of the sandbox: that of its first Pod, if it has moved since. The time to live counts from then.
    first_created_at: Instant,
    /// The time of the last activity.
    pub last_activity: Instant,
    /// The wall-clock time of the last activity, for responses.
    pub last_activity_wall: Timestamp,
    /// The last activity that is known to be in the Pod's annotation.
    pub written: Option<Instant>,
    /// Since when the Pod has not been ready, as far as this process knows; `None` after it was ready once.
    unready_since: Option<Instant>,
    /// How long the pulls of its images take, as last known.
    pull: Option<PullTime>,
    /// The phase, and since when the Pod has been in it.
    phase_since: (Phase, Instant),
}

// === impl Activity ===

impl Activity {
    /// Returns the activity of a Pod that this process did not create, from the Pod's annotations.
    ///
    /// There may have been later activity that was not written, within the idle timeout divided by [`WRITE_STEP`]. The
    /// latest possible time is assumed. A time in the future comes from another clock and counts as now.
    #[must_use]
    pub fn adopt(pod: &ObservedPod, limits: Limits, clocks: Clocks) -> Self {
        let created_at = pod
            .created
            .map_or(clocks.monotonic, |created| clocks.instant(created) + TRUNCATED)
            .min(clocks.monotonic);
        let written =
            pod.annotations.last_activity.map(|written| clocks.instant(written).min(clocks.monotonic));
        let slack = limits.idle_timeout.unwrap_or_default() / WRITE_STEP;
        // Without an activity annotation the last use is unknown. Assume that it was now.
        let last_activity =
            written.map_or(clocks.monotonic, |written| (written + TRUNCATED + slack).min(clocks.monotonic));
        Self {
            created_at,
            first_created_at: first_created_at(pod, created_at, clocks),
            last_activity,
            last_activity_wall: clocks.wall_at(last_activity),
            written,
            unready_since: (!pod.ready).then_some(if pod.phase == Phase::Pending {
                created_at
            } else {
                clocks.monotonic
            }),
            pull: None,
            phase_since: (pod.phase, clocks.monotonic),
        }
    }

    /// Returns the activity of a Pod that was just created for a caller.
    #[must_use]
    pub fn of_new_pod(pod: &ObservedPod, clocks: Clocks) -> Self {
        Self {
            created_at: clocks.monotonic,
            first_created_at: first_created_at(pod, clocks.monotonic, clocks),
            last_activity: clocks.monotonic,
            last_activity_wall: clocks.wall,
            written: pod
                .annotations
                .last_activity
                .map(|written| clocks.instant(written).min(clocks.monotonic)),
            unready_since: Some(clocks.monotonic),
            pull: None,
            phase_since: (pod.phase, clocks.monotonic),
        }
    }

    /// Updates the readiness and the phase from the observed Pod.
    pub fn see(&mut self, pod: &ObservedPod, now: Instant) {
        if pod.ready {
            self.unready_since = None;
        }
        if self.phase_since.0 != pod.phase {
            self.phase_since = (pod.phase, now);
        }
    }

    /// Updates how long the pulls of the Pod's images take. Unknown times change nothing: the view drops the Events of a
    /// Pod that was ready for a moment.
    pub fn see_pull(&mut self, pull: Option<PullTime>) {
        self.pull = pull.or(self.pull);
    }

    /// Returns the time in which the Pod must become ready, with that of the pulls.
    fn start_limit(&self, policy: &Policy) -> Option<Duration> {
        // The time of a Pod that ran when it was adopted starts after its pulls.
        let counted = self.pull.filter(|_| self.unready_since == Some(self.created_at));
        let pull = counted.map_or(Duration::ZERO, |pull| pull.within(policy.pull_allowance));
        Some(policy.start_timeout?.saturating_add(pull))
    }

    /// Records activity.
    pub fn touch(&mut self, clocks: Clocks) {
        self.last_activity = self.last_activity.max(clocks.monotonic);
        self.last_activity_wall = clocks.wall;
    }

    /// Returns whether the last activity must be written, so that a restart does not reap early.
    #[must_use]
    pub fn wants_writing(&self, limits: Limits) -> bool {
        let Some(idle) = limits.idle_timeout else { return false };
        self.written
            .is_none_or(|written| self.last_activity.saturating_duration_since(written) >= idle / WRITE_STEP)
    }

    /// Returns the earliest limit that is or will be reached without further activity.
    #[must_use]
    pub fn deadline(&self, limits: Limits, policy: &Policy) -> Option<Deadline> {
        self.deadlines(limits, policy).min_by_key(|deadline| deadline.at)
    }

    /// Returns the limit that has been reached. A limit that activity cannot extend comes before the idle timeout,
    /// which first needs an activity probe.
    #[must_use]
    pub fn reached(&self, limits: Limits, policy: &Policy, now: Instant) -> Option<ReapReason> {
        self.deadlines(limits, policy)
            .filter(|deadline| deadline.at <= now)
            .min_by_key(|deadline| (deadline.reason == ReapReason::Idle, deadline.at))
            .map(|deadline| deadline.reason)
    }

    /// Returns the time of the next limit that has not been reached.
    #[must_use]
    pub fn ahead(&self, limits: Limits, policy: &Policy, now: Instant) -> Option<Instant> {
        self.deadlines(limits, policy).map(|deadline| deadline.at).filter(|at| *at > now).min()
    }

    fn deadlines(&self, limits: Limits, policy: &Policy) -> impl Iterator<Item = Deadline> {
        let (phase, since) = self.phase_since;
        let ended = matches!(phase, Phase::Succeeded | Phase::Failed);
        let lost = phase == Phase::Unknown;
        [
            (ReapReason::Ttl, Some(self.first_created_at), limits.ttl),
            (ReapReason::Idle, Some(self.last_activity), limits.idle_timeout),
            (
                ReapReason::NeverReady,
                self.unready_since.filter(|_| !ended && !lost),
                self.start_limit(policy),
            ),
            (ReapReason::Finished, ended.then_some(since), policy.finished_timeout),
            (ReapReason::NodeLost, lost.then_some(since), policy.lost_timeout),
        ]
        .into_iter()
        .filter_map(|(reason, since, limit)| Some(Deadline { at: since? + limit?.min(LIMIT_MAX), reason }))
    }
}

/// Returns the creation time of the sandbox of a Pod that was created at this time.
fn first_created_at(pod: &ObservedPod, created_at: Instant, clocks: Clocks) -> Instant {
    let first = pod.spec.origin.first_created;
    first.map_or(created_at, |first| (clocks.instant(first) + TRUNCATED).min(created_at))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::SignedDuration;

    use super::*;
    use crate::{
        lifetime::LifetimeAnnotations,
        observed::{PodTimes, ResourceVersion, Uid},
        spec::{ObservedSpec, Origin},
    };

    /// Guards that the time to live of a sandbox that has moved counts from its first creation, whether or not this process
    /// made the Pod, and that a time after that of the Pod, from another clock, does not count.
    #[test]
    fn the_time_to_live_counts_from_the_first_creation() {
        let wall = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(400_000);
        let clocks = Clocks { monotonic: Instant::now() + Duration::from_secs(100_000), wall };
        let minutes = |count: i64| SignedDuration::from_mins(count);
        let pod = |first: Option<Timestamp>| ObservedPod {
            uid: Uid("u".into()),
            version: ResourceVersion(1),
            phase: Phase::Running,
            ready: true,
            terminating: false,
            reason: None,
            created: Some(wall - minutes(1)),
            times: PodTimes::default(),
            spec: ObservedSpec {
                origin: Arc::new(Origin { first_created: first, ..Origin::default() }),
                ..ObservedSpec::default()
            },
            annotations: LifetimeAnnotations::default(),
        };
        let limits = Limits { ttl: Some(Duration::from_secs(3600)), idle_timeout: None };
        for (first, adopted, made) in [
            (None, 59 * 60 + 1, 3600),
            (Some(-30), 30 * 60 + 1, 30 * 60 + 1),
            (Some(-90), -30 * 60 + 1, -30 * 60 + 1),
            (Some(5), 59 * 60 + 1, 3600),
        ] {
            let pod = pod(first.map(|first| wall + minutes(first)));
            for (activity, wanted) in
                [(Activity::adopt(&pod, limits, clocks), adopted), (Activity::of_new_pod(&pod, clocks), made)]
            {
                let deadline = activity.deadline(limits, &Policy::default()).unwrap();
                assert_eq!(
                    clocks.wall_at(deadline.at),
                    wall + SignedDuration::from_secs(wanted),
                    "{first:?}"
                );
            }
        }
    }
}
