//! The settings and annotations of a sandbox's lifetime: its limits, its owner, and the reasons for a reap.
//!
//! Deadlines use the monotonic clock, so a step of the wall clock does not move them. Wall-clock time is used only
//! for sandboxes that this process did not create itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use crate::named;

/// The shortest limit. A shorter one would end before a Pod has started.
pub const LIMIT_MIN: Duration = Duration::from_secs(1);

/// The longest limit: a year. Clocks cannot overflow with it.
pub const LIMIT_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The divisor of the idle timeout that gives the write interval: activity is written when it is later than the
/// annotation by at least this interval. After a restart the last activity is assumed to be later than the annotation
/// by this interval, so no sandbox is reaped early.
pub const WRITE_STEP: u32 = 10;

/// The longest owner name, in bytes.
pub const OWNER_MAX: usize = 128;

/// The limits of a sandbox. An absent limit does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// The time to live since the creation.
    pub ttl: Option<Duration>,
    /// The time to live since the last activity.
    pub idle_timeout: Option<Duration>,
}

/// A change of the limits. An absent field keeps a limit, and `Some(None)` resets it to the default of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitsPatch {
    /// The change of [`Limits::ttl`].
    pub ttl: Option<Option<Duration>>,
    /// The change of [`Limits::idle_timeout`].
    pub idle_timeout: Option<Option<Duration>>,
}

/// The name that a client gives itself with `X-Owner`: 1 to [`OWNER_MAX`] visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(Arc<str>);

/// The annotations of a Pod that keep its lifetime state across restarts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LifetimeAnnotations {
    /// The requested limits. The defaults of the settings apply to absent ones.
    pub limits: Limits,
    /// The last activity that was written. It is written only while there is an idle timeout, and removed by the
    /// first activity without one. If the annotation exists, it is therefore not outdated.
    pub last_activity: Option<Timestamp>,
    /// The last owner that used the sandbox.
    pub owner: Option<Owner>,
}

/// A change of the lifetime annotations of a Pod. All others stay as the Pod has them, which may differ from the view: operators
/// edit annotations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LifetimePatch {
    /// The change of the limits.
    pub limits: LimitsPatch,
    /// The last activity; `None` removes the annotation.
    pub last_activity: Option<Timestamp>,
    /// The new owner.
    pub owner: Option<Owner>,
}

/// The lifetime settings. By default only orphans are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The default limits.
    pub default: Limits,
    /// The maximum limits that a request may ask for. They also apply to sandboxes without limits of their own.
    pub max: Limits,
    /// Whether a GET of a sandbox counts as activity.
    pub get_counts: bool,
    /// The time in which a sandbox must become ready, apart from the pull of its images.
    pub start_timeout: Option<Duration>,
    /// The longest time for the pull of its images that a sandbox gets in addition to `start_timeout`.
    pub pull_allowance: Duration,
    /// How long a Pod is kept after it has ended (`Succeeded`, `Failed`).
    pub finished_timeout: Option<Duration>,
    /// How long a Pod is kept after its node was lost (`Unknown`).
    pub lost_timeout: Option<Duration>,
    /// How long after its last activity a sandbox is protected from the DELETE of another owner.
    pub owner_lease: Duration,
    /// How long a sandbox counts as busy while its activity probes are not answered.
    pub probe_patience: Duration,
    /// The delay between a failed activity probe and the next one.
    pub probe_interval: Duration,
}

named! {
    /// The reason for a reap.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum ReapReason {
        /// Its `ttl` has passed.
        Ttl = "TTLExpired",
        /// Its `idle_timeout` has passed without activity.
        Idle = "IdleTimeout",
        /// It did not become ready in time.
        NeverReady = "StartTimeout",
        /// Its Pod has ended.
        Finished = "Finished",
        /// Its node is lost.
        NodeLost = "NodeLost",
    }
}

/// The monotonic clock and the wall clock, read at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The time of the monotonic clock.
    pub monotonic: Instant,
    /// The time of the wall clock, which may be stepped.
    pub wall: Timestamp,
}

// === impl Owner ===

impl Owner {
    /// Parses an owner name from a request; returns `None` if it is not valid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let usable = (1..=OWNER_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        usable.then(|| Self(text.into()))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl Limits ===

impl Limits {
    /// Returns these limits with the change applied.
    #[must_use]
    pub fn changed(self, change: LimitsPatch) -> Self {
        Self {
            ttl: change.ttl.unwrap_or(self.ttl),
            idle_timeout: change.idle_timeout.unwrap_or(self.idle_timeout),
        }
    }
}

// === impl LimitsPatch ===

impl From<Limits> for LimitsPatch {
    fn from(Limits { ttl, idle_timeout }: Limits) -> Self {
        Self { ttl: Some(ttl), idle_timeout: Some(idle_timeout) }
    }
}

// === impl LifetimePatch ===

impl LifetimePatch {
    /// Returns the annotations after the change.
    #[must_use]
    pub fn applied_to(self, before: &LifetimeAnnotations) -> LifetimeAnnotations {
        let Self { limits, last_activity, owner } = self;
        LifetimeAnnotations {
            limits: before.limits.changed(limits),
            last_activity,
            owner: owner.or_else(|| before.owner.clone()),
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
            pull_allowance: Duration::from_secs(15 * 60),
            finished_timeout: None,
            lost_timeout: None,
            owner_lease: Duration::from_secs(300),
            probe_patience: Duration::from_secs(600),
            probe_interval: Duration::from_secs(60),
        }
    }
}

impl Policy {
    /// Returns the limits that apply to a sandbox which asked for these.
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

    /// Checks whether a request may ask for these limits.
    ///
    /// # Errors
    /// The text for the caller.
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
    /// Returns the reason as a sentence.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Ttl => "the sandbox has reached the end of its time to live",
            Self::Idle => "the sandbox has had no activity for its idle timeout",
            Self::NeverReady => "the sandbox did not become ready in time",
            Self::Finished => "the sandbox's Pod has ended",
            Self::NodeLost => "the node of the sandbox's Pod is lost",
        }
    }
}

// === impl Clocks ===

impl Clocks {
    /// Converts a wall-clock time to the monotonic clock, on the assumption that the wall clock is not stepped in
    /// between. A time that the monotonic clock cannot represent counts as now.
    pub(crate) fn instant(self, wall: Timestamp) -> Instant {
        let ago = self.wall.duration_since(wall);
        let there = if ago.is_negative() {
            self.monotonic.checked_add(ago.unsigned_abs())
        } else {
            self.monotonic.checked_sub(ago.unsigned_abs())
        };
        there.unwrap_or(self.monotonic)
    }

    /// Converts a time of the monotonic clock to the wall clock.
    #[must_use]
    pub fn wall_at(self, then: Instant) -> Timestamp {
        let ahead = then.saturating_duration_since(self.monotonic);
        let behind = self.monotonic.saturating_duration_since(then);
        let signed = |d: Duration| SignedDuration::try_from(d).unwrap_or(SignedDuration::ZERO);
        self.wall.saturating_add(signed(ahead) - signed(behind)).unwrap_or(self.wall)
    }
}
