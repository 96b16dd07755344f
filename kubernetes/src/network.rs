//! The network policies of the sandboxes, and whether the cluster enforces them.
//!
//! ```text
//!   settings ──▸ policy ──▸ two NetworkPolicies, which select Pods by the label of their mode
//!                  └──▸ control ─┬─▸ keep: the policies in the cluster
//!                                └─▸ check: two Pods that prove the enforcement
//! ```
//!
//! `peer` parses the peers of the settings, and `policy` builds the policies. `host_names` does both for host names, which
//! only a policy of Cilium knows. They are pure.

mod call;
mod check;
mod control;
mod host_names;
mod keep;
mod peer;
mod policy;
mod print;
mod ranges;

use ipnet::IpNet;

pub(crate) use self::{
    control::NetworkControl,
    keep::{Policy, is_as_wanted},
};
pub use self::{
    host_names::{Allowed, HostName, NamePolicy, NamedDestination, name_policy},
    peer::{Destination, Peer, PeerError, Ports, parse_range},
    policy::{name, policies},
    print::to_yaml,
};

/// The settings of the network policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The peers that may reach the port of a restricted sandbox.
    pub sources: Vec<Peer>,
    /// The DNS servers that a restricted sandbox may ask. Without ports they are asked on port 53.
    pub dns: Vec<Destination>,
    /// The cluster's own ranges: those of Pods, Services and nodes. `allow-list` does not reach them.
    pub cluster_ranges: Vec<IpNet>,
    /// The destinations of an `allow-list` sandbox beside the public internet.
    pub allow: Vec<Destination>,
    /// The host names that an `allow-list` sandbox may reach. Only a cluster with Cilium can allow them.
    pub allow_names: Vec<NamedDestination>,
    /// The image of the Pods that check whether policies are enforced; `None` for that of the sandboxes.
    pub check_image: Option<String>,
}

// === impl Network ===

impl Network {
    /// The DNS servers of most clusters.
    pub const DEFAULT_DNS: &'static str = "kube-system/k8s-app=kube-dns";
}

impl Default for Network {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            dns: Self::DEFAULT_DNS.parse().into_iter().collect(),
            cluster_ranges: Vec::new(),
            allow: Vec::new(),
            allow_names: Vec::new(),
            check_image: None,
        }
    }
}
