//! The declaration of a setting: its names, format, default and description, all in one place.
//!
//! The names follow one rule. The variable is that of DeerFlow's provisioner, or begins with `PROVISIONER_`. The key
//! in the file is the variable in lower case without that prefix. The flag is the key with dashes.

use super::format::{Exposure, Format, Invalid, Kind};

/// A setting whose values have the format `F`.
pub struct Setting<F> {
    /// The environment variable, from which the other names are derived.
    pub variable: &'static str,
    /// The format of the value, with its bounds.
    pub format: F,
    /// The value of a setting that is not given.
    pub default: DefaultValue,
    /// Its effect: a sentence without the full stop.
    pub help: &'static str,
}

/// The setting whose key in the table of a cluster is shorter.
const KUBECONFIG_PATH: &str = "kubeconfig_path";

/// The default of a setting, as an operator would write it.
pub enum DefaultValue {
    /// This text.
    Text(&'static str),
    /// The default of a type of another crate.
    Of(fn() -> String),
    /// No default. The example is for the documentation.
    None {
        /// A useful value.
        example: &'static str,
    },
}

/// The settings of one file of this directory, under their heading in the help and in the documentation.
pub struct Section {
    /// The heading.
    pub heading: &'static str,
    /// The settings that may differ between clusters.
    pub scope: Scope,
    /// The settings, in the order of every listing.
    pub settings: &'static [&'static dyn Declaration],
}

/// The settings of a section that may differ between clusters.
#[derive(Debug, Clone, Copy)]
pub enum Scope {
    /// None: they are those of the whole daemon.
    Daemon,
    /// All.
    Cluster,
    /// Those with these variables.
    ClusterOnly(&'static [&'static str]),
}

/// A setting without the type of its values.
pub trait Declaration: Sync {
    /// Returns the properties of the setting.
    fn spec(&'static self, section: &Section) -> Spec;

    /// Checks whether a text is a valid value.
    fn check(&self, text: &str) -> Result<(), Invalid>;
}

/// The properties of a setting.
pub struct Spec {
    /// The environment variable.
    pub variable: &'static str,
    /// The key in the file, also the setting's name in messages.
    pub name: String,
    /// The flag, without its dashes; `None` for a secret, which must not appear on a command line.
    pub flag: Option<String>,
    /// The default.
    pub default: Option<String>,
    /// The default, or the example of a setting without a default.
    pub example: String,
    /// The TOML type.
    pub kind: Kind,
    /// How much of a value messages may show.
    pub exposure: Exposure,
    /// Whether an empty value in the file or in a flag unsets it.
    pub is_optional: bool,
    /// The allowed values; completes "allowed: ".
    pub allowed: String,
    /// Its effect.
    pub help: &'static str,
    /// The heading of its section.
    pub heading: &'static str,
    /// Whether the value may differ between clusters.
    pub may_differ: bool,
    /// The setting itself.
    pub declaration: &'static dyn Declaration,
}

// === impl Setting ===

impl<F> Setting<F> {
    /// Returns the key in the file.
    pub fn name(&self) -> String {
        let name = self.variable.to_lowercase();
        name.strip_prefix("provisioner_").map(str::to_owned).unwrap_or(name)
    }
}

impl<F: Format> Declaration for Setting<F> {
    fn spec(&'static self, section: &Section) -> Spec {
        let (default, example) = match self.default {
            DefaultValue::Text(text) => (Some(text.to_owned()), text.to_owned()),
            DefaultValue::Of(default) => (Some(default()), default()),
            DefaultValue::None { example } => (None, example.to_owned()),
        };
        let (name, exposure) = (self.name(), self.format.exposure());
        Spec {
            variable: self.variable,
            flag: (exposure != Exposure::Hidden).then(|| name.replace('_', "-")),
            name,
            default,
            example,
            kind: F::KIND,
            exposure,
            is_optional: self.format.is_optional(),
            allowed: self.format.allowed(),
            help: self.help,
            heading: section.heading,
            may_differ: section.scope.contains(self.variable),
            declaration: self,
        }
    }

    fn check(&self, text: &str) -> Result<(), Invalid> {
        self.format.parse(text).map(drop)
    }
}

// === impl Scope ===

impl Scope {
    /// Returns whether a setting of the section may differ between clusters.
    fn contains(self, variable: &str) -> bool {
        match self {
            Self::Daemon => false,
            Self::Cluster => true,
            Self::ClusterOnly(variables) => variables.contains(&variable),
        }
    }
}

// === impl Spec ===

impl Spec {
    /// Returns the key in the table of a cluster. `kubeconfig` and `namespace` need no prefix there.
    pub fn key_of_cluster(&self) -> &str {
        if self.name == KUBECONFIG_PATH {
            return "kubeconfig";
        }
        let prefixes = ["k8s_", "sandbox_"];
        prefixes.into_iter().find_map(|prefix| self.name.strip_prefix(prefix)).unwrap_or(&self.name)
    }

    /// Returns whether an empty environment variable is a value, as in DeerFlow's provisioner, and not the same as an
    /// absent one. Otherwise a variable could not unset an optional setting that has a default.
    pub fn empty_variable_counts(&self) -> bool {
        self.is_optional && self.default.is_some()
    }
}
