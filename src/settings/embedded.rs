//! The embedded clusters.

use std::net::{IpAddr, SocketAddr};

use lifecycle::ids::ClusterName;

use super::{
    format::{Boolean, Format as _, Number, Optional, Rule},
    network,
    problem::{Origin, Problem},
    reader::{Reader, Reported},
    rules, sandbox,
    setting::{DefaultValue, Scope, Section, Setting},
    sources::{RawValue, Sources},
};

pub(super) const SECTION: Section = Section {
    heading: "Embedded cluster",
    scope: Scope::Daemon,
    settings: &[&EMBEDDED, &EMBEDDED_BIND, &EMBEDDED_NODES, &EMBEDDED_CLUSTERS, &EMBEDDED_API],
};

static EMBEDDED: Setting<Boolean> = Setting {
    variable: "PROVISIONER_EMBEDDED",
    format: Boolean,
    default: DefaultValue::Text("false"),
    help: "Run on an embedded cluster: no Kubernetes is needed, and nothing is kept",
};

static EMBEDDED_BIND: Setting<Rule<IpAddr>> = Setting {
    variable: "PROVISIONER_EMBEDDED_BIND",
    format: Rule::new(|text| text.parse().ok(), "an IP address"),
    default: DefaultValue::Text("127.0.0.1"),
    help: "Address on which the simulated sandboxes of the embedded cluster listen, each on its node port",
};

static EMBEDDED_NODES: Setting<Number<usize>> = Setting {
    variable: "PROVISIONER_EMBEDDED_NODES",
    format: Number(1..=100),
    default: DefaultValue::Text("1"),
    help: "Number of nodes of the embedded cluster; more than one are in the zones 'zone-a', 'zone-b' and 'zone-c'",
};

static EMBEDDED_CLUSTERS: Setting<Number<u8>> = Setting {
    variable: "PROVISIONER_EMBEDDED_CLUSTERS",
    format: Number(1..=8),
    default: DefaultValue::Text("1"),
    help: "Number of embedded clusters; several have the names 'embedded-1', 'embedded-2' and so on. With tables [clusters.NAME] each of those is an embedded cluster instead",
};

/// Everyone who reaches an API server can do anything in its cluster.
static EMBEDDED_API: Setting<Optional<Rule<SocketAddr>>> = Setting {
    variable: "PROVISIONER_EMBEDDED_API",
    format: Optional(Rule::new(
        |text| text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback()),
        "a loopback address and a port, such as 127.0.0.1:7001; with port 0 the system chooses all ports",
    )),
    default: DefaultValue::None { example: "127.0.0.1:7001" },
    help: "Address of the first embedded cluster's API server, for kubectl and to inject faults; each further cluster has the next port",
};

/// The settings that decide which embedded clusters there are.
pub(super) const SWITCHES: [&str; 2] = ["PROVISIONER_EMBEDDED", "PROVISIONER_EMBEDDED_CLUSTERS"];

/// The addresses of the embedded cluster's nodes.
const NODES: &str = "192.0.2.0/24";

/// The embedded clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// The address on which the simulated sandboxes listen, each on its node port.
    pub sandbox_bind: IpAddr,
    /// The number of nodes of each.
    pub nodes: usize,
    /// The address of the first one's API server; the others have the next ports.
    pub api: Option<SocketAddr>,
}

pub(super) fn read(reader: &Reader<'_>) -> Result<Option<Embedded>, Reported> {
    let embedded = Embedded {
        sandbox_bind: reader.get(&EMBEDDED_BIND)?,
        nodes: reader.get(&EMBEDDED_NODES)?,
        api: reader.get(&EMBEDDED_API)?,
    };
    Ok(reader.get(&EMBEDDED)?.then_some(embedded))
}

/// Returns the names of the embedded clusters without tables of clusters in the settings file.
pub(super) fn names(reader: &Reader<'_>) -> Result<Vec<ClusterName>, Reported> {
    let count = reader.get(&EMBEDDED_CLUSTERS)?;
    Ok(if count == 1 {
        vec![ClusterName::DEFAULT]
    } else {
        (1..=count).filter_map(|number| ClusterName::parse(&format!("embedded-{number}"))).collect()
    })
}

/// Returns a problem if there are too many tables, or a number of clusters besides.
pub(super) fn check_tables(reader: &mut Reader<'_>, tables: usize) -> Result<(), Reported> {
    if reader.get(&EMBEDDED_CLUSTERS)? != 1 {
        let origin = reader.sources.origin(&EMBEDDED_CLUSTERS);
        return Err(reader.report(Problem::new(format!(
            "{}: a number from {origin} is not allowed, as each table [clusters.NAME] is an embedded cluster; allowed: \
             one of both",
            EMBEDDED_CLUSTERS.name()
        ))));
    }
    let max = usize::from(*EMBEDDED_CLUSTERS.format.0.end());
    if tables > max {
        return Err(reader.report(Problem::new(format!(
            "clusters: {tables} embedded clusters are not allowed; allowed: at most {max}"
        ))));
    }
    Ok(())
}

/// On the embedded cluster the only source of connections is its node.
pub(super) fn set_network_sources_default(sources: &mut Sources) {
    let embedded = sources.get(&EMBEDDED).is_some_and(|raw| raw.text == "true");
    if embedded && sources.get(&network::SOURCES).is_none() {
        let (text, origin) = (NODES.to_owned(), Origin::DefaultFor(EMBEDDED.name()));
        sources.set(&network::SOURCES, RawValue { text, origin });
    }
}

/// On the embedded cluster the default host name does not resolve, so the default is the address on which the
/// simulated sandboxes listen.
pub(super) fn set_node_host_default(sources: &mut Sources) {
    let embedded = sources.get(&EMBEDDED).is_some_and(|raw| raw.text == "true");
    if !embedded || sources.origin(&sandbox::NODE_HOST) != Origin::Default {
        return;
    }
    let Some(bind) = sources.get(&EMBEDDED_BIND).and_then(|raw| EMBEDDED_BIND.format.parse(&raw.text).ok())
    else {
        return;
    };
    let text = rules::reachable(bind).to_string();
    sources.set(&sandbox::NODE_HOST, RawValue { text, origin: Origin::DefaultFor(EMBEDDED.name()) });
}
