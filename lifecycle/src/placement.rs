//! On which cluster a sandbox lives, if there are several.
//!
//! Pure. [`choice`] decides which clusters may take a new sandbox and in which order they are asked, [`capacity`] whether the
//! next one is asked after a failure, [`route`] which clusters a request is for, [`twins`] which of several sandboxes
//! with one id counts, and [`moving`] whether a sandbox may move to another cluster.
//!
//! No table says where a sandbox lives. The observed objects of each cluster say it, so the decisions are functions of the
//! objects that each cluster shows for one id.

pub mod capacity;
pub mod choice;
pub mod moving;
pub mod order;
pub mod replacement;
pub mod route;
pub mod twins;

use std::collections::BTreeSet;

use crate::{
    ids::{ClusterName, ProfileName},
    labels::Labels,
    selector::Selector,
};

/// The settings of a cluster that decide about placements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The share of the new sandboxes, in relation to the weights of the other clusters: at most [`Terms::WEIGHT_MAX`].
    /// With 0 the cluster drains: it gets no new sandboxes, and keeps those that it has.
    pub weight: u16,
    /// The largest number of sandboxes; `None` for any number.
    pub max_sandboxes: Option<u64>,
    /// The labels by which a request can select the cluster.
    pub labels: Labels,
    /// The profiles that the cluster offers; `None` for all. A request without a profile counts as one with the profile
    /// `default`.
    pub profiles: Option<BTreeSet<ProfileName>>,
    /// Whether the host paths and claims of the settings have the same data as those of the other clusters for which this is
    /// set, as with a network file system that all of them mount. Only then can sandboxes with data move between them.
    pub shares_data: bool,
}

/// The state of a cluster at the moment of a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Whether the view of the cluster is fresh.
    pub is_fresh: bool,
    /// The number of its sandboxes, with those that are being created.
    pub sandboxes: u64,
    /// Whether its queue accepts another create.
    pub accepts_creates: bool,
    /// Whether a create there waits for its answer, and nothing has come from the cluster since. It may be away already.
    pub is_silent: bool,
}

/// A cluster that may take a sandbox.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its name.
    pub name: &'a ClusterName,
    /// Its settings.
    pub terms: &'a Terms,
    /// Its state.
    pub facts: Facts,
}

/// The requirements of a request for the cluster of its sandbox.
#[derive(Debug, Clone, Copy, Default)]
pub struct Constraints<'a> {
    /// The cluster that it names.
    pub cluster: Option<&'a ClusterName>,
    /// The labels that the cluster must have.
    pub selector: Option<&'a Selector>,
    /// The profile of the sandbox.
    pub profile: Option<&'a ProfileName>,
    /// The cluster that has the sandbox's workspace, or may have it. A claim cannot move to another cluster.
    pub workspace_in: Option<&'a ClusterName>,
}

// === impl Terms ===

impl Terms {
    /// The largest weight.
    pub const WEIGHT_MAX: u16 = 1000;

    /// The weight of a cluster whose settings have none.
    pub const WEIGHT_DEFAULT: u16 = 100;

    /// Returns whether the cluster gets no new sandboxes.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.weight == 0
    }

    /// Returns whether the cluster offers the profile of a request.
    #[must_use]
    pub fn offers(&self, profile: Option<&ProfileName>) -> bool {
        self.profiles.as_ref().is_none_or(|offered| match profile {
            Some(profile) => offered.contains(profile),
            None => offered.contains(&ProfileName::default_profile()),
        })
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            weight: Self::WEIGHT_DEFAULT,
            max_sandboxes: None,
            labels: Labels::default(),
            profiles: None,
            shares_data: false,
        }
    }
}
