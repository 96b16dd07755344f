//! The Lark command line in a sandbox, which is provided in one of two ways.
//!
//! - *Runtime*: an init container copies the command line into a volume that the sandbox reads.
//! - *Broker*: the init container copies only a shim. The command line and the user's credentials are in a second
//!   container that the sandbox calls. The sandbox never sees the credentials.
//!
//! Each needs its image in the settings and a request that asks for it. A request for the broker is rejected if its
//! image is not configured. A request for the runtime is rejected if the broker is configured. In both cases the
//! credentials would otherwise be in the sandbox.

use k8s_openapi::api::core::v1::{Container, EnvVar, SecurityContext, Volume, VolumeMount};
use lifecycle::{
    error::SandboxError,
    request::{CreateRequest, ExtraMount},
};

use super::{
    MountError, MountPath, SkillsRoot, Template, mounts,
    volumes::{self, VolumeAndMount},
};
use crate::names;

/// The way in which a Pod gets the Lark command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lark<'a> {
    Off,
    Runtime { image: &'a str },
    Broker { image: &'a str },
}

/// The volume that the init container writes and the sandbox reads.
const RUNTIME_VOLUME: &str = "lark-cli-runtime";
/// The address on which the broker listens. It is a loopback address, so only containers of the same Pod can connect.
const BROKER_URL: &str = "http://127.0.0.1:8788";
/// The directory of the user's configuration in the broker.
const BROKER_CONFIG: &str = "/var/lark/config";
/// The directory of the user's data in the broker.
const BROKER_DATA: &str = "/var/lark/data";
/// The caller's mounts that the broker gets instead of the sandbox: the mount path, the volume name, and the path in
/// the broker.
const CREDENTIALS: [(MountPath, &str, &str); 3] = [
    (MountPath::LarkConfig, "lark-cli-config", BROKER_CONFIG),
    (MountPath::LarkLocks, "lark-cli-locks", "/var/lark/config/locks"),
    (MountPath::LarkData, "lark-cli-data", BROKER_DATA),
];

// === impl Lark ===

impl<'a> Lark<'a> {
    /// Returns the variant that the request asks for, if the settings allow it.
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

    /// Returns whether a caller's mount is left out of the sandbox, because the runtime volume or the broker replaces
    /// it.
    pub(super) fn replaces(self, mount: &ExtraMount, skills: SkillsRoot<'_>) -> bool {
        match (self, MountPath::of(mount, skills)) {
            (Self::Runtime { .. } | Self::Broker { .. }, Some(MountPath::LarkRuntime)) => true,
            (Self::Broker { .. }, Some(path)) => {
                CREDENTIALS.iter().any(|(credential, ..)| *credential == path)
            }
            _ => false,
        }
    }

    /// Returns the volume from which the sandbox reads the command line or its shim.
    pub(super) fn runtime_volume(self) -> Option<Volume> {
        (self != Self::Off).then(|| volumes::empty_volume(RUNTIME_VOLUME))
    }

    /// Returns the sandbox's mount of the runtime volume.
    pub(super) fn runtime_mount(self) -> Option<VolumeMount> {
        (self != Self::Off).then(|| runtime_mount(true))
    }

    /// Returns the environment variable that tells the sandbox the broker's URL.
    pub(super) fn sandbox_env(self) -> Option<EnvVar> {
        matches!(self, Self::Broker { .. }).then(|| env("DEERFLOW_LARK_BROKER_URL", BROKER_URL))
    }

    /// Returns the init container that fills the runtime volume.
    pub(super) fn init_container(self) -> Option<Container> {
        let (name, image, args) = match self {
            Self::Off => return None,
            Self::Runtime { image } => (names::LARK_INIT_CONTAINER, image, None),
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

    /// Returns the credentials that the broker mounts. Without a broker there are none.
    ///
    /// All of the caller's mounts are checked, including those that no container mounts.
    pub(super) fn credentials(
        self,
        template: &Template,
        skills: SkillsRoot<'_>,
        request: &CreateRequest,
    ) -> Result<Vec<VolumeAndMount>, MountError> {
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

    /// Builds the broker's container with the mounts of the credentials.
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

/// Builds a container that cannot escalate its privileges. The sandbox's own container may.
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
