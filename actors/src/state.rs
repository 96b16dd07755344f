//! The state of the actors of one cluster, for operators.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

/// The state of the reaper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaperState {
    /// Until when reaping is stopped, because too many sandboxes were due.
    pub stopped_until: Option<Timestamp>,
    /// The number of sandboxes reaped since the start.
    pub reaped: u64,
    /// The number of sandboxes that would have been reaped without the dry run.
    pub dry_runs: u64,
}

/// The state of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterState {
    /// The version of its API server, if it is known.
    pub version: Option<Arc<str>>,
    /// Since when its state is known without a break; `None` while it is not.
    pub fresh_since: Option<Timestamp>,
    /// The number of sandboxes by status, as they were observed last.
    pub sandboxes: BTreeMap<&'static str, u64>,
    /// How many of them are ready.
    pub ready: u64,
    /// The creates in progress.
    pub creates: Creates,
}

/// The creates in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Creates {
    /// How many are being executed.
    pub running: usize,
    /// How many wait.
    pub waiting: usize,
    /// How many are executed at the same time at most.
    pub running_max: usize,
    /// How many more are accepted now.
    pub room: usize,
}
