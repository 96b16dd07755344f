//! The Lark command line inside a sandbox.

use kubernetes::manifest::Template;

use super::{
    format::{Optional, Rule},
    reader::{Reader, Reported},
    rules,
    setting::{DefaultValue, Scope, Section, Setting},
};

pub(super) const SECTION: Section = Section {
    heading: "Lark command line",
    scope: Scope::Cluster,
    settings: &[&INIT_IMAGE, &BROKER_IMAGE, &DENY_SUBCOMMANDS],
};

static INIT_IMAGE: Setting<Optional<Rule<String>>> = Setting {
    variable: "LARK_CLI_INIT_IMAGE",
    format: Optional(rules::IMAGE),
    default: DefaultValue::None { example: "registry.example/lark-cli-init:1" },
    help: "Image of the init container that installs the Lark command line in a sandbox",
};

static BROKER_IMAGE: Setting<Optional<Rule<String>>> = Setting {
    variable: "LARK_CLI_BROKER_IMAGE",
    format: Optional(rules::IMAGE),
    default: DefaultValue::None { example: "registry.example/lark-cli-broker:1" },
    help: "Image of the sidecar that runs the Lark command line and is the only container with its credentials",
};

static DENY_SUBCOMMANDS: Setting<Optional<Rule<String>>> = Setting {
    variable: "DEERFLOW_LARK_BROKER_DENY_SUBCOMMANDS",
    format: Optional(rules::ONE_LINE),
    default: DefaultValue::None { example: "config show, auth token" },
    help: "Lark subcommands that the sidecar refuses, separated by commas; passed on unchanged",
};

pub(super) fn read(reader: &Reader<'_>, template: &mut Template) -> Result<(), Reported> {
    template.lark_init_image = reader.get(&INIT_IMAGE)?;
    template.lark_broker_image = reader.get(&BROKER_IMAGE)?;
    template.lark_broker_deny_subcommands = reader.get(&DENY_SUBCOMMANDS)?;
    Ok(())
}
