//! The process environment as a value: read once, here, and handed on.

use std::{collections::BTreeMap, ffi::OsString};

use super::keys::SPECS;

/// Names the settings file, where no `--config` does.
pub const CONFIG_VARIABLE: &str = "SANDBOX_PROVISIONER_CONFIG";

/// Set by Kubernetes in every Pod.
pub const IN_CLUSTER_VARIABLE: &str = "KUBERNETES_SERVICE_HOST";

/// The environment variables that matter here, each with its value.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<&'static str, OsString>);

// === impl Environment ===

impl Environment {
    /// The variables of this process. Nothing else in the program reads them.
    #[must_use]
    pub fn of_process() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// The variables that `lookup` knows.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let names = SPECS.iter().map(|spec| spec.variable).chain([CONFIG_VARIABLE, IN_CLUSTER_VARIABLE]);
        Self(names.filter_map(|name| Some((name, lookup(name)?))).collect())
    }

    /// Whether this process runs in a Pod.
    #[must_use]
    pub fn is_in_cluster(&self) -> bool {
        self.get(IN_CLUSTER_VARIABLE).is_some_and(|host| !host.is_empty())
    }

    /// A variable's value, which may be empty.
    pub(super) fn get(&self, name: &str) -> Option<&OsString> {
        self.0.get(name)
    }
}

impl std::fmt::Debug for Environment {
    /// Names only: the values hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
