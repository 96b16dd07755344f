//! The host directories and claims that a sandbox mounts.

use kubernetes::manifest::{SubPathTemplate, Template};

use super::{
    format::{Format, Invalid, Optional, Rule},
    reader::{Reader, Reported},
    rules,
    setting::{DefaultValue, Scope, Section, Setting},
};

pub(super) const SECTION: Section = Section {
    heading: "Volumes",
    scope: Scope::Cluster,
    settings: &[
        &THREADS_HOST_PATH,
        &HOST_BASE_DIR,
        &SKILLS_HOST_PATH,
        &SKILLS_PVC,
        &SKILLS_PVC_SUB_PATH,
        &USERDATA_PVC,
    ],
};

static THREADS_HOST_PATH: Setting<Rule<String>> = Setting {
    variable: "THREADS_HOST_PATH",
    format: rules::HOST_PATH,
    default: DefaultValue::Of(|| Template::default().threads_host_path),
    help: "Directory on the node that contains the user data of each thread",
};

static HOST_BASE_DIR: Setting<Optional<Rule<String>>> = Setting {
    variable: "DEER_FLOW_HOST_BASE_DIR",
    format: Optional(Rule::new(rules::host_path, "an absolute path on the node without \"..\", or nothing")),
    default: DefaultValue::Of(|| Template::default().host_base_dir),
    help: "DeerFlow's state directory on the node; it contains the skills, and extra mounts must be inside it; if it is empty, which DeerFlow's provisioner allows, the paths of the skills are relative",
};

static SKILLS_HOST_PATH: Setting<Optional<Rule<String>>> = Setting {
    variable: "SKILLS_HOST_PATH",
    format: Optional(rules::HOST_PATH),
    default: DefaultValue::None { example: "/srv/deer-flow/skills" },
    help: "Skills directory on the node in the older layout: one read-only mount instead of the three below the state directory; a skills claim takes precedence",
};

static SKILLS_PVC: Setting<Optional<Rule<String>>> = Setting {
    variable: "SKILLS_PVC_NAME",
    format: Optional(rules::CLAIM),
    default: DefaultValue::None { example: "skills" },
    help: "Claim that contains the skills, instead of host paths",
};

static SKILLS_PVC_SUB_PATH: Setting<Optional<SubPath>> = Setting {
    variable: "SKILLS_PVC_SUBPATH_TEMPLATE",
    format: Optional(SubPath),
    default: DefaultValue::None { example: "deer-flow/users/{user_id}/skills" },
    help: "Path of a sandbox's skills in the skills claim; the default is the root of the claim",
};

static USERDATA_PVC: Setting<Optional<Rule<String>>> = Setting {
    variable: "USERDATA_PVC_NAME",
    format: Optional(rules::CLAIM),
    default: DefaultValue::None { example: "userdata" },
    help: "Claim that contains the users' data, instead of host paths",
};

/// A path in a claim, with placeholders.
struct SubPath;

pub(super) fn read(reader: &Reader<'_>, template: &mut Template) -> Result<(), Reported> {
    template.threads_host_path = reader.get(&THREADS_HOST_PATH)?;
    template.host_base_dir = reader.get(&HOST_BASE_DIR)?.unwrap_or_default();
    template.skills_host_path = reader.get(&SKILLS_HOST_PATH)?;
    template.skills_pvc = reader.get(&SKILLS_PVC)?;
    template.skills_pvc_sub_path = reader.get(&SKILLS_PVC_SUB_PATH)?;
    template.userdata_pvc = reader.get(&USERDATA_PVC)?;
    Ok(())
}

// === impl SubPath ===

impl Format for SubPath {
    type Value = SubPathTemplate;

    fn parse(&self, text: &str) -> Result<SubPathTemplate, Invalid> {
        SubPathTemplate::parse(text).map_err(|error| Invalid(Some(error.to_string())))
    }

    fn allowed(&self) -> String {
        "a relative path without \"..\", with {user_id} and {thread_id} as its only placeholders".to_owned()
    }
}
