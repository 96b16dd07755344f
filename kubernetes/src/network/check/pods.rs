//! The two Pods of the check.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, LocalObjectReference, Pod, PodSecurityContext, PodSpec,
        Probe, ResourceRequirements, SeccompProfile, SecurityContext, TCPSocketAction, Toleration,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use crate::{names, profile::Profile};

/// The shell script of both Pods. Its arguments are what to do, an address and a port. It works with the programs that
/// images commonly have.
pub(super) const SCRIPT: &str = include_str!("check.sh");

/// The user of the containers. It needs no entry in the image.
const USER: i64 = 65534;

/// How long the containers may run, if no process deletes the Pods.
const LIFETIME_SECONDS: i64 = 600;

/// The port of the server; the second one if the sandboxes use the first.
const PORTS: [u16; 2] = [18080, 18081];

/// The settings of the Pods.
pub(in crate::network) struct PodSettings {
    image: String,
    port: u16,
    node_selector: BTreeMap<String, String>,
    tolerations: Option<Vec<Toleration>>,
    image_pull_secrets: Option<Vec<String>>,
}

/// The task of a Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Listens on a port.
    Server,
    /// Connects to it.
    Client,
}

// === impl PodSettings ===

impl PodSettings {
    /// Uses this image, on the nodes of a profile and with its credentials. `sandbox_port` is not used.
    pub(in crate::network) fn new(image: &str, sandbox_port: u16, profile: Option<&Profile>) -> Self {
        Self {
            image: image.to_owned(),
            port: PORTS.into_iter().find(|port| *port != sandbox_port).unwrap_or_default(),
            node_selector: profile.map(|profile| profile.node_selector.clone()).unwrap_or_default(),
            tolerations: profile.and_then(|profile| profile.tolerations.clone()),
            image_pull_secrets: profile.and_then(|profile| profile.image_pull_secrets.clone()),
        }
    }
}

// === impl Role ===

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// Returns the name of a Pod.
pub(super) fn name(role: Role, suffix: &str) -> String {
    format!("sandbox-provisioner-check-{}-{suffix}", role.name())
}

/// Builds a Pod. The client needs the address of the server.
pub(super) fn pod(settings: &PodSettings, role: Role, suffix: &str, server: Option<&str>) -> Pod {
    let port = settings.port.to_string();
    let container = |name: &str, arguments: &[&str]| {
        let command = ["sh", "-c", SCRIPT].iter().chain(arguments);
        Container {
            name: name.to_owned(),
            image: Some(settings.image.clone()),
            image_pull_policy: Some("IfNotPresent".to_owned()),
            command: Some(command.map(|word| (*word).to_owned()).collect()),
            resources: Some(resources()),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
                ..SecurityContext::default()
            }),
            ..Container::default()
        }
    };
    let address = server.unwrap_or_default();
    let (init_containers, container) = match role {
        Role::Server => (None, listening(container("server", &["serve", "", &port]), settings.port)),
        Role::Client => (
            Some(vec![container("before", &["until-reachable", address, &port])]),
            container("after", &["until-blocked", address, &port]),
        ),
    };
    let mut labels = names::namespace_labels();
    labels.insert(names::NETWORK_CHECK.to_owned(), role.name().to_owned());
    let secrets = settings.image_pull_secrets.as_ref();
    Pod {
        metadata: ObjectMeta {
            name: Some(name(role, suffix)),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            active_deadline_seconds: Some(LIFETIME_SECONDS),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            restart_policy: Some("Never".to_owned()),
            termination_grace_period_seconds: Some(0),
            init_containers,
            containers: vec![container],
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(USER),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            node_selector: (!settings.node_selector.is_empty()).then(|| settings.node_selector.clone()),
            tolerations: settings.tolerations.clone(),
            image_pull_secrets: secrets
                .map(|names| names.iter().map(|name| LocalObjectReference { name: name.clone() }).collect()),
            ..PodSpec::default()
        }),
        status: None,
    }
}

/// Adds the port of the server. It is ready once the kubelet reaches it, which no policy forbids.
fn listening(container: Container, port: u16) -> Container {
    Container {
        ports: Some(vec![ContainerPort { container_port: port.into(), ..ContainerPort::default() }]),
        readiness_probe: Some(Probe {
            tcp_socket: Some(TCPSocketAction { host: None, port: IntOrString::Int(port.into()) }),
            period_seconds: Some(1),
            ..Probe::default()
        }),
        ..container
    }
}

fn resources() -> ResourceRequirements {
    let amounts = |amounts: [(&str, &str); 3]| {
        Some(amounts.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))).into())
    };
    ResourceRequirements {
        requests: amounts([("cpu", "10m"), ("memory", "32Mi"), ("ephemeral-storage", "10Mi")]),
        limits: amounts([("cpu", "200m"), ("memory", "64Mi"), ("ephemeral-storage", "10Mi")]),
        ..ResourceRequirements::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that the Pods are not sandboxes, listen beside the sandbox's port, and end by themselves.
    #[test]
    fn the_pods_are_not_sandboxes() {
        let settings = PodSettings::new("image:1", 18080, None);
        for role in [Role::Server, Role::Client] {
            let pod = pod(&settings, role, "0a", Some("10.0.0.1"));
            let labels = pod.metadata.labels.unwrap();
            assert!(names::sandbox_id_of(&labels).is_none() && !labels.contains_key("app"));
            assert!(!labels.contains_key(names::NETWORK) && labels.contains_key(names::NETWORK_CHECK));
            let spec = pod.spec.unwrap();
            assert_eq!((spec.active_deadline_seconds, spec.containers.len()), (Some(600), 1));
            assert!(spec.containers[0].command.as_ref().unwrap().contains(&"18081".to_owned()));
        }
    }
}
