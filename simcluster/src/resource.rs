//! The kinds of objects the server knows, and what lies below an object.

mod table;

pub(crate) use table::{RESOURCES, VIEWS};

/// One kind of object and how it is addressed.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a trait of its own, and all are constants")]
pub(crate) struct Resource {
    /// Its place in [`RESOURCES`]; the store keeps one table for each.
    pub index: usize,
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The only version that is served.
    pub version: &'static str,
    /// Whether it is a custom resource.
    #[cfg(feature = "custom-resources")]
    pub is_custom: bool,
    /// The word in paths and messages (`pods`).
    pub plural: &'static str,
    /// The `kind` of one object. In lower case it is the word that `kubectl` accepts for one of them.
    pub kind: &'static str,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Whether there is a `/status` subresource.
    pub status: bool,
    /// Whether `metadata.generation` is kept.
    pub generation: bool,
    /// The names that `kubectl` accepts instead of the plural.
    pub short: &'static [&'static str],
    /// Whether `kubectl get all` shows it.
    pub in_all: bool,
    /// The fields it can be selected by beside `metadata.name` and `metadata.namespace`. Most kinds have none.
    pub fields: &'static [&'static str],
    /// The storage version hash of discovery.
    pub hash: &'static str,
    /// The subresources besides the status.
    pub subresources: &'static [Sub],
}

/// A subresource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sub {
    Status,
    Binding,
    EphemeralContainers,
    Eviction,
    Finalize,
    Log,
    Resize,
}

pub(crate) const NAMESPACES: &Resource = &RESOURCES[0];
pub(crate) const PODS: &Resource = &RESOURCES[1];
pub(crate) const SERVICES: &Resource = &RESOURCES[2];
pub(crate) const EVENTS: &Resource = &RESOURCES[3];
pub(crate) const QUOTAS: &Resource = &RESOURCES[4];
pub(crate) const CLAIMS: &Resource = &RESOURCES[5];
#[cfg(feature = "rbac")]
pub(crate) const SECRETS: &Resource = &RESOURCES[7];
pub(crate) const LEASES: &Resource = &RESOURCES[8];
pub(crate) const POLICIES: &Resource = &RESOURCES[9];
pub(crate) const SERVICE_ACCOUNTS: &Resource = &RESOURCES[10];
pub(crate) const ROLES: &Resource = &RESOURCES[11];
pub(crate) const ROLE_BINDINGS: &Resource = &RESOURCES[12];
pub(crate) const CLUSTER_ROLES: &Resource = &RESOURCES[13];
pub(crate) const CLUSTER_ROLE_BINDINGS: &Resource = &RESOURCES[14];
pub(crate) const NODES: &Resource = &RESOURCES[15];
pub(crate) const ENDPOINTS: &Resource = &RESOURCES[16];
pub(crate) const SLICES: &Resource = &RESOURCES[17];
pub(crate) const PRIORITY_CLASSES: &Resource = &RESOURCES[18];
pub(crate) const RUNTIME_CLASSES: &Resource = &RESOURCES[19];
pub(crate) const CLASSES: &Resource = &RESOURCES[20];
pub(crate) const VOLUMES: &Resource = &RESOURCES[21];
#[cfg(feature = "custom-resources")]
pub(crate) const SNAPSHOTS: &Resource = &RESOURCES[23];
/// Events in their newer form.
pub(crate) const NEW_EVENTS: &Resource = &VIEWS[0];

/// The finalizer of a claim: it stays as long as a Pod uses it.
pub(crate) const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";
/// The finalizer of a volume: it stays as long as a claim is bound to it.
pub(crate) const VOLUME_PROTECTION: &str = "kubernetes.io/pv-protection";

// === impl Resource ===

impl PartialEq for Resource {
    /// Compares index and group: a view has the index of the resource it shows, and another group.
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && self.group == other.group
    }
}

impl Eq for Resource {}

impl Resource {
    /// All kinds, stored or shown.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        RESOURCES.iter().chain(&VIEWS)
    }

    /// The resource at a group and plural, if it is served.
    pub fn find(group: &str, plural: &str) -> Option<&'static Self> {
        Self::all().find(|r| r.group == group && r.plural == plural)
    }

    /// Returns the version of a group.
    pub fn version_of(group: &str) -> &'static str {
        Self::all().find(|resource| resource.group == group).map_or("v1", |resource| resource.version)
    }

    /// Returns the first resource with this plural in any group.
    pub fn by_plural(plural: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|r| r.plural == plural)
    }

    /// The kind under which its objects are stored: itself, for any but a view.
    pub fn stored(&self) -> &'static Self {
        &RESOURCES[self.index]
    }

    /// Returns the subresources.
    pub fn subs(&self) -> impl Iterator<Item = Sub> {
        let status = self.status.then_some(Sub::Status);
        self.subresources.iter().copied().chain(status)
    }

    /// The `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The name messages use: the plural, with the group for any but the core one.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Returns the start of an object's JSON, up to `"metadata"`: kind and version.
    pub fn head(&self) -> String {
        format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",", self.kind, self.api_version())
    }
}

// === impl Sub ===

impl Sub {
    /// The word in paths.
    pub fn word(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Binding => "binding",
            Self::EphemeralContainers => "ephemeralcontainers",
            Self::Eviction => "eviction",
            Self::Finalize => "finalize",
            Self::Log => "log",
            Self::Resize => "resize",
        }
    }

    /// Returns the verbs that the subresource supports.
    pub fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::Status | Self::EphemeralContainers | Self::Resize => &["get", "patch", "update"],
            Self::Binding | Self::Eviction => &["create"],
            Self::Finalize => &["update"],
            Self::Log => &["get"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_each_resource_is_its_place() {
        for (place, resource) in RESOURCES.iter().enumerate() {
            assert_eq!(place, resource.index, "{}", resource.plural);
        }
    }
}
