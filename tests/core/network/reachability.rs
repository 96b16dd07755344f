//! The policies of the modes as a truth table, by Kubernetes' own rules.

use std::net::IpAddr;

use kubernetes::network::{Network, policies};
use serde_json::{Value, json};
use simcluster::network::{Connection, Endpoint, Protocol, allows};

const SANDBOX_PORT: u16 = 8080;

/// The modes, in the order of the columns of the tables.
const MODES: [&str; 3] = ["open", "isolated", "allow-list"];

fn network() -> Network {
    Network {
        sources: ["10.20.0.0/24", "fd20::/64", "gateways/app=gateway"]
            .map(|text| text.parse().unwrap())
            .into(),
        cluster_ranges: ["34.118.224.0/20", "2600:1900::/44"].map(|text| text.parse().unwrap()).into(),
        allow: ["10.9.0.0/16:5432", "[fd09::/64]:443", "tools/app=proxy:3128", "169.254.0.0/16:80"]
            .map(|text| text.parse().unwrap())
            .into(),
        ..Network::default()
    }
}

fn built() -> Vec<Value> {
    policies(&network(), "deer-flow", SANDBOX_PORT).iter().map(|policy| json!(policy)).collect()
}

fn namespace(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}})
}

fn pod(namespace: &str, address: &str, labels: &Value) -> Value {
    json!({"metadata": {"namespace": namespace, "labels": labels}, "status": {"podIP": address}})
}

/// The other end of a connection, as the tables write it: an address, the kubelet, or NAMESPACE/APP with an address.
fn with_end<T>(text: &str, use_it: impl FnOnce(&Endpoint<'_>) -> T) -> T {
    if text == "kubelet" {
        return use_it(&Endpoint::Kubelet);
    }
    let Some((namespace_name, rest)) = text.split_once('/') else {
        return use_it(&Endpoint::Address(text.parse::<IpAddr>().unwrap()));
    };
    let (app, address) = rest.split_once('@').unwrap();
    let labels = match app {
        "kube-dns" => json!({"k8s-app": "kube-dns"}),
        app if MODES.contains(&app) => {
            json!({"app": "deer-flow-sandbox", "sandbox-provisioner/network": app})
        }
        app => json!({ "app": app }),
    };
    let (pod, namespace) = (pod(namespace_name, address, &labels), namespace(namespace_name));
    use_it(&Endpoint::of_pod(&pod, Some(&namespace)).unwrap())
}

/// Returns whether the sandbox of each mode is connected with this end.
fn by_mode(end: &str, port: u16, protocol: Protocol, is_source: bool) -> [bool; 3] {
    let policies = built();
    let policies: Vec<_> = policies.iter().collect();
    MODES.map(|mode| {
        with_end(&format!("deer-flow/{mode}@10.244.0.7"), |sandbox| {
            with_end(end, |end| {
                let (source, destination) = if is_source { (end, sandbox) } else { (sandbox, end) };
                allows(&policies, &Connection { source, destination, port, protocol })
            })
        })
    })
}

/// Guards who reaches a sandbox of each mode: the backend, the nodes and the kubelet always do, on the sandbox's port.
#[test]
fn sources_reach_every_sandbox_and_others_do_not() {
    const ALL: [bool; 3] = [true; 3];
    const OPEN: [bool; 3] = [true, false, false];
    for (source, port, protocol, expected) in [
        // Those that should: a configured address, as of a node, the backend's Pods, and the probes.
        ("10.20.0.2", SANDBOX_PORT, Protocol::Tcp, ALL),
        ("10.20.0.255", SANDBOX_PORT, Protocol::Tcp, ALL),
        ("fd20::2", SANDBOX_PORT, Protocol::Tcp, ALL),
        ("gateways/gateway@10.244.1.2", SANDBOX_PORT, Protocol::Tcp, ALL),
        ("gateways/gateway@10.20.0.9", SANDBOX_PORT, Protocol::Tcp, ALL),
        ("kubelet", SANDBOX_PORT, Protocol::Tcp, ALL),
        ("kubelet", 9, Protocol::Tcp, ALL),
        // The same on other ports.
        ("10.20.0.2", 22, Protocol::Tcp, OPEN),
        ("10.20.0.2", 8081, Protocol::Tcp, OPEN),
        ("10.20.0.2", SANDBOX_PORT, Protocol::Udp, OPEN),
        ("gateways/gateway@10.244.1.2", 9200, Protocol::Tcp, OPEN),
        ("fd20::2", 22, Protocol::Tcp, OPEN),
        // Everything else.
        ("10.20.1.2", SANDBOX_PORT, Protocol::Tcp, OPEN),
        ("fd20:0:0:1::2", SANDBOX_PORT, Protocol::Tcp, OPEN),
        ("gateways/other@10.244.1.3", SANDBOX_PORT, Protocol::Tcp, OPEN),
        ("other/gateway@10.244.1.4", SANDBOX_PORT, Protocol::Tcp, OPEN),
        ("deer-flow/gateway@10.244.1.5", SANDBOX_PORT, Protocol::Tcp, OPEN),
        ("deer-flow/open@10.244.0.8", SANDBOX_PORT, Protocol::Tcp, OPEN),
        ("deer-flow/isolated@10.244.0.9", SANDBOX_PORT, Protocol::Tcp, [false; 3]),
        ("deer-flow/allow-list@10.244.0.10", SANDBOX_PORT, Protocol::Tcp, [false; 3]),
        ("kube-system/kube-dns@10.244.0.2", SANDBOX_PORT, Protocol::Tcp, OPEN),
        ("203.0.113.5", SANDBOX_PORT, Protocol::Tcp, OPEN),
        ("8.8.8.8", SANDBOX_PORT, Protocol::Tcp, OPEN),
        ("2001:4860:4860::8888", SANDBOX_PORT, Protocol::Tcp, OPEN),
        ("127.0.0.1", SANDBOX_PORT, Protocol::Tcp, OPEN),
    ] {
        assert_eq!(by_mode(source, port, protocol, true), expected, "{source} to {port}");
    }
}

/// Guards what a sandbox of each mode reaches.
#[test]
fn sandboxes_reach_only_what_their_mode_allows() {
    const ALL: [bool; 3] = [true; 3];
    const OPEN: [bool; 3] = [true, false, false];
    const INTERNET: [bool; 3] = [true, false, true];
    for (destination, port, protocol, expected) in [
        // DNS, and only of the cluster.
        ("kube-system/kube-dns@10.244.0.2", 53, Protocol::Udp, ALL),
        ("kube-system/kube-dns@10.244.0.2", 53, Protocol::Tcp, ALL),
        ("kube-system/kube-dns@10.244.0.2", 9153, Protocol::Tcp, OPEN),
        ("kube-system/other@10.244.0.3", 53, Protocol::Udp, OPEN),
        ("deer-flow/kube-dns@10.244.0.4", 53, Protocol::Udp, OPEN),
        // The public internet.
        ("8.8.8.8", 53, Protocol::Udp, INTERNET),
        ("1.1.1.1", 443, Protocol::Tcp, INTERNET),
        ("151.101.0.223", 443, Protocol::Tcp, INTERNET),
        ("2001:4860:4860::8888", 443, Protocol::Tcp, INTERNET),
        ("2606:4700::1111", 443, Protocol::Tcp, INTERNET),
        ("99.255.255.255", 443, Protocol::Tcp, INTERNET),
        ("172.32.0.1", 443, Protocol::Tcp, INTERNET),
        // Metadata servers.
        ("169.254.169.254", 80, Protocol::Tcp, OPEN),
        ("fd00:ec2::254", 80, Protocol::Tcp, OPEN),
        ("fd20:ce::254", 80, Protocol::Tcp, OPEN),
        ("fe80::a9fe:a9fe", 80, Protocol::Tcp, OPEN),
        ("100.100.100.200", 80, Protocol::Tcp, OPEN),
        ("168.63.129.16", 80, Protocol::Tcp, OPEN),
        ("192.0.0.192", 80, Protocol::Tcp, OPEN),
        // The same address in the forms of IPv6 that embed it.
        ("::ffff:169.254.169.254", 80, Protocol::Tcp, OPEN),
        ("64:ff9b::a9fe:a9fe", 80, Protocol::Tcp, OPEN),
        ("64:ff9b:1::a9fe:a9fe", 80, Protocol::Tcp, OPEN),
        ("2002:a9fe:a9fe::1", 80, Protocol::Tcp, OPEN),
        ("2001:0:a9fe:a9fe::1", 80, Protocol::Tcp, OPEN),
        ("::169.254.169.254", 80, Protocol::Tcp, OPEN),
        // Private, special and cluster ranges.
        ("10.244.0.9", 443, Protocol::Tcp, OPEN),
        ("10.96.0.1", 443, Protocol::Tcp, OPEN),
        ("172.16.0.1", 443, Protocol::Tcp, OPEN),
        ("192.168.1.1", 443, Protocol::Tcp, OPEN),
        ("100.64.0.1", 443, Protocol::Tcp, OPEN),
        ("127.0.0.1", 443, Protocol::Tcp, OPEN),
        ("0.0.0.0", 443, Protocol::Tcp, OPEN),
        ("224.0.0.251", 5353, Protocol::Udp, OPEN),
        ("255.255.255.255", 67, Protocol::Udp, OPEN),
        ("198.18.0.1", 443, Protocol::Tcp, OPEN),
        ("34.118.224.10", 443, Protocol::Tcp, OPEN),
        ("34.118.240.10", 443, Protocol::Tcp, INTERNET),
        ("2600:1900::5", 443, Protocol::Tcp, OPEN),
        ("fd12::1", 443, Protocol::Tcp, OPEN),
        ("::1", 443, Protocol::Tcp, OPEN),
        ("ff02::1", 443, Protocol::Tcp, OPEN),
        ("2001:db8::1", 443, Protocol::Tcp, OPEN),
        // Other Pods.
        ("deer-flow/open@10.244.0.8", SANDBOX_PORT, Protocol::Tcp, OPEN),
        ("deer-flow/isolated@10.244.0.9", SANDBOX_PORT, Protocol::Tcp, [false; 3]),
        ("gateways/gateway@10.244.1.2", SANDBOX_PORT, Protocol::Tcp, OPEN),
        // The configured destinations, on their ports.
        ("10.9.0.7", 5432, Protocol::Tcp, INTERNET),
        ("10.9.0.7", 5433, Protocol::Tcp, OPEN),
        ("10.9.0.7", 5432, Protocol::Udp, OPEN),
        ("fd09::7", 443, Protocol::Tcp, INTERNET),
        ("fd09::7", 80, Protocol::Tcp, OPEN),
        ("tools/proxy@10.244.2.2", 3128, Protocol::Tcp, INTERNET),
        ("tools/other@10.244.2.3", 3128, Protocol::Tcp, OPEN),
        ("169.254.7.7", 80, Protocol::Tcp, INTERNET),
    ] {
        assert_eq!(by_mode(destination, port, protocol, false), expected, "{destination} {port}");
    }
}
