//! Every setting once: its names, its default, what it takes, and what it does.
//!
//! The names follow one rule. A setting's variable is the one that the original knows or begins with
//! `PROVISIONER_`; its key in the file is the variable in lower case without that beginning; its flag is the
//! key with dashes.

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

/// What there is to say of a setting.
#[derive(Debug)]
pub struct Spec {
    /// Which setting this is about.
    pub key: Key,
    /// The environment variable.
    pub variable: &'static str,
    /// The key in the file, also the setting's name in messages.
    pub name: &'static str,
    /// The flag, without its dashes; none for a value that must not stand on a command line.
    pub flag: Option<&'static str>,
    /// The value where nobody gives one, as a user would write it; `None` when the setting is then not set.
    pub default: Option<&'static str>,
    /// How the value is written in the file.
    pub kind: Kind,
    /// What a value may be, to follow "allowed: ".
    pub allowed: &'static str,
    /// What it does, in a sentence without its full stop.
    pub help: &'static str,
    /// Which part of the program it is about, for the help text.
    pub section: Section,
}

/// How a setting's value is written in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`; as a flag it needs no value.
    Switch,
}

/// A group of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The daemon's own HTTP service.
    Http,
    /// How the cluster is reached and read.
    Cluster,
    /// What a sandbox is made of.
    Sandbox,
    /// How long sandboxes live.
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
    /// What there is to say of this setting.
    #[must_use]
    pub fn spec(self) -> &'static Spec {
        &SPECS[self as usize]
    }

    /// All settings, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        SPECS.iter().map(|spec| spec.key)
    }

    /// Whether the value must never be shown.
    #[must_use]
    pub fn is_secret(self) -> bool {
        matches!(self, Self::ApiKey)
    }

    /// Whether an empty environment variable is a value of this setting, as it is for the original, and not
    /// the same as an absent one.
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
    /// The heading over the section's settings.
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

    /// `Key::spec` indexes the table, so the two must keep one order.
    #[test]
    fn the_table_is_in_the_order_of_the_keys() {
        for (i, spec) in SPECS.iter().enumerate() {
            assert_eq!(spec.key as usize, i, "{}", spec.name);
            assert_eq!(spec.key.spec().name, spec.name);
        }
    }

    /// Who knows one of a setting's names knows the other two.
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
