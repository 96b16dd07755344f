//! The settings that shape the sandboxes, with types.

use std::net::Ipv6Addr;

use super::{Probes, SubPathTemplate};
use crate::{network::Network, profile::Profiles};

/// The settings of a sandbox's Pod, Service and URL, that is, everything that does not come from the request.
///
/// The values are not checked here. Check host paths with [`super::is_absolute`] and parse the sub-path with
/// [`SubPathTemplate::parse`] before. [`Template::default`] holds the defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// The namespace of all sandboxes (`K8S_NAMESPACE`).
    pub namespace: String,
    /// The sandbox container's image (`SANDBOX_IMAGE`).
    pub image: String,
    /// The port on which the sandbox listens, in the Pod and on the Service (`SANDBOX_CONTAINER_PORT`); not 0.
    pub container_port: u16,
    /// The kubelet's probes of the sandbox container (`SANDBOX_PROBES`).
    pub probes: Probes,
    /// The type of the Service, which determines its URL (`SANDBOX_SERVICE_TYPE`).
    pub service_type: ServiceType,
    /// The host name or address at which callers reach node ports (`NODE_HOST`).
    pub node_host: String,
    /// The host directory of all threads' data (`THREADS_HOST_PATH`).
    pub threads_host_path: String,
    /// The host directory of DeerFlow's state (`DEER_FLOW_HOST_BASE_DIR`).
    ///
    /// An empty text differs from an unset one. Extra mounts are then allowed next to the threads' directory, if that
    /// is called `threads`, and the `skills_view` paths are relative. DeerFlow's provisioner does the same.
    pub host_base_dir: String,
    /// The single host directory of skills in the older layout (`SKILLS_HOST_PATH`); `None` if unset or empty.
    pub skills_host_path: Option<String>,
    /// The claim that holds skills (`SKILLS_PVC_NAME`); `None` if unset or empty.
    pub skills_pvc: Option<String>,
    /// The sub-path within [`Template::skills_pvc`] (`SKILLS_PVC_SUBPATH_TEMPLATE`); `None` for the claim's root.
    pub skills_pvc_sub_path: Option<SubPathTemplate>,
    /// The claim that holds users' data (`USERDATA_PVC_NAME`); `None` if unset or empty.
    pub userdata_pvc: Option<String>,
    /// The image that installs the Lark command line (`LARK_CLI_INIT_IMAGE`); `None` if unset or empty.
    pub lark_init_image: Option<String>,
    /// The image of the Lark command line's broker (`LARK_CLI_BROKER_IMAGE`); `None` if unset or empty.
    pub lark_broker_image: Option<String>,
    /// The subcommands that the broker refuses, comma-separated (`DEERFLOW_LARK_BROKER_DENY_SUBCOMMANDS`); `None` if
    /// unset or empty. The text is passed to the broker unchanged.
    pub lark_broker_deny_subcommands: Option<String>,
    /// The profiles that a request may name.
    pub profiles: Profiles,
    /// The settings of the network policies.
    pub network: Network,
}

lifecycle::named! {
    /// The type of a sandbox's Service, which determines how callers reach it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub enum ServiceType {
        /// A port on every node. The cluster chooses it.
        #[default]
        NodePort = "NodePort",
        /// The cluster's DNS name of the Service, reachable only from inside the cluster.
        ClusterIP = "ClusterIP",
    }
}

// === impl Template ===

impl Default for Template {
    fn default() -> Self {
        Self {
            namespace: "deer-flow".to_owned(),
            image: "enterprise-public-cn-beijing.cr.volces.com/vefaas-public/all-in-one-sandbox:latest"
                .to_owned(),
            container_port: 8080,
            probes: Probes::default(),
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
            profiles: Profiles::default(),
            network: Network::default(),
        }
    }
}

impl Template {
    /// Returns the node host as it is written in a URL: an IPv6 address is put in brackets.
    pub(super) fn url_host(&self) -> String {
        match self.node_host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => self.node_host.clone(),
        }
    }
}
