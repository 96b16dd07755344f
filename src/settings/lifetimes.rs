//! The settings about lifetimes and reap limits.

use std::num::{NonZeroU32, NonZeroUsize};

use kubernetes::probe::{Probe, ProbeOptions};
use lifecycle::{
    lifetime::{self, Policy},
    reap_limiter::ReapLimits,
};

use super::durations::{Grace, Limit, OwnerLease, ProbeInterval, ProbePatience, StopTime};

/// The lifetimes of sandboxes. By default there is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifetimes {
    /// The default limits.
    pub default: Limits,
    /// The maximal limits. They also apply to sandboxes that would have no limit.
    pub max: Limits,
    /// Whether a GET of a sandbox counts as activity.
    pub get_counts_as_use: bool,
    /// How long a sandbox may take to become ready.
    pub start_timeout: Option<Limit>,
    /// How long an ended Pod is kept.
    pub finished_timeout: Option<Limit>,
    /// How long a Pod on a lost node is kept.
    pub node_lost_timeout: Option<Limit>,
    /// How long a sandbox is protected from the DELETE of other owners.
    pub owner_lease: OwnerLease,
    /// The activity probes, which run before an idle sandbox is reaped.
    pub probing: Probing,
    /// The reap limits.
    pub reaping: Reaping,
}

/// The two limits that clients may set too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// From its creation.
    pub ttl: Option<Limit>,
    /// From its last activity.
    pub idle_timeout: Option<Limit>,
}

/// The activity probes, which run before an idle sandbox is reaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probing {
    /// The probes, each a path on the sandbox's port, a `#`, and a JSON pointer into the response.
    pub probes: Vec<Probe>,
    /// The CPU use, in thousandths of a core, above which a sandbox is busy; `None` does not read the CPU use.
    pub idle_cpu_millicores: Option<NonZeroU32>,
    /// How long a sandbox whose probes fail is considered busy.
    pub patience: ProbePatience,
    /// How long to wait before a failed probe is repeated.
    pub interval: ProbeInterval,
}

/// The reap limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaping {
    /// Log what would be reaped, without reaping.
    pub dry_run: bool,
    /// The maximal number of reaps per minute; `None` is no limit.
    pub max_per_minute: Option<NonZeroU32>,
    /// The share of all sandboxes, in percent, that may be reaped per minute before the reaper stops; 100 never stops.
    pub max_share_percent: Share,
    /// How long the reaper stops.
    pub stop_for: StopTime,
    /// How long nothing is reaped after the start.
    pub grace: Grace,
}

/// A share in percent, from 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u8);

// === impl Lifetimes ===

impl Lifetimes {
    /// The rules for the expiry of sandboxes.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let Self {
            default,
            max,
            get_counts_as_use,
            start_timeout,
            finished_timeout,
            node_lost_timeout,
            owner_lease,
            // The probes themselves belong to the cluster's configuration, their timing belongs here.
            probing: Probing { patience, interval, probes: _, idle_cpu_millicores: _ },
            reaping: _,
        } = self;
        Policy {
            default: default.limits(),
            max: max.limits(),
            get_counts: *get_counts_as_use,
            start_timeout: start_timeout.map(Limit::get),
            finished_timeout: finished_timeout.map(Limit::get),
            lost_timeout: node_lost_timeout.map(Limit::get),
            owner_lease: owner_lease.get(),
            probe_patience: patience.get(),
            probe_interval: interval.get(),
        }
    }

    /// The reap limits.
    #[must_use]
    pub fn belt(&self) -> ReapLimits {
        let Reaping { dry_run, max_per_minute, max_share_percent, stop_for, grace } = &self.reaping;
        ReapLimits {
            dry_run: *dry_run,
            max_per_minute: max_per_minute.map(NonZeroU32::get),
            max_share_percent: max_share_percent.0,
            stop_for: stop_for.get(),
            grace: grace.get(),
        }
    }
}

// === impl Probing ===

impl Probing {
    /// The part that the cluster's side needs.
    #[must_use]
    pub fn options(&self) -> ProbeOptions {
        let Self { probes, idle_cpu_millicores, patience: _, interval: _ } = self;
        ProbeOptions { probes: probes.clone(), idle_cpu_millis: idle_cpu_millicores.map(NonZeroU32::get) }
    }
}

// === impl Limits ===

impl Limits {
    fn limits(self) -> lifetime::Limits {
        lifetime::Limits { ttl: self.ttl.map(Limit::get), idle_timeout: self.idle_timeout.map(Limit::get) }
    }
}

// === impl Share ===

impl Share {
    /// Parses a number from 1 to 100.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        super::rules::count(text, 100).map(NonZeroUsize::get)?.try_into().ok().map(Self)
    }
}
