//! Profiles: named variants of a sandbox's Pod. An operator defines them, and a caller chooses one by its name.
//!
//! Pure. [`Profile::set`] parses one field of a profile, [`Profiles::new`] resolves which profile extends which, and
//! `manifest` applies a profile to a Pod.

mod fields;
mod network;
mod overrides;
mod pattern;
mod quantity;
mod request;
mod resolve;
mod rules;
mod security;
mod shapes;
#[cfg(test)]
mod tests;
pub(crate) mod workspace;

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::{Affinity, Toleration, TopologySpreadConstraint};
use lifecycle::{ids::ProfileName, text::Hidden};

pub use self::{
    fields::{FIELDS, FieldError},
    network::ProfileNetwork,
    overrides::{Bounds, OverrideError, Overrides},
    pattern::Pattern,
    quantity::{Amount, Quantity},
    request::check_without_profile,
    resolve::{HostPaths, ProfileError, Profiles},
    rules::{IMAGE_MAX, is_image},
    security::{Level, Security},
    workspace::{AccessMode, Mount, Workspace},
};

/// A variant of a sandbox's Pod. An absent field leaves what the settings say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Profile {
    /// The profile whose fields count where this one has none.
    pub extends: Option<ProfileName>,
    /// A sentence for callers.
    pub description: Option<String>,
    /// The image of the sandbox container.
    pub image: Option<String>,
    /// The CPU of the sandbox container, in cores.
    pub cpu: Amount,
    /// The limit of CPU until the sandbox is ready.
    pub start_cpu: Option<Quantity>,
    /// The memory of the sandbox container, in bytes.
    pub memory: Amount,
    /// The writable layer and the logs of the sandbox container, in bytes.
    pub ephemeral_storage: Amount,
    /// Further environment variables of the sandbox container.
    pub env: BTreeMap<String, Hidden>,
    /// Further labels of the Pod.
    pub labels: BTreeMap<String, String>,
    /// Further annotations of the Pod.
    pub annotations: BTreeMap<String, String>,
    /// The labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// The taints of nodes that the Pod tolerates.
    pub tolerations: Option<Vec<Toleration>>,
    /// The affinity of the Pod.
    pub affinity: Option<Box<Affinity>>,
    /// How Pods are spread.
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,
    /// How sandboxes are spread over the nodes: a short form of a topology spread constraint.
    pub spread: Option<Spread>,
    /// Whether nodes that have the image are preferred: a short form of a Pod affinity.
    pub image_locality: Option<ImageLocality>,
    /// The `RuntimeClass`, such as that of gVisor or Kata.
    pub runtime_class: Option<String>,
    /// The `PriorityClass`.
    pub priority_class: Option<String>,
    /// The scheduler.
    pub scheduler_name: Option<String>,
    /// The names of the Secrets with the credentials of registries.
    pub image_pull_secrets: Option<Vec<String>>,
    /// The permissions of the containers on the node.
    pub security: Security,
    /// Whether the containers get a token for the API server.
    pub automount_service_account_token: Option<bool>,
    /// Whether root in the containers is root on the node. `false` needs user namespaces.
    pub host_users: Option<bool>,
    /// The size of `/dev/shm`.
    pub shm_size: Option<Quantity>,
    /// The size of a volume at `/tmp`.
    pub tmp_size: Option<Quantity>,
    /// The network of the Pod.
    pub network: Option<ProfileNetwork>,
    /// Storage that outlives the Pod.
    pub workspace: Option<Workspace>,
    /// The time to live of a sandbox whose request sets none.
    pub ttl: Option<Duration>,
    /// The idle timeout of a sandbox whose request sets none.
    pub idle_timeout: Option<Duration>,
    /// The fields that a request may set, with their bounds.
    pub overrides: Overrides,
}

/// The label of nodes that is different on each.
pub(crate) const HOSTNAME: &str = "kubernetes.io/hostname";

lifecycle::named! {
    /// How sandboxes are spread over the nodes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Spread {
        /// As the scheduler likes.
        None = "none",
        /// Evenly, if there is capacity.
        Preferred = "preferred",
        /// Evenly; a sandbox that would break that stays Pending.
        Required = "required",
    }
}

lifecycle::named! {
    /// Whether nodes that have the image are preferred.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ImageLocality {
        /// As the scheduler likes. It takes the images of nodes into account, with a small weight.
        None = "none",
        /// Nodes with a Pod of the `DaemonSet` that pulls the image, if there is capacity.
        Preferred = "preferred",
    }
}

// === impl Spread ===

impl Spread {
    /// Returns the `whenUnsatisfiable` of its topology spread constraint; `None` without a constraint.
    pub(crate) const fn when_unsatisfiable(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Preferred => Some("ScheduleAnyway"),
            Self::Required => Some("DoNotSchedule"),
        }
    }
}

// === impl Profile ===

impl Profile {
    /// Fills absent fields from the profile that this one extends. Maps are merged key by key; lists are replaced.
    fn or(self, base: &Self) -> Self {
        fn map<V: Clone>(own: BTreeMap<String, V>, base: &BTreeMap<String, V>) -> BTreeMap<String, V> {
            let mut merged = base.clone();
            merged.extend(own);
            merged
        }
        Self {
            extends: self.extends,
            description: self.description.or_else(|| base.description.clone()),
            image: self.image.or_else(|| base.image.clone()),
            cpu: self.cpu.or(&base.cpu),
            start_cpu: self.start_cpu.or_else(|| base.start_cpu.clone()),
            memory: self.memory.or(&base.memory),
            ephemeral_storage: self.ephemeral_storage.or(&base.ephemeral_storage),
            env: map(self.env, &base.env),
            labels: map(self.labels, &base.labels),
            annotations: map(self.annotations, &base.annotations),
            node_selector: map(self.node_selector, &base.node_selector),
            tolerations: self.tolerations.or_else(|| base.tolerations.clone()),
            affinity: self.affinity.or_else(|| base.affinity.clone()),
            topology_spread_constraints: self
                .topology_spread_constraints
                .or_else(|| base.topology_spread_constraints.clone()),
            spread: self.spread.or(base.spread),
            image_locality: self.image_locality.or(base.image_locality),
            runtime_class: self.runtime_class.or_else(|| base.runtime_class.clone()),
            priority_class: self.priority_class.or_else(|| base.priority_class.clone()),
            scheduler_name: self.scheduler_name.or_else(|| base.scheduler_name.clone()),
            image_pull_secrets: self.image_pull_secrets.or_else(|| base.image_pull_secrets.clone()),
            security: self.security.or(base.security),
            automount_service_account_token: self
                .automount_service_account_token
                .or(base.automount_service_account_token),
            host_users: self.host_users.or(base.host_users),
            shm_size: self.shm_size.or_else(|| base.shm_size.clone()),
            tmp_size: self.tmp_size.or_else(|| base.tmp_size.clone()),
            network: self.network.or(base.network),
            workspace: self.workspace.or_else(|| base.workspace.clone()),
            ttl: self.ttl.or(base.ttl),
            idle_timeout: self.idle_timeout.or(base.idle_timeout),
            overrides: self.overrides.or(&base.overrides),
        }
    }
}
