//! Network policies as a pure function: whether a connection is allowed.
//!
//! A Pod that no policy selects for a direction allows everything in it. Otherwise a rule of one of the policies that
//! select it must allow the connection. Both the egress of the source and the ingress of the destination must do so. The
//! kubelet of a Pod's node and the Pod itself are always allowed.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::fields::items;
use crate::selector::requirements;

/// One end of a connection.
#[derive(Debug, Clone, Copy)]
pub enum Endpoint<'a> {
    /// A Pod.
    Pod {
        /// Its address.
        address: IpAddr,
        /// The Pod.
        pod: &'a Value,
        /// Its namespace.
        namespace: &'a Value,
    },
    /// An address that is not a Pod's: a node's, a Service's, or one outside the cluster.
    Address(IpAddr),
    /// The kubelet of the destination's node.
    Kubelet,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A connection.
#[derive(Debug, Clone, Copy)]
pub struct Connection<'a> {
    /// The end that opens it.
    pub source: &'a Endpoint<'a>,
    /// The end that is opened.
    pub destination: &'a Endpoint<'a>,
    /// The port of the destination.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// A direction, with the fields of a policy that are about it.
#[derive(Debug, Clone, Copy)]
struct Direction {
    policy_type: &'static str,
    rules: &'static str,
    peers: &'static str,
}

const INGRESS: Direction = Direction { policy_type: "Ingress", rules: "ingress", peers: "from" };
const EGRESS: Direction = Direction { policy_type: "Egress", rules: "egress", peers: "to" };

/// Returns whether these policies, of all namespaces, allow a connection.
#[must_use]
pub fn allows(policies: &[&Value], connection: &Connection<'_>) -> bool {
    let Connection { source, destination, .. } = connection;
    if matches!(source, Endpoint::Kubelet) || source.is_same_pod(destination) {
        return true;
    }
    side_allows(policies, EGRESS, source, destination, connection)
        && side_allows(policies, INGRESS, destination, source, connection)
}

/// Returns whether the policies that select `own` for a direction allow the connection with `other`.
fn side_allows(
    policies: &[&Value],
    direction: Direction,
    own: &Endpoint<'_>,
    other: &Endpoint<'_>,
    connection: &Connection<'_>,
) -> bool {
    let Endpoint::Pod { pod, .. } = own else { return true };
    let namespace = &pod["metadata"]["namespace"];
    let mut selecting = policies
        .iter()
        .filter(|policy| policy["metadata"]["namespace"] == *namespace)
        .filter(|policy| direction.is_of(&policy["spec"]))
        .filter(|policy| selects(&policy["spec"]["podSelector"], pod))
        .peekable();
    if selecting.peek().is_none() {
        return true;
    }
    selecting.any(|policy| {
        let mut rules = items(&policy["spec"][direction.rules]);
        rules.any(|rule| {
            any_or_empty(&rule[direction.peers], |peer| is_peer(peer, namespace, other))
                && any_or_empty(&rule["ports"], |port| is_port(port, connection))
        })
    })
}

/// Returns whether a peer of a rule is this end. `namespace` is that of the policy.
fn is_peer(peer: &Value, namespace: &Value, end: &Endpoint<'_>) -> bool {
    if let Some(block) = peer.get("ipBlock") {
        let range = |value: &Value| value.as_str().and_then(|text| text.parse::<IpNet>().ok());
        let Some(address) = end.address() else { return false };
        let contains = |value: &Value| range(value).is_some_and(|range| range.contains(&address));
        return contains(&block["cidr"]) && !items(&block["except"]).any(contains);
    }
    let Endpoint::Pod { pod, namespace: own, .. } = end else { return false };
    let in_namespace = match peer.get("namespaceSelector") {
        Some(selector) => selects(selector, own),
        None => pod["metadata"]["namespace"] == *namespace,
    };
    in_namespace && peer.get("podSelector").is_none_or(|selector| selects(selector, pod))
}

/// Returns whether a port of a rule is the connection's.
fn is_port(port: &Value, connection: &Connection<'_>) -> bool {
    if port["protocol"].as_str().unwrap_or("TCP") != connection.protocol.as_str() {
        return false;
    }
    match &port["port"] {
        Value::Null => true,
        Value::String(name) => connection.destination.has_named_port(name, connection),
        first => {
            let last = port["endPort"].as_u64().or(first.as_u64());
            let number = u64::from(connection.port);
            first.as_u64().is_some_and(|first| first <= number) && last.is_some_and(|last| number <= last)
        }
    }
}

/// Returns whether a label selector selects an object. An empty one, or none, selects everything.
fn selects(selector: &Value, object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    selector.is_null() || requirements::selects(selector, |key| labels.get(key).and_then(Value::as_str))
}

/// Returns whether one of the items matches. An absent or empty list of a rule means everything.
fn any_or_empty(list: &Value, matches: impl Fn(&Value) -> bool) -> bool {
    let mut items = items(list);
    items.len() == 0 || items.any(matches)
}

// === impl Endpoint ===

impl<'a> Endpoint<'a> {
    /// Returns a Pod as an endpoint; `None` while it has no address.
    #[must_use]
    pub fn of_pod(pod: &'a Value, namespace: Option<&'a Value>) -> Option<Self> {
        let address = pod["status"]["podIP"].as_str()?.parse().ok()?;
        Some(Self::Pod { address, pod, namespace: namespace.unwrap_or(&Value::Null) })
    }

    fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Pod { address, .. } | Self::Address(address) => Some(*address),
            Self::Kubelet => None,
        }
    }

    fn is_same_pod(&self, other: &Self) -> bool {
        let Self::Pod { address, .. } = self else { return false };
        matches!(other, Self::Pod { address: other, .. } if other == address)
    }

    fn has_named_port(&self, name: &str, connection: &Connection<'_>) -> bool {
        let Self::Pod { pod, .. } = self else { return false };
        let ports = items(&pod["spec"]["containers"]).flat_map(|container| items(&container["ports"]));
        ports.into_iter().any(|port| {
            port["name"] == name
                && port["containerPort"] == connection.port
                && port["protocol"].as_str().unwrap_or("TCP") == connection.protocol.as_str()
        })
    }
}

// === impl Protocol ===

impl Protocol {
    fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

// === impl Direction ===

impl Direction {
    /// Returns whether a policy has rules for the direction. Without types it always has ingress, and egress if there are
    /// such rules.
    fn is_of(self, spec: &Value) -> bool {
        let mut types = items(&spec["policyTypes"]);
        if types.len() > 0 {
            return types.any(|named| named == self.policy_type);
        }
        self.policy_type == INGRESS.policy_type || items(&spec[self.rules]).len() > 0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(namespace: &str, address: &str, labels: &Value) -> Value {
        json!({
            "metadata": {"namespace": namespace, "labels": labels},
            "spec": {"containers": [{"ports": [
                {"name": "http", "containerPort": 8080}, {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            ]}]},
            "status": {"podIP": address},
        })
    }

    /// Guards the meaning of policies, case by case: the Pod `web` of the namespace `a` is reached on port 8080 by four
    /// sources: a Pod of its own namespace, one of another, an address outside the cluster, and its kubelet.
    #[test]
    #[expect(clippy::too_many_lines, reason = "it is one table")]
    fn policies_mean_what_kubernetes_says() {
        let spaces = [("a", json!({"team": "a"})), ("b", json!({"team": "b", "kind": "tools"}))]
            .map(|(name, labels)| json!({"metadata": {"name": name, "labels": labels}}));
        let web = pod("a", "10.0.0.1", &json!({"app": "web"}));
        let near = pod("a", "10.0.0.2", &json!({"app": "client", "tier": "x"}));
        let far = pod("b", "10.0.1.2", &json!({"app": "client"}));
        let end = |pod, space| Endpoint::of_pod(pod, Some(space)).unwrap();
        let sources = [
            end(&near, &spaces[0]),
            end(&far, &spaces[1]),
            Endpoint::Address("203.0.113.7".parse().unwrap()),
            Endpoint::Kubelet,
        ];
        let destination = end(&web, &spaces[0]);
        let reached = |specs: &[Value], port, protocol| {
            let policies: Vec<_> =
                specs.iter().map(|spec| json!({"metadata": {"namespace": "a"}, "spec": spec})).collect();
            let policies: Vec<_> = policies.iter().collect();
            let allowed = sources.iter().map(|source| {
                allows(&policies, &Connection { source, destination: &destination, port, protocol })
            });
            allowed.collect::<Vec<_>>()
        };
        let tcp = |specs: &[Value]| reached(specs, 8080, Protocol::Tcp);
        let from = |peers: Value| json!({"podSelector": {}, "ingress": [{"from": peers}]});
        let ports = |ports: Value| json!({"podSelector": {}, "ingress": [{"ports": ports}]});
        let (all, none) = ([true; 4], [false, false, false, true]);
        for (what, specs, expected) in [
            ("no policy", vec![], all),
            ("a policy for other Pods", vec![json!({"podSelector": {"matchLabels": {"app": "x"}}})], all),
            ("no rules", vec![json!({"podSelector": {}})], none),
            (
                "only egress",
                vec![json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]})],
                all,
            ),
            ("an empty rule", vec![json!({"podSelector": {}, "ingress": [{}]})], all),
            ("empty peers", vec![from(json!([]))], all),
            (
                "Pods of the own namespace",
                vec![from(json!([{"podSelector": {}}]))],
                [true, false, false, true],
            ),
            ("Pods by label", vec![from(json!([{"podSelector": {"matchLabels": {"app": "other"}}}]))], none),
            ("all namespaces", vec![from(json!([{"namespaceSelector": {}}]))], [true, true, false, true]),
            (
                "a namespace by label",
                vec![from(json!([{"namespaceSelector": {"matchLabels": {"team": "b"}}}]))],
                [false, true, false, true],
            ),
            (
                "both selectors of one peer",
                vec![from(json!([{"namespaceSelector": {}, "podSelector": {"matchLabels": {"tier": "x"}}}]))],
                [true, false, false, true],
            ),
            (
                "two peers",
                vec![from(
                    json!([{"namespaceSelector": {"matchLabels": {"team": "b"}}}, {"podSelector": {}}]),
                )],
                [true, true, false, true],
            ),
            (
                "two policies add up",
                vec![
                    from(json!([{"podSelector": {}}])),
                    from(json!([{"ipBlock": {"cidr": "203.0.113.0/24"}}])),
                ],
                [true, false, true, true],
            ),
            (
                "a block with an exception",
                vec![from(
                    json!([{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["203.0.113.0/25", "10.0.0.0/24"]}}]),
                )],
                [false, true, false, true],
            ),
            ("a block of the other family", vec![from(json!([{"ipBlock": {"cidr": "::/0"}}]))], none),
            (
                "expressions",
                vec![from(json!([{"namespaceSelector": {"matchExpressions": [
                    {"key": "team", "operator": "In", "values": ["a", "b"]},
                    {"key": "kind", "operator": "Exists"},
                    {"key": "other", "operator": "DoesNotExist"},
                    {"key": "kind", "operator": "NotIn", "values": ["x"]},
                ]}}]))],
                [false, true, false, true],
            ),
            ("the port", vec![ports(json!([{"port": 8080}]))], all),
            ("another port", vec![ports(json!([{"port": 8081}]))], none),
            ("another protocol", vec![ports(json!([{"protocol": "UDP", "port": 8080}]))], none),
            ("all ports of a protocol", vec![ports(json!([{"protocol": "TCP"}]))], all),
            ("a range", vec![ports(json!([{"port": 8000, "endPort": 8080}]))], all),
            ("another range", vec![ports(json!([{"port": 8000, "endPort": 8079}]))], none),
            ("a name", vec![ports(json!([{"port": "http"}]))], all),
            ("another name", vec![ports(json!([{"port": "dns"}]))], none),
            (
                "a rule without the peer",
                vec![json!({"podSelector": {}, "ingress": [
                    {"from": [{"podSelector": {"matchLabels": {"app": "none"}}}], "ports": [{"port": 8080}]},
                ]})],
                none,
            ),
        ] {
            assert_eq!(tcp(&specs), expected, "{what}");
        }
        assert_eq!(reached(&[ports(json!([{"port": "dns", "protocol": "UDP"}]))], 53, Protocol::Udp), all);
        // The egress of the source counts, too: only the Pod of the own namespace has a policy.
        let egress =
            |to: Value| json!({"podSelector": {"matchLabels": {"app": "client"}}, "egress": [{"to": to}]});
        assert_eq!(tcp(&[egress(json!([{"podSelector": {"matchLabels": {"app": "web"}}}]))]), all);
        assert_eq!(tcp(&[egress(json!([{"ipBlock": {"cidr": "192.0.2.0/24"}}]))]), [false, true, true, true]);
        let to_itself =
            Connection { source: &destination, destination: &destination, port: 1, protocol: Protocol::Tcp };
        let closed = json!({"metadata": {"namespace": "a"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}});
        assert!(allows(&[&closed], &to_itself));
    }
}
