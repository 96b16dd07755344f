//! Every setting: its names, its default, its allowed values, and its description.
//!
//! The names follow one rule. The variable is that of DeerFlow's provisioner, or begins with `PROVISIONER_`. The key
//! in the file is the variable in lower case without that prefix. The flag is the key with dashes.

mod table;

pub use self::table::SPECS;

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is described once, in its Spec")]
pub enum Key {
    Listen,
    ApiKey,
    ApiKeyFile,
    Auth,
    MaxConnections,
    DrainDeadline,
    DrainDelay,
    Namespace,
    Kubeconfig,
    ApiServer,
    TlsServerName,
    InsecureSkipTlsVerify,
    MaxInFlight,
    StalenessLimit,
    Image,
    ContainerPort,
    ServiceType,
    NodeHost,
    DefaultTtl,
    DefaultIdleTimeout,
    MaxTtl,
    MaxIdleTimeout,
    GetCountsAsUse,
    StartTimeout,
    FinishedTimeout,
    NodeLostTimeout,
    OwnerLease,
    IdleProbes,
    IdleCpu,
    ProbePatience,
    ProbeInterval,
    ReapDryRun,
    ReapMaxPerMinute,
    ReapMaxShare,
    ReapStopFor,
    ReapGrace,
    ThreadsHostPath,
    HostBaseDir,
    SkillsHostPath,
    SkillsPvc,
    SkillsPvcSubpathTemplate,
    UserdataPvc,
    LarkCliInitImage,
    LarkCliBrokerImage,
    LarkBrokerDenySubcommands,
    Embedded,
    EmbeddedBind,
    LogFormat,
    LogLevel,
}

/// The description of a setting.
#[derive(Debug)]
pub struct Spec {
    /// The setting.
    pub key: Key,
    /// The environment variable.
    pub variable: &'static str,
    /// The key in the file, also the setting's name in messages.
    pub name: &'static str,
    /// The flag, without its dashes; `None` for a secret, which must not appear on a command line.
    pub flag: Option<&'static str>,
    /// The default, as a user would write it; `None` if the setting has no default.
    pub default: Option<&'static str>,
    /// The TOML type of the value.
    pub kind: Kind,
    /// The allowed values; completes "allowed: ".
    pub allowed: &'static str,
    /// What it does: a sentence without the full stop.
    pub help: &'static str,
    /// The heading under which the help lists it.
    pub section: Section,
}

/// The TOML type of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`; the flag needs no value.
    Switch,
}

/// A group of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The daemon's own HTTP service.
    Http,
    /// The connection to the cluster.
    Cluster,
    /// The contents of a sandbox.
    Sandbox,
    /// The lifetimes of sandboxes.
    Lifetimes,
    /// The host directories and claims that a sandbox mounts.
    Volumes,
    /// The Lark command line inside a sandbox.
    Lark,
    /// The embedded cluster.
    Embedded,
    /// Logs.
    Log,
}

// === impl Key ===

impl Key {
    /// The description of this setting.
    #[must_use]
    pub fn spec(self) -> &'static Spec {
        &SPECS[self as usize]
    }

    /// All settings, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        SPECS.iter().map(|spec| spec.key)
    }

    /// Whether the value is a secret, which is never printed.
    #[must_use]
    pub fn is_secret(self) -> bool {
        matches!(self, Self::ApiKey)
    }

    /// Whether an empty environment variable is a value, as in DeerFlow's provisioner, and not the same as an absent
    /// one.
    #[must_use]
    pub fn empty_variable_counts(self) -> bool {
        matches!(self, Self::HostBaseDir)
    }

    /// Whether an empty value in the file or in a flag means "not set".
    #[must_use]
    pub fn may_be_cleared(self) -> bool {
        self.spec().default.is_none() || self == Self::HostBaseDir
    }
}

// === impl Section ===

impl Section {
    /// The heading in the help.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Http => "HTTP service",
            Self::Cluster => "Kubernetes",
            Self::Sandbox => "Sandboxes",
            Self::Lifetimes => "Lifetimes",
            Self::Volumes => "Volumes",
            Self::Lark => "Lark command line",
            Self::Embedded => "Embedded cluster",
            Self::Log => "Logs",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Key::spec` indexes the table, so both must have the same order.
    #[test]
    fn the_table_is_in_the_order_of_the_keys() {
        for (i, spec) in SPECS.iter().enumerate() {
            assert_eq!(spec.key as usize, i, "{}", spec.name);
            assert_eq!(spec.key.spec().name, spec.name);
        }
    }

    /// The three names of a setting follow the rule in the module's documentation.
    #[test]
    fn names_follow_one_rule() {
        for spec in &SPECS {
            let name = spec.variable.to_lowercase();
            let name = name.strip_prefix("provisioner_").unwrap_or(&name);
            assert_eq!(spec.name, name);
            if let Some(flag) = spec.flag {
                assert_eq!(flag, name.replace('_', "-"));
            }
            assert_eq!(spec.flag.is_none(), spec.key.is_secret(), "{name}: no secret on a command line");
            // Kubernetes sets these for a Service named "provisioner", in every Pod of its namespace.
            for reserved in ["PROVISIONER_PORT", "PROVISIONER_SERVICE_"] {
                assert!(!spec.variable.starts_with(reserved), "{}", spec.variable);
            }
            assert!(!spec.allowed.is_empty() && !spec.help.is_empty(), "{name}");
        }
    }
}
