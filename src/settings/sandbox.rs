//! The sandbox: its container, its Service, and the host name in its URL.

use std::time::Duration;

use kubernetes::manifest::{Probes, ServiceType, Template};

use super::{
    format::{DurationRange, Number, OneOf, Rule, duration_text},
    reader::{Reader, Reported},
    rules,
    setting::{DefaultValue, Scope, Section, Setting},
};

pub(super) const SECTION: Section = Section {
    heading: "Sandboxes",
    scope: Scope::Cluster,
    settings: &[&IMAGE, &CONTAINER_PORT, &PROBES, &BOOT_TIMEOUT, &SERVICE_TYPE, &NODE_HOST],
};

static IMAGE: Setting<Rule<String>> = Setting {
    variable: "SANDBOX_IMAGE",
    format: rules::IMAGE,
    default: DefaultValue::Of(|| Template::default().image),
    help: "Image of the sandbox container",
};

static CONTAINER_PORT: Setting<Number<u16>> = Setting {
    variable: "SANDBOX_CONTAINER_PORT",
    format: Number(1..=u16::MAX),
    default: DefaultValue::Of(|| Template::default().container_port.to_string()),
    help: "Port on which the sandbox container serves HTTP",
};

/// Whether the probes are fast.
static PROBES: Setting<OneOf<bool>> = Setting {
    variable: "SANDBOX_PROBES",
    format: OneOf(&[("fast", true), ("deerflow", false)]),
    default: DefaultValue::Text("fast"),
    help: "The kubelet's probes of a new sandbox: fast makes it ready within a second of its boot, deerflow are those of DeerFlow's provisioner",
};

/// Below ten seconds a node under load would kill images that boot normally. No caller waits longer than an hour.
static BOOT_TIMEOUT: Setting<DurationRange> = Setting {
    variable: "SANDBOX_BOOT_TIMEOUT",
    format: DurationRange(Duration::from_secs(10)..=Duration::from_secs(60 * 60)),
    default: DefaultValue::Of(|| duration_text(Probes::BOOT_TIMEOUT)),
    help: "With fast probes, how long the sandbox container may boot before a failing liveness probe restarts it",
};

static SERVICE_TYPE: Setting<OneOf<ServiceType>> = Setting {
    variable: "SANDBOX_SERVICE_TYPE",
    format: OneOf(&[("NodePort", ServiceType::NodePort), ("ClusterIP", ServiceType::ClusterIP)]),
    default: DefaultValue::Of(|| Template::default().service_type.to_string()),
    help: "Type of a sandbox's Service: NodePort is reachable on a port of the node, ClusterIP only inside the cluster",
};

pub(super) static NODE_HOST: Setting<Rule<String>> = Setting {
    variable: "NODE_HOST",
    format: rules::HOST,
    default: DefaultValue::Of(|| Template::default().node_host),
    help: "Host name at which clients reach the node ports; on the embedded cluster the default is the address on which its sandboxes listen",
};

pub(super) fn read(reader: &Reader<'_>, template: &mut Template) -> Result<(), Reported> {
    template.image = reader.get(&IMAGE)?;
    template.container_port = reader.get(&CONTAINER_PORT)?;
    let boot_timeout = reader.get(&BOOT_TIMEOUT)?;
    template.probes = if reader.get(&PROBES)? { Probes::Fast { boot_timeout } } else { Probes::DeerFlow };
    template.service_type = reader.get(&SERVICE_TYPE)?;
    template.node_host = reader.get(&NODE_HOST)?;
    Ok(())
}
