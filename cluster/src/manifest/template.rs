//! What the settings say about sandboxes, typed.

use std::{fmt, net::Ipv6Addr};

use super::SubPathTemplate;

/// Everything about a sandbox's Pod, Service and URL that does not come from the request.
///
/// The values are taken as they are: whoever fills this in has checked them (see [`super::is_absolute`] for
/// host paths, [`SubPathTemplate::parse`]). [`Template::default`] is what holds where nothing is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The namespace of all sandboxes (`K8S_NAMESPACE`).
    pub namespace: String,
    /// The sandbox container's image (`SANDBOX_IMAGE`).
    pub image: String,
    /// The port on which the sandbox answers, in the Pod and on the Service (`SANDBOX_CONTAINER_PORT`); not 0.
    pub container_port: u16,
    /// How callers reach the Service (`SANDBOX_SERVICE_TYPE`).
    pub service_type: ServiceType,
    /// Under which host name or address callers reach node ports (`NODE_HOST`).
    pub node_host: String,
    /// The host directory of all threads' data (`THREADS_HOST_PATH`).
    pub threads_host_path: String,
    /// The host directory of DeerFlow's state (`DEER_FLOW_HOST_BASE_DIR`).
    ///
    /// It may be empty, which is not the same as unset: extra mounts are then allowed beside the threads'
    /// directory if that is called `threads`, and the `skills_view` paths are relative, as the original has it.
    pub host_base_dir: String,
    /// The one host directory of skills in the older layout (`SKILLS_HOST_PATH`); `None` where unset or empty.
    pub skills_host_path: Option<String>,
    /// The claim that holds skills (`SKILLS_PVC_NAME`); `None` where unset or empty.
    pub skills_pvc: Option<String>,
    /// The directory within [`Template::skills_pvc`] (`SKILLS_PVC_SUBPATH_TEMPLATE`); `None` is its root.
    pub skills_pvc_sub_path: Option<SubPathTemplate>,
    /// The claim that holds users' data (`USERDATA_PVC_NAME`); `None` where unset or empty.
    pub userdata_pvc: Option<String>,
    /// The image that installs the Lark command line (`LARK_CLI_INIT_IMAGE`); `None` where unset or empty.
    pub lark_init_image: Option<String>,
    /// The image of the Lark command line's broker (`LARK_CLI_BROKER_IMAGE`); `None` where unset or empty.
    pub lark_broker_image: Option<String>,
    /// Subcommands that the broker refuses, comma-separated (`DEERFLOW_LARK_BROKER_DENY_SUBCOMMANDS`);
    /// `None` where unset or empty. Handed on as it is.
    pub lark_broker_deny_subcommands: Option<String>,
}

/// How callers reach a sandbox's Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ServiceType {
    /// By a port on every node, which the cluster picks.
    #[default]
    NodePort,
    /// By the cluster's own DNS, from inside it.
    ClusterIP,
}

/// A text that names no [`ServiceType`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no service type: use NodePort or ClusterIP")]
pub struct UnknownServiceType(pub String);

/// Where `/mnt/skills` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SkillsSource<'a> {
    /// A claim, mounted whole or by a directory within it.
    Claim { name: &'a str, sub_path: Option<&'a SubPathTemplate> },
    /// The older layout: one host directory.
    Directory(&'a str),
    /// Three views under DeerFlow's state: everybody's, the user's own, the user's older ones.
    Views { host_base_dir: &'a str },
}

// === impl Template ===

impl Default for Template {
    fn default() -> Self {
        Self {
            namespace: "deer-flow".to_owned(),
            image: "enterprise-public-cn-beijing.cr.volces.com/vefaas-public/all-in-one-sandbox:latest"
                .to_owned(),
            container_port: 8080,
            service_type: ServiceType::default(),
            node_host: "host.docker.internal".to_owned(),
            threads_host_path: "/.deer-flow/threads".to_owned(),
            host_base_dir: "/.deer-flow".to_owned(),
            skills_host_path: None,
            skills_pvc: None,
            skills_pvc_sub_path: None,
            userdata_pvc: None,
            lark_init_image: None,
            lark_broker_image: None,
            lark_broker_deny_subcommands: None,
        }
    }
}

impl Template {
    /// Which of the three sources of skills holds.
    ///
    /// The claim comes first: whoever sets it has moved skills off the hosts, and a `SKILLS_HOST_PATH` left
    /// over from an older compose file must not bring a hostPath back.
    pub(super) fn skills(&self) -> SkillsSource<'_> {
        match (&self.skills_pvc, &self.skills_host_path) {
            (Some(name), _) => SkillsSource::Claim { name, sub_path: self.skills_pvc_sub_path.as_ref() },
            (None, Some(path)) => SkillsSource::Directory(path),
            (None, None) => SkillsSource::Views { host_base_dir: &self.host_base_dir },
        }
    }

    /// The node host as it stands in a URL: an IPv6 address in brackets.
    pub(super) fn url_host(&self) -> String {
        match self.node_host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => self.node_host.clone(),
        }
    }
}

// === impl ServiceType ===

impl ServiceType {
    /// Reads `SANDBOX_SERVICE_TYPE`, case and all as Kubernetes writes it.
    ///
    /// # Errors
    /// [`UnknownServiceType`] for anything but the two.
    pub fn parse(text: &str) -> Result<Self, UnknownServiceType> {
        match text {
            "NodePort" => Ok(Self::NodePort),
            "ClusterIP" => Ok(Self::ClusterIP),
            _ => Err(UnknownServiceType(text.to_owned())),
        }
    }

    /// Kubernetes' own word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NodePort => "NodePort",
            Self::ClusterIP => "ClusterIP",
        }
    }
}

impl fmt::Display for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
