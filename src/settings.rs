//! The settings: a typed, validated [`Settings`], built once before anything else.
//!
//! A value comes from the last of these that contains it: the built-in default, the TOML file, an environment
//! variable, a flag. Each value keeps its origin, so that an error message and `serve --check` can show it.
//!
//! ```text
//!   file ──┐
//!   env  ──┼─▸ sources ──▸ reader ──▸ one file per section ──▸ Settings
//!   flags ─┘   (texts)       │         (declares its settings, reads their values)
//!                            └──▸ Problems, all of them, one line each
//! ```
//!
//! A file such as `log` declares the settings of its section, each once: variable, format with bounds, default and
//! description. The flags, the messages, the documentation and the example file are derived from the declarations.
//!
//! Only [`environment`] reads the process environment.

use std::time::Duration;

use lifecycle::{lifetime::Policy, reap_limiter::ReapLimits};

pub mod clusters;
mod embedded;
pub mod environment;
mod file;
mod format;
mod http;
mod kubernetes;
mod lark;
mod lifetimes;
pub mod load;
mod log;
mod network;
mod probing;
pub mod problem;
pub mod profiles;
mod reader;
mod reaping;
pub mod reload;
pub mod rules;
mod sandbox;
mod sections;
mod setting;
pub mod show;
mod similar;
pub mod sources;
pub mod tables;
#[cfg(test)]
mod tests;
mod volumes;

pub use self::{
    clusters::{ClusterSettings, Clusters},
    embedded::Embedded,
    http::Http,
    kubernetes::Kubernetes,
    log::Log,
};
pub(crate) use self::{format::Kind, log::is_log, sections::SETTINGS, setting::Spec};

/// All settings. Each value is valid, and so is their combination.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The daemon's own HTTP service.
    pub http: Http,
    /// The clusters, with the contents of a sandbox's Pod, Service and URL on each.
    pub clusters: Clusters,
    /// How long a cluster is away before its sandboxes may be created on another; `None` for ever.
    pub cluster_loss_timeout: Option<Duration>,
    /// The lifetimes of sandboxes.
    pub policy: Policy,
    /// The bounds on how many sandboxes are reaped, and how fast.
    pub reap_limits: ReapLimits,
    /// Set if the daemon runs on embedded clusters instead of real ones.
    pub embedded: Option<Embedded>,
    /// The level and the format of the log.
    pub log: Log,
}
