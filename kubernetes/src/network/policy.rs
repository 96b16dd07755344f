//! Builds the network policies: one for each restricted mode, for all sandboxes of the namespace.
//!
//! A policy selects Pods by the label of their mode, so a sandbox needs no policy of its own. Policies only allow:
//! a connection that no policy of a selected Pod allows is refused.

use std::collections::BTreeMap;

use ipnet::IpNet;
use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use lifecycle::network::NetworkMode;

use super::{
    Network,
    peer::{Destination, Peer, Ports},
    ranges,
};
use crate::names;

/// The port of DNS servers whose setting names none.
pub(super) const DNS_PORT: u16 = 53;

/// Returns the name of a mode's policy.
#[must_use]
pub fn name(mode: NetworkMode) -> String {
    format!("sandbox-provisioner-{mode}")
}

/// Builds the policies of a namespace whose sandboxes listen on `port`.
#[must_use]
pub fn policies(network: &Network, namespace: &str, port: u16) -> Vec<NetworkPolicy> {
    let restricted = NetworkMode::ALL.into_iter().filter(|mode| mode.is_restricted());
    restricted.map(|mode| policy(network, mode, namespace, port)).collect()
}

fn policy(network: &Network, mode: NetworkMode, namespace: &str, port: u16) -> NetworkPolicy {
    let ingress = NetworkPolicyIngressRule {
        from: Some(network.sources.iter().map(|source| peer(source, &[])).collect()),
        ports: Some(vec![port_of(Ports { first: port, last: port, is_udp: false })]),
    };
    let mut egress: Vec<_> = network.dns.iter().map(dns).collect();
    if mode == NetworkMode::AllowList {
        egress.push(internet(&network.cluster_ranges));
        egress.extend(network.allow.iter().map(allowed));
    }
    NetworkPolicy {
        metadata: ObjectMeta {
            name: Some(name(mode)),
            namespace: Some(namespace.to_owned()),
            labels: Some(names::namespace_labels()),
            ..ObjectMeta::default()
        },
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labels(BTreeMap::from([(names::NETWORK.to_owned(), mode.to_string())]))),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            // A rule without peers would allow every connection.
            ingress: Some(if network.sources.is_empty() { Vec::new() } else { vec![ingress] }),
            egress: Some(egress),
        }),
    }
}

fn dns(server: &Destination) -> NetworkPolicyEgressRule {
    let ports = match server.ports {
        Some(ports) => vec![ports],
        None => [true, false].map(|is_udp| Ports { first: DNS_PORT, last: DNS_PORT, is_udp }).to_vec(),
    };
    NetworkPolicyEgressRule {
        to: Some(vec![peer(&server.peer, &[])]),
        ports: Some(ports.into_iter().map(port_of).collect()),
    }
}

fn internet(cluster: &[IpNet]) -> NetworkPolicyEgressRule {
    let to = ranges::internet(cluster).into_iter().map(|(range, except)| peer(&Peer::Range(range), &except));
    NetworkPolicyEgressRule { to: Some(to.collect()), ports: None }
}

fn allowed(destination: &Destination) -> NetworkPolicyEgressRule {
    let except = match destination.peer {
        Peer::Range(range) => ranges::metadata_within(range),
        Peer::Pods { .. } => Vec::new(),
    };
    NetworkPolicyEgressRule {
        to: Some(vec![peer(&destination.peer, &except)]),
        ports: destination.ports.map(|ports| vec![port_of(ports)]),
    }
}

fn peer(peer: &Peer, except: &[IpNet]) -> NetworkPolicyPeer {
    match peer {
        Peer::Range(range) => NetworkPolicyPeer {
            ip_block: Some(IPBlock {
                cidr: range.to_string(),
                except: (!except.is_empty()).then(|| except.iter().map(IpNet::to_string).collect()),
            }),
            ..NetworkPolicyPeer::default()
        },
        Peer::Pods { namespace, labels: pods } => {
            let namespace = [("kubernetes.io/metadata.name".to_owned(), namespace.clone())];
            NetworkPolicyPeer {
                namespace_selector: Some(labels(BTreeMap::from(namespace))),
                pod_selector: (!pods.is_empty()).then(|| labels(pods.clone())),
                ..NetworkPolicyPeer::default()
            }
        }
    }
}

fn port_of(Ports { first, last, is_udp }: Ports) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(if is_udp { "UDP" } else { "TCP" }.to_owned()),
        port: Some(IntOrString::Int(first.into())),
        end_port: (last > first).then_some(last.into()),
    }
}

fn labels(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn network() -> Network {
        let peers = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let destinations = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Network {
            sources: peers(&["10.0.0.0/24", "gateways/app=gateway", "tools/*"]),
            allow: destinations(&["10.9.0.0/16:5432", "169.254.0.0/16", "gateways/app=proxy:3000-3010/udp"]),
            ..Network::default()
        }
    }

    fn built() -> Vec<serde_json::Value> {
        let policies = policies(&network(), "deer-flow", 8080);
        policies.iter().map(|policy| serde_json::to_value(policy).unwrap()).collect()
    }

    /// Guards what the policies say, except the ranges of the internet.
    #[test]
    fn the_policies_are_built_from_the_settings() {
        let [isolated, allow_list] = &built()[..] else { panic!() };
        let expected = json!({
            "podSelector": {"matchLabels": {"sandbox-provisioner/network": "isolated"}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{
                "from": [
                    {"ipBlock": {"cidr": "10.0.0.0/24"}},
                    {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}},
                        "podSelector": {"matchLabels": {"app": "gateway"}},
                    },
                    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tools"}}},
                ],
                "ports": [{"protocol": "TCP", "port": 8080}],
            }],
            "egress": [{
                "to": [{
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                }],
                "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
            }],
        });
        assert_eq!(isolated["spec"], expected);
        assert_eq!(isolated["metadata"]["name"], "sandbox-provisioner-isolated");
        assert_eq!(allow_list["spec"]["ingress"], expected["ingress"]);
        let egress = allow_list["spec"]["egress"].as_array().unwrap();
        assert_eq!(egress[0], expected["egress"][0]);
        assert_eq!(egress[1]["to"][1]["ipBlock"]["cidr"], "2000::/3");
        assert_eq!(
            egress[2..],
            [
                json!({"to": [{"ipBlock": {"cidr": "10.9.0.0/16"}}], "ports": [{"protocol": "TCP", "port": 5432}]}),
                json!({"to": [{"ipBlock": {"cidr": "169.254.0.0/16", "except": ["169.254.169.254/32"]}}]}),
                json!({
                    "to": [{
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}},
                        "podSelector": {"matchLabels": {"app": "proxy"}},
                    }],
                    "ports": [{"protocol": "UDP", "port": 3000, "endPort": 3010}],
                }),
            ]
        );
    }

    /// Guards that without sources nothing gets in: a rule without peers would allow every connection.
    #[test]
    fn without_sources_nothing_gets_in() {
        for policy in policies(&Network::default(), "deer-flow", 8080) {
            assert_eq!(policy.spec.unwrap().ingress, Some(vec![]));
        }
    }
}
