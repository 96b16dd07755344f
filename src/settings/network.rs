//! The network policies of the sandboxes.

use ipnet::IpNet;
use kubernetes::{
    manifest::Template,
    network::{Allowed, Destination, Network, Peer, PeerError, parse_range},
};

use super::{
    format::{Format, Invalid, Optional, Rule},
    reader::{Reader, Reported},
    rules,
    setting::{DefaultValue, Scope, Section, Setting},
};

pub(super) const SECTION: Section = Section {
    heading: "Network policies",
    scope: Scope::Cluster,
    settings: &[&SOURCES, &DNS, &CLUSTER_RANGES, &ALLOW, &CHECK_IMAGE],
};

/// A list, with commas between its entries.
pub(super) struct List<T> {
    parse: fn(&str) -> Result<T, PeerError>,
    allowed: &'static str,
}

pub(super) static SOURCES: Setting<Optional<List<Peer>>> = Setting {
    variable: "PROVISIONER_NETWORK_SOURCES",
    format: Optional(List {
        parse: str::parse,
        allowed: "addresses, ranges, and Pods as NAMESPACE/LABEL=VALUE or NAMESPACE/*, separated by commas",
    }),
    default: DefaultValue::None { example: "10.0.0.0/24, gateways/app=gateway" },
    help: "Who may reach a sandbox of the network modes isolated and allow-list: the backend, and for node ports the nodes; the modes need it",
};

static DNS: Setting<List<Destination>> = Setting {
    variable: "PROVISIONER_NETWORK_DNS",
    format: List {
        parse: str::parse,
        allowed: "addresses, ranges, and Pods as NAMESPACE/LABEL=VALUE, each perhaps with :PORT or :PORT/udp, separated by commas",
    },
    default: DefaultValue::Text(Network::DEFAULT_DNS),
    help: "DNS servers that a sandbox of the modes isolated and allow-list may ask; without a port, on port 53",
};

static CLUSTER_RANGES: Setting<Optional<List<IpNet>>> = Setting {
    variable: "PROVISIONER_NETWORK_CLUSTER_RANGES",
    format: Optional(List {
        parse: parse_range,
        allowed: "ranges such as 34.118.224.0/20, separated by commas",
    }),
    default: DefaultValue::None { example: "34.118.224.0/20, 2600:1900::/44" },
    help: "Ranges of the cluster's Pods, Services and nodes, which allow-list does not reach; private ranges are never reached and need not be named",
};

static ALLOW: Setting<Optional<List<Allowed>>> = Setting {
    variable: "PROVISIONER_NETWORK_ALLOW",
    format: Optional(List {
        parse: str::parse,
        allowed: "addresses, ranges, host names, and Pods as NAMESPACE/LABEL=VALUE, each perhaps with :PORT, :PORT-PORT or :PORT/udp, separated by commas",
    }),
    default: DefaultValue::None { example: "10.9.0.0/16:5432, [fd12::/48]:443" },
    help: "What a sandbox of the mode allow-list may reach beside the public internet; host names such as db.example.com or *.example.com need Cilium",
};

static CHECK_IMAGE: Setting<Optional<Rule<String>>> = Setting {
    variable: "PROVISIONER_NETWORK_CHECK_IMAGE",
    format: Optional(rules::IMAGE),
    default: DefaultValue::None { example: "busybox:1" },
    help: "Image of the two Pods that check whether network policies are enforced, with sh, and python3 or nc; by default that of the sandboxes",
};

pub(super) fn read(reader: &Reader<'_>, template: &mut Template) -> Result<(), Reported> {
    let (mut allow, mut allow_names) = (Vec::new(), Vec::new());
    for allowed in reader.get(&ALLOW)?.unwrap_or_default() {
        match allowed {
            Allowed::Destination(destination) => allow.push(destination),
            Allowed::Name(name) => allow_names.push(name),
        }
    }
    template.network = Network {
        sources: reader.get(&SOURCES)?.unwrap_or_default(),
        dns: reader.get(&DNS)?,
        cluster_ranges: reader.get(&CLUSTER_RANGES)?.unwrap_or_default(),
        allow,
        allow_names,
        check_image: reader.get(&CHECK_IMAGE)?,
    };
    Ok(())
}

// === impl List ===

impl<T> Format for List<T> {
    type Value = Vec<T>;

    fn parse(&self, text: &str) -> Result<Vec<T>, Invalid> {
        let entry = |entry: &str| (self.parse)(entry.trim());
        text.split(',').map(entry).collect::<Result<_, _>>().map_err(|error| Invalid(Some(error.to_string())))
    }

    fn allowed(&self) -> String {
        self.allowed.to_owned()
    }
}
