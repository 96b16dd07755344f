//! Checks the settings, the cluster and the daemon, and names each fault with a code, its cause and its remedy.
//!
//! ```text
//!   Subject ──▸ gather ──▸ Facts ──▸ checks ──▸ Report ──▸ output
//!                 │                    pure
//!                 └── kubernetes::inspect, HTTP of the daemon and of sandboxes
//! ```
//!
//! A check is a function of the facts. It names the checks without which it means nothing: if one of those fails, it is
//! skipped. Only [`fix`] changes the cluster, and it deletes nothing but orphans.

mod check;
mod checks;
mod facts;
mod fix;
mod gather;
mod group;
mod http;
mod output;
mod report;
mod selection;
mod subject;

pub use self::{
    check::{Check, Finding, Outcome},
    checks::{all, find},
    facts::{Facts, find_doubles},
    fix::{Fixed, fix},
    gather::gather,
    group::Group,
    http::{DaemonUrl, InvalidDaemonUrl},
    output::Format,
    report::{Entry, Report, Verdict},
    selection::{Selection, UnknownCheck},
    subject::{Cluster, Daemon, Machine, SettingsFacts, Subject},
};
