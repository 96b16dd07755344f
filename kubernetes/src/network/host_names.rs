//! Host names as destinations, which only a policy of Cilium knows.
//!
//! A `NetworkPolicy` knows addresses. Where the cluster has Cilium's custom resource, one further policy for all sandboxes of
//! the mode `allow-list` adds the names. Policies only allow, so it takes nothing from the others.

use std::{borrow::Cow, fmt, str::FromStr};

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::core::Resource;
use lifecycle::{ids::is_dns_subdomain, network::NetworkMode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Network,
    peer::{Destination, Peer, PeerError, Ports, split_ports},
    policy::{DNS_PORT, name},
};
use crate::names;

/// The group and version of Cilium's policies.
pub(super) const GROUP_VERSION: &str = "cilium.io/v2";

/// The kind of Cilium's policies, and its word in paths.
const KIND: &str = "CiliumNetworkPolicy";
pub(super) const PLURAL: &str = "ciliumnetworkpolicies";

/// A host name, or all names directly below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(String);

/// A host name, and the ports on which it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedDestination {
    /// The host name.
    pub name: HostName,
    /// The ports; `None` for all.
    pub ports: Option<Ports>,
}

/// The destinations that a sandbox of the mode `allow-list` may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// Addresses or Pods.
    Destination(Destination),
    /// A host name.
    Name(NamedDestination),
}

/// A policy of Cilium.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamePolicy {
    #[serde(default)]
    api_version: Cow<'static, str>,
    #[serde(default)]
    kind: Cow<'static, str>,
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
}

/// Builds the policy that allows the host names of the settings; `None` without any.
#[must_use]
pub fn name_policy(network: &Network, namespace: &str) -> Option<NamePolicy> {
    if network.allow_names.is_empty() {
        return None;
    }
    // Cilium learns the addresses of a name from the DNS answers that pass its proxy, which such a rule sends there.
    let dns = network.dns.iter().map(|server| {
        let mut rule = to_peer(&server.peer);
        let ports = match server.ports {
            Some(ports) => vec![port_of(ports)],
            None => vec![json!({"port": DNS_PORT.to_string(), "protocol": "ANY"})],
        };
        rule["toPorts"] = json!([{"ports": ports, "rules": {"dns": [{"matchPattern": "*"}]}}]);
        rule
    });
    let allowed = network.allow_names.iter().map(|NamedDestination { name, ports }| {
        let how = if name.is_pattern() { "matchPattern" } else { "matchName" };
        let mut rule = json!({"toFQDNs": [{ how: name.0 }]});
        if let Some(ports) = ports {
            rule["toPorts"] = json!([{"ports": [port_of(*ports)]}]);
        }
        rule
    });
    let labels = json!({ names::NETWORK: NetworkMode::AllowList });
    let egress: Vec<_> = dns.chain(allowed).collect();
    Some(NamePolicy {
        api_version: GROUP_VERSION.into(),
        kind: KIND.into(),
        metadata: ObjectMeta {
            name: Some(format!("{}-names", name(NetworkMode::AllowList))),
            namespace: Some(namespace.to_owned()),
            labels: Some(names::namespace_labels()),
            ..ObjectMeta::default()
        },
        spec: json!({"endpointSelector": {"matchLabels": labels}, "egress": egress}),
    })
}

fn to_peer(peer: &Peer) -> Value {
    match peer {
        Peer::Range(range) => json!({"toCIDR": [range.to_string()]}),
        Peer::Pods { namespace, labels } => {
            let mut selected = json!({"k8s:io.kubernetes.pod.namespace": namespace});
            for (key, value) in labels {
                selected[format!("k8s:{key}")] = value.as_str().into();
            }
            json!({"toEndpoints": [{"matchLabels": selected}]})
        }
    }
}

fn port_of(Ports { first, last, is_udp }: Ports) -> Value {
    let mut port = json!({"port": first.to_string(), "protocol": if is_udp { "UDP" } else { "TCP" }});
    if last > first {
        port["endPort"] = last.into();
    }
    port
}

// === impl HostName ===

impl HostName {
    /// Parses a host name such as `db.example.com`, or `*.example.com`.
    fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let bare = lower.strip_prefix("*.").unwrap_or(&lower);
        // A name that ends in a number is an address, or what is left of one.
        let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
        let is_name =
            is_dns_subdomain(bare) && bare.contains('.') && !bare.rsplit('.').next().is_some_and(is_number);
        is_name.then_some(Self(lower))
    }

    fn is_pattern(&self) -> bool {
        self.0.starts_with('*')
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Allowed ===

impl FromStr for Allowed {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        match text.parse() {
            Ok(destination) => Ok(Self::Destination(destination)),
            Err(PeerError::HostName(name)) => {
                let (_, ports) = split_ports(text.trim())?;
                let ports = ports.map(str::parse).transpose()?;
                let name = HostName::parse(&name).ok_or(PeerError::Name(name))?;
                Ok(Self::Name(NamedDestination { name, ports }))
            }
            Err(error) => Err(error),
        }
    }
}

// === impl NamePolicy ===

impl NamePolicy {
    pub(super) fn spec(&self) -> &Value {
        &self.spec
    }
}

impl Resource for NamePolicy {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "cilium.io".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v2".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(allow: &[&str]) -> Network {
        let mut network = Network::default();
        for text in allow {
            match text.parse().unwrap() {
                Allowed::Destination(destination) => network.allow.push(destination),
                Allowed::Name(name) => network.allow_names.push(name),
            }
        }
        network
    }

    /// Guards which texts are host names, and that everything else is refused as before.
    #[test]
    fn names_are_read() {
        for (text, name, ports) in [
            ("db.example.com", "db.example.com", None),
            (" DB.Example.com:5432 ", "db.example.com", Some((5432, 5432, false))),
            ("*.example.com:443", "*.example.com", Some((443, 443, false))),
            ("a.b:5000-5010/udp", "a.b", Some((5000, 5010, true))),
        ] {
            let Ok(Allowed::Name(found)) = text.parse() else { panic!("{text}") };
            let found_ports = found.ports.map(|Ports { first, last, is_udp }| (first, last, is_udp));
            assert_eq!((found.name.to_string().as_str(), found_ports), (name, ports), "{text}");
        }
        for (text, words) in [
            ("*.com.*", "is not a host name"),
            ("a.*.example.com", "is not a host name"),
            ("-a.example.com", "is not a host name"),
            ("a_b.example.com", "is not a host name"),
            ("a..b", "is not a host name"),
            ("example.com:0", "\"0\" is not a port"),
            ("localhost", "is not an address"),
            ("10.1.2.3/8", "has bits after its prefix"),
        ] {
            let error = text.parse::<Allowed>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!("db.example.com".parse::<Peer>().unwrap_err().to_string().contains("is a host name"));
    }

    /// Guards what the policy says: for sandboxes of one mode, with a rule that sends their DNS through Cilium's proxy.
    #[test]
    fn the_policy_is_built_from_the_settings() {
        assert_eq!(name_policy(&network(&["10.9.0.0/16:5432"]), "ns"), None);
        let mut network = network(&["db.example.com:5432", "*.example.org", "10.9.0.0/16"]);
        network.dns.push("169.254.20.10:53/udp".parse().unwrap());
        let policy = serde_json::to_value(name_policy(&network, "ns").unwrap()).unwrap();
        assert_eq!((&policy["apiVersion"], &policy["kind"]), (&json!("cilium.io/v2"), &json!(KIND)));
        assert_eq!(policy["metadata"]["name"], "sandbox-provisioner-allow-list-names");
        let every_name = json!({"dns": [{"matchPattern": "*"}]});
        let pods = json!({"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s:k8s-app": "kube-dns"});
        let expected = json!({
            "endpointSelector": {"matchLabels": {"sandbox-provisioner/network": "allow-list"}},
            "egress": [
                {
                    "toEndpoints": [{"matchLabels": pods}],
                    "toPorts": [{"ports": [{"port": "53", "protocol": "ANY"}], "rules": every_name}],
                },
                {
                    "toCIDR": ["169.254.20.10/32"],
                    "toPorts": [{"ports": [{"port": "53", "protocol": "UDP"}], "rules": every_name}],
                },
                {
                    "toFQDNs": [{"matchName": "db.example.com"}],
                    "toPorts": [{"ports": [{"port": "5432", "protocol": "TCP"}]}],
                },
                {"toFQDNs": [{"matchPattern": "*.example.org"}]},
            ],
        });
        assert_eq!(policy["spec"], expected);
    }
}
