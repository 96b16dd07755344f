//! The settings about how long sandboxes live, and what holds the reaper back.

use std::num::{NonZeroU32, NonZeroUsize};

use kubernetes::probe::{Probe, ProbeOptions};
use lifecycle::{
    lifetime::{self, Policy},
    reap_limiter::ReapLimits,
};

use super::durations::{Grace, Limit, OwnerLease, ProbeInterval, ProbePatience, StopTime};

/// How long sandboxes live. By default for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifetimes {
    /// The limits of sandboxes that name none.
    pub default: Limits,
    /// The longest limits that a caller may ask for, also those of sandboxes that would have none.
    pub max: Limits,
    /// Whether a GET of a sandbox is a sign of life.
    pub get_counts_as_use: bool,
    /// How long a sandbox may take to become ready.
    pub start_timeout: Option<Limit>,
    /// How long a Pod that has ended stays.
    pub finished_timeout: Option<Limit>,
    /// How long a Pod whose node is lost stays.
    pub node_lost_timeout: Option<Limit>,
    /// For how long a sandbox is safe from other owners' DELETE.
    pub owner_lease: OwnerLease,
    /// What is asked of a sandbox before it is reaped for being idle.
    pub probing: Probing,
    /// What holds the reaper back.
    pub reaping: Reaping,
}

/// The two limits that callers may set, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// From its creation.
    pub ttl: Option<Limit>,
    /// Since its last sign of life.
    pub idle_timeout: Option<Limit>,
}

/// What is asked of a sandbox before it is reaped for being idle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probing {
    /// The probes, each a path on the sandbox's port, a `#`, and a JSON pointer into the answer.
    pub probes: Vec<Probe>,
    /// Above how many thousandths of a core it counts as busy; `None` does not ask for its CPU use.
    pub idle_cpu_millicores: Option<NonZeroU32>,
    /// For how long a sandbox that cannot be asked counts as busy.
    pub patience: ProbePatience,
    /// How long to wait before such a one is asked again.
    pub interval: ProbeInterval,
}

/// What holds the reaper back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaping {
    /// Say what would be reaped, and do not.
    pub dry_run: bool,
    /// Most reaps a minute; `None` is no bound.
    pub max_per_minute: Option<NonZeroU32>,
    /// The share of the fleet, in percent, that may go within a minute before the reaper stops; 100 never stops.
    pub max_share_percent: Share,
    /// For how long it stops.
    pub stop_for: StopTime,
    /// How long nothing is reaped after the start.
    pub grace: Grace,
}

/// A share in percent, from 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u8);

// === impl Lifetimes ===

impl Lifetimes {
    /// The rules by which a sandbox's end is reckoned.
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
            // What is asked is the cluster's part, how often it is asked is not.
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

    /// What holds the reaper back.
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
    /// What the cluster's side has to know of it.
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
    /// Reads a number from 1 to 100.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        super::rules::count(text, 100).map(NonZeroUsize::get)?.try_into().ok().map(Self)
    }
}
