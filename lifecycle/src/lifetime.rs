//! How long a sandbox may live: its terms, its signs of life, and when the first of its limits is reached.
//!
//! Deadlines are kept on the clock that only goes forward, so that a step of the wall clock moves none of
//! them. Wall time comes in only where a process learns of a sandbox that it has not made itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use crate::{observed::ObservedPod, phase::Phase};

/// The shortest limit that makes sense: shorter ones would end before a Pod has started.
pub const LIMIT_MIN: Duration = Duration::from_secs(1);

/// The longest limit that is kept, a year; clocks cannot overflow by it.
pub const LIMIT_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A sign of life is written to the cluster when it moves the idle deadline by this part of the idle timeout.
/// What a restart finds may be older by so much, and is taken to be newer by so much: never early.
pub const WRITE_STEP: u32 = 10;

/// Longest name of an owner, in bytes.
pub const OWNER_MAX: usize = 128;

/// A sandbox's limits. Absent ones do not limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// How long it lives from its creation, whatever happens.
    pub ttl: Option<Duration>,
    /// How long it lives since its last sign of life.
    pub idle_timeout: Option<Duration>,
}

/// A change of terms: an absent field leaves a limit as it is, `Some(None)` takes it back to the settings'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitsPatch {
    /// Of [`Limits::ttl`].
    pub ttl: Option<Option<Duration>>,
    /// Of [`Limits::idle_timeout`].
    pub idle_timeout: Option<Option<Duration>>,
}

/// Who uses a sandbox, by its own word: 1 to [`OWNER_MAX`] visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(Arc<str>);

/// What is kept of a sandbox's life on its Pod, so that it outlives this process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LifetimeAnnotations {
    /// The limits that were asked for; where one is absent, the settings' own holds.
    pub limits: Limits,
    /// The last sign of life that was written. It is written while an idle timeout holds, and taken away by the
    /// first that comes while none does: it is there only if none of moment is missing.
    pub last_activity: Option<Timestamp>,
    /// Who used it last and gave a name.
    pub owner: Option<Owner>,
}

/// The settings about lifetimes. By default nothing is ever reaped but a half of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The limits of sandboxes that name none.
    pub default: Limits,
    /// The longest limits that a caller may ask for. Where one is set, no sandbox is without that limit.
    pub max: Limits,
    /// Whether a GET of a sandbox is a sign of life.
    pub get_counts: bool,
    /// How long a sandbox may take to become ready.
    pub start_timeout: Option<Duration>,
    /// How long a Pod that has ended (`Succeeded`, `Failed`) stays.
    pub finished_timeout: Option<Duration>,
    /// How long a Pod whose node is lost (`Unknown`) stays.
    pub lost_timeout: Option<Duration>,
    /// For how long after its last sign of life a sandbox is safe from other owners' DELETE.
    pub owner_lease: Duration,
    /// For how long a sandbox whose probes cannot be answered counts as busy.
    pub probe_patience: Duration,
    /// How long to wait before a sandbox that could not be asked is asked again.
    pub probe_interval: Duration,
}

/// Why a sandbox is reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReapReason {
    /// Its `ttl` has passed.
    Ttl,
    /// Its `idle_timeout` has passed without a sign of life.
    Idle,
    /// It did not become ready in time.
    NeverReady,
    /// Its Pod has ended.
    Finished,
    /// Its node is lost.
    NodeLost,
}

/// When a limit is reached, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// When.
    pub at: Instant,
    /// Which.
    pub cause: ReapReason,
}

/// Both clocks, read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The clock that only goes forward.
    pub monotonic: Instant,
    /// The wall's, which may be stepped.
    pub wall: Timestamp,
}

/// What a process knows of the life of one Pod. Made when it first sees the Pod, and kept by it since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// When the Pod was made.
    pub created_at: Instant,
    /// The last sign of life.
    pub last_activity: Instant,
    /// As `active`, for people.
    pub last_activity_wall: Timestamp,
    /// The last sign of life that is known to be written.
    pub written: Option<Instant>,
    /// Since when it could have become ready, in this process' sight; `None` once it was.
    unready_since: Option<Instant>,
    /// Since when its phase has been what it is.
    phase_since: (Phase, Instant),
}

// === impl Owner ===

impl Owner {
    /// Reads an owner's name as a caller wrote it; `None` when it is not usable.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let usable = (1..=OWNER_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        usable.then(|| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl Limits ===

impl Limits {
    /// These limits, with the change made.
    #[must_use]
    pub fn changed(self, change: LimitsPatch) -> Self {
        Self {
            ttl: change.ttl.unwrap_or(self.ttl),
            idle_timeout: change.idle_timeout.unwrap_or(self.idle_timeout),
        }
    }
}

// === impl Policy ===

impl Default for Policy {
    fn default() -> Self {
        Self {
            default: Limits::default(),
            max: Limits::default(),
            get_counts: false,
            start_timeout: None,
            finished_timeout: None,
            lost_timeout: None,
            owner_lease: Duration::from_secs(300),
            probe_patience: Duration::from_secs(600),
            probe_interval: Duration::from_secs(60),
        }
    }
}

impl Policy {
    /// The limits that hold for a sandbox which asked for these.
    #[must_use]
    pub fn limits(&self, asked: Limits) -> Limits {
        let limit = |asked: Option<Duration>, default: Option<Duration>, max: Option<Duration>| match (
            asked.or(default),
            max,
        ) {
            (Some(limit), Some(max)) => Some(limit.min(max)),
            (limit, max) => limit.or(max),
        };
        Limits {
            ttl: limit(asked.ttl, self.default.ttl, self.max.ttl),
            idle_timeout: limit(asked.idle_timeout, self.default.idle_timeout, self.max.idle_timeout),
        }
    }

    /// Whether a caller may ask for these limits.
    ///
    /// # Errors
    /// The sentence for the caller.
    pub fn allows(&self, asked: Limits) -> Result<(), String> {
        let pairs =
            [("ttl", asked.ttl, self.max.ttl), ("idle_timeout", asked.idle_timeout, self.max.idle_timeout)];
        for (name, asked, max) in pairs {
            if let (Some(asked), Some(max)) = (asked, max)
                && asked > max
            {
                return Err(format!(
                    "{name} is {} s, and may be at most {} s here",
                    asked.as_secs(),
                    max.as_secs()
                ));
            }
        }
        Ok(())
    }
}

// === impl ReapReason ===

impl ReapReason {
    /// A stable name, as Kubernetes' own reasons are written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ttl => "TTLExpired",
            Self::Idle => "IdleTimeout",
            Self::NeverReady => "StartTimeout",
            Self::Finished => "Finished",
            Self::NodeLost => "NodeLost",
        }
    }

    /// The cause in a sentence.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Ttl => "the sandbox has reached the end of its time to live",
            Self::Idle => "the sandbox has shown no sign of life for its idle timeout",
            Self::NeverReady => "the sandbox did not become ready in time",
            Self::Finished => "the sandbox's Pod has ended",
            Self::NodeLost => "the node of the sandbox's Pod is lost",
        }
    }
}

// === impl Clocks ===

impl Clocks {
    /// What the forward clock showed, or will show, at this wall time, if the wall's has not been stepped in
    /// between. A time that the forward clock cannot show counts as now.
    fn instant(self, wall: Timestamp) -> Instant {
        let ago = self.wall.duration_since(wall);
        let there = if ago.is_negative() {
            self.monotonic.checked_add(ago.unsigned_abs())
        } else {
            self.monotonic.checked_sub(ago.unsigned_abs())
        };
        there.unwrap_or(self.monotonic)
    }

    /// What the wall's clock will show, or showed, then.
    #[must_use]
    pub fn wall_at(self, then: Instant) -> Timestamp {
        let ahead = then.saturating_duration_since(self.monotonic);
        let behind = self.monotonic.saturating_duration_since(then);
        let signed = |d: Duration| SignedDuration::try_from(d).unwrap_or(SignedDuration::ZERO);
        self.wall.saturating_add(signed(ahead) - signed(behind)).unwrap_or(self.wall)
    }
}

// === impl Activity ===

impl Activity {
    /// What is known of a Pod that is seen for the first time, with what is written on it.
    ///
    /// A sign of life may have come after the one that is written, by less than a [`WRITE_STEP`] of the idle
    /// timeout: it is taken to have come as late as it can have. What lies in the future was written by another
    /// clock: it counts as now.
    #[must_use]
    pub fn adopt(pod: &ObservedPod, limits: Limits, clocks: Clocks) -> Self {
        // Kubernetes cuts the second off.
        let second = Duration::from_secs(1);
        let created_at = pod
            .created
            .map_or(clocks.monotonic, |created| clocks.instant(created) + second)
            .min(clocks.monotonic);
        let written =
            pod.annotations.last_activity.map(|written| clocks.instant(written).min(clocks.monotonic));
        let slack = limits.idle_timeout.unwrap_or_default() / WRITE_STEP;
        // Of what nobody wrote on nobody kept when it was used: that may have been just now.
        let last_activity =
            written.map_or(clocks.monotonic, |written| (written + second + slack).min(clocks.monotonic));
        Self {
            created_at,
            last_activity,
            last_activity_wall: clocks.wall_at(last_activity),
            written,
            unready_since: (!pod.ready).then_some(if pod.phase == Phase::Pending {
                created_at
            } else {
                clocks.monotonic
            }),
            phase_since: (pod.phase, clocks.monotonic),
        }
    }

    /// What is known of a Pod that was made just now, for somebody who uses it.
    #[must_use]
    pub fn of_new_pod(pod: &ObservedPod, clocks: Clocks) -> Self {
        Self {
            created_at: clocks.monotonic,
            last_activity: clocks.monotonic,
            last_activity_wall: clocks.wall,
            written: pod
                .annotations
                .last_activity
                .map(|written| clocks.instant(written).min(clocks.monotonic)),
            unready_since: Some(clocks.monotonic),
            phase_since: (pod.phase, clocks.monotonic),
        }
    }

    /// Takes in how the Pod looks now.
    pub fn see(&mut self, pod: &ObservedPod, now: Instant) {
        if pod.ready {
            self.unready_since = None;
        }
        if self.phase_since.0 != pod.phase {
            self.phase_since = (pod.phase, now);
        }
    }

    /// Notes a sign of life.
    pub fn touch(&mut self, clocks: Clocks) {
        self.last_activity = self.last_activity.max(clocks.monotonic);
        self.last_activity_wall = clocks.wall;
    }

    /// Whether the last sign of life has to be written, so that a restart does not reap early.
    #[must_use]
    pub fn wants_writing(&self, limits: Limits) -> bool {
        let Some(idle) = limits.idle_timeout else { return false };
        self.written
            .is_none_or(|written| self.last_activity.saturating_duration_since(written) >= idle / WRITE_STEP)
    }

    /// The first limit that will be reached, or was, if nothing happens until then.
    #[must_use]
    pub fn deadline(&self, limits: Limits, policy: &Policy) -> Option<Deadline> {
        self.deadlines(limits, policy).min_by_key(|deadline| deadline.at)
    }

    /// The limit that is reached by now. One that nothing can put off goes before the idle timeout, about which
    /// the sandbox itself is asked.
    #[must_use]
    pub fn reached(&self, limits: Limits, policy: &Policy, now: Instant) -> Option<ReapReason> {
        self.deadlines(limits, policy)
            .filter(|deadline| deadline.at <= now)
            .min_by_key(|deadline| (deadline.cause == ReapReason::Idle, deadline.at))
            .map(|deadline| deadline.cause)
    }

    /// The next limit that is still ahead.
    #[must_use]
    pub fn ahead(&self, limits: Limits, policy: &Policy, now: Instant) -> Option<Instant> {
        self.deadlines(limits, policy).map(|deadline| deadline.at).filter(|at| *at > now).min()
    }

    fn deadlines(&self, limits: Limits, policy: &Policy) -> impl Iterator<Item = Deadline> {
        let (phase, since) = self.phase_since;
        let ended = matches!(phase, Phase::Succeeded | Phase::Failed);
        let lost = phase == Phase::Unknown;
        [
            (ReapReason::Ttl, Some(self.created_at), limits.ttl),
            (ReapReason::Idle, Some(self.last_activity), limits.idle_timeout),
            (ReapReason::NeverReady, self.unready_since.filter(|_| !ended && !lost), policy.start_timeout),
            (ReapReason::Finished, ended.then_some(since), policy.finished_timeout),
            (ReapReason::NodeLost, lost.then_some(since), policy.lost_timeout),
        ]
        .into_iter()
        .filter_map(|(cause, since, limit)| Some(Deadline { at: since? + limit?.min(LIMIT_MAX), cause }))
    }
}
