//! The Lark command line in a sandbox, in one of two ways.
//!
//! - *Runtime*: an init container copies the command line into a directory that the sandbox then reads.
//! - *Broker*: the init container copies only a shim; the command line itself, and the user's credentials,
//!   are in a second container that the sandbox talks to. The sandbox never sees the credentials.
//!
//! Each is on where its image is configured and the request asks for it. A request for the broker without its image,
//! or for the runtime where the broker is configured, is refused: the credentials would end up in the sandbox.

use k8s_openapi::api::core::v1::{Container, EnvVar, SecurityContext, Volume, VolumeMount};
use lifecycle::{
    error::SandboxError,
    request::{CreateRequest, ExtraMount},
};

use super::{
    MountError, MountPath, SkillsRoot, Template, mounts,
    volumes::{self, Mounted},
};
use crate::names;

/// What a Pod has of the Lark command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lark<'a> {
    Off,
    Runtime { image: &'a str },
    Broker { image: &'a str },
}

/// The volume that the init container fills and the sandbox reads.
const RUNTIME_VOLUME: &str = "lark-cli-runtime";
/// Where the broker listens: on the Pod's own loopback, so that nobody else reaches it.
const BROKER_URL: &str = "http://127.0.0.1:8788";
/// Where the broker finds the user's configuration.
const BROKER_CONFIG: &str = "/var/lark/config";
/// Where the broker keeps the user's data.
const BROKER_DATA: &str = "/var/lark/data";
/// What of the caller's mounts goes to the broker: from where, as which volume, to where.
const CREDENTIALS: [(MountPath, &str, &str); 3] = [
    (MountPath::LarkConfig, "lark-cli-config", BROKER_CONFIG),
    (MountPath::LarkLocks, "lark-cli-locks", "/var/lark/config/locks"),
    (MountPath::LarkData, "lark-cli-data", BROKER_DATA),
];

// === impl Lark ===

impl<'a> Lark<'a> {
    /// Returns what the request asks for, if the settings allow it.
    pub(super) fn of(template: &'a Template, request: &CreateRequest) -> Result<Self, SandboxError> {
        match (&template.lark_broker_image, request.provision_lark_cli_broker) {
            (Some(image), true) => return Ok(Self::Broker { image }),
            (None, true) => return Err(SandboxError::LarkBrokerNotConfigured),
            (Some(_), false) if request.provision_lark_cli_runtime => {
                return Err(SandboxError::LarkBrokerRequired);
            }
            (_, false) => {}
        }
        let image = template.lark_init_image.as_ref().filter(|_| request.provision_lark_cli_runtime);
        Ok(image.map_or(Self::Off, |image| Self::Runtime { image }))
    }

    /// Whether a caller's mount stays out of the sandbox, as something of ours takes its place.
    pub(super) fn replaces(self, mount: &ExtraMount, skills: SkillsRoot<'_>) -> bool {
        match (self, MountPath::of(mount, skills)) {
            (Self::Runtime { .. } | Self::Broker { .. }, Some(MountPath::LarkRuntime)) => true,
            (Self::Broker { .. }, Some(path)) => {
                CREDENTIALS.iter().any(|(credential, ..)| *credential == path)
            }
            _ => false,
        }
    }

    /// The volume that the sandbox reads the command line (or its shim) from.
    pub(super) fn runtime_volume(self) -> Option<Volume> {
        (self != Self::Off).then(|| volumes::empty_volume(RUNTIME_VOLUME))
    }

    /// Where the sandbox sees that volume.
    pub(super) fn runtime_mount(self) -> Option<VolumeMount> {
        (self != Self::Off).then(|| runtime_mount(true))
    }

    /// The variable of the sandbox container that tells where the broker is.
    pub(super) fn sandbox_env(self) -> Option<EnvVar> {
        matches!(self, Self::Broker { .. }).then(|| env("DEERFLOW_LARK_BROKER_URL", BROKER_URL))
    }

    /// The container that fills the runtime volume before the sandbox starts.
    pub(super) fn init_container(self) -> Option<Container> {
        let (name, image, args) = match self {
            Self::Off => return None,
            Self::Runtime { image } => ("lark-cli-init", image, None),
            Self::Broker { image } => {
                let args = ["install-shim", names::LARK_RUNTIME_PATH];
                (names::LARK_SHIM_CONTAINER, image, Some(args.map(str::to_owned).to_vec()))
            }
        };
        Some(Container {
            args,
            env: Some(vec![env("LARK_CLI_RUNTIME_DEST", names::LARK_RUNTIME_PATH)]),
            volume_mounts: Some(vec![runtime_mount(false)]),
            ..confined(name, image)
        })
    }

    /// The credentials that the broker has mounted: none where there is no broker.
    ///
    /// All of the caller's mounts are checked, those that no container sees too.
    pub(super) fn credentials(
        self,
        template: &Template,
        skills: SkillsRoot<'_>,
        request: &CreateRequest,
    ) -> Result<Vec<Mounted>, MountError> {
        if !matches!(self, Self::Broker { .. }) {
            return Ok(Vec::new());
        }
        let checked = mounts::check(template, skills, &request.extra_mounts)?;
        CREDENTIALS
            .iter()
            .filter_map(|(path, name, target)| {
                let mount = checked.iter().find(|mount| mount.path == *path)?;
                Some(volumes::of_mount(template, mount, name, target))
            })
            .collect()
    }

    /// The broker itself, with the places where it sees the credentials.
    pub(super) fn broker(self, template: &Template, credentials: Vec<VolumeMount>) -> Option<Container> {
        let Self::Broker { image } = self else { return None };
        let mut broker_env =
            vec![env("LARKSUITE_CLI_CONFIG_DIR", BROKER_CONFIG), env("LARKSUITE_CLI_DATA_DIR", BROKER_DATA)];
        if let Some(denied) = &template.lark_broker_deny_subcommands {
            broker_env.push(env("DEERFLOW_LARK_BROKER_DENY_SUBCOMMANDS", denied));
        }
        Some(Container {
            args: Some(vec!["serve".to_owned()]),
            env: Some(broker_env),
            volume_mounts: (!credentials.is_empty()).then_some(credentials),
            ..confined(names::LARK_BROKER_CONTAINER, image)
        })
    }
}

fn runtime_mount(read_only: bool) -> VolumeMount {
    volumes::volume_mount(RUNTIME_VOLUME, names::LARK_RUNTIME_PATH, read_only)
}

pub(super) fn env(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), ..EnvVar::default() }
}

/// A container that cannot gain rights, unlike the sandbox's own.
fn confined(name: &str, image: &str) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        security_context: Some(SecurityContext {
            privileged: Some(false),
            allow_privilege_escalation: Some(false),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}
