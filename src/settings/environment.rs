//! The process environment as a value, which is read only here.

use std::{collections::BTreeMap, ffi::OsString};

use kubernetes::connect::ServiceAddress;

use super::sections::SETTINGS;

/// The variable with the path of the settings file, used without `--config`.
pub const CONFIG_VARIABLE: &str = "SANDBOX_PROVISIONER_CONFIG";

/// The variables that Kubernetes sets in every Pod.
pub const SERVICE_HOST_VARIABLE: &str = "KUBERNETES_SERVICE_HOST";
const SERVICE_PORT_VARIABLE: &str = "KUBERNETES_SERVICE_PORT";

/// Returns a variable of this process for the commands that have no settings.
#[must_use]
pub fn of_client(name: &str) -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "the one file that reads the environment")]
    std::env::var_os(name)
}

/// Returns a variable of this process for the export of spans. The exporter reads further ones itself.
#[must_use]
pub fn of_exporter(name: &str) -> Option<String> {
    of_client(name)?.into_string().ok()
}

/// The environment variables of this program, each with its value.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<&'static str, OsString>);

// === impl Environment ===

impl Environment {
    /// The variables of this process. No other code reads them.
    #[must_use]
    pub fn of_process() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// The variables for which `lookup` returns a value.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let names = SETTINGS.iter().map(|spec| spec.variable).chain([
            CONFIG_VARIABLE,
            SERVICE_HOST_VARIABLE,
            SERVICE_PORT_VARIABLE,
        ]);
        Self(names.filter_map(|name| Some((name, lookup(name)?))).collect())
    }

    /// The API server's address as Kubernetes gives it to each Pod. `None` if this process does not run in one.
    #[must_use]
    pub fn in_cluster(&self) -> Option<ServiceAddress> {
        let value =
            |name| self.get(name).map(|value| value.to_string_lossy().into_owned()).filter(|v| !v.is_empty());
        Some(ServiceAddress {
            host: value(SERVICE_HOST_VARIABLE)?,
            port: value(SERVICE_PORT_VARIABLE).unwrap_or_else(|| "443".to_owned()),
        })
    }

    /// A variable's value, which may be empty.
    pub(super) fn get(&self, name: &str) -> Option<&OsString> {
        self.0.get(name)
    }
}

impl std::fmt::Debug for Environment {
    /// Shows names only: values may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
