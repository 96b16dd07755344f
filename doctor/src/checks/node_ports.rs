//! Group 11: the node ports of the cluster.

use kubernetes::manifest::ServiceType;
use lifecycle::error::ClusterErrorKind;

use super::json::items;
use crate::{
    check::{Check, Outcome, check},
    facts::Facts,
};

pub(super) const CHECKS: &[Check] = &[
    check("SP1101", "the cluster has a node port for a sandbox (dry run)", &["SP0602", "SP0503"], has_one),
    check("SP1102", "the cluster has node ports for more sandboxes", &["SP1101"], has_more),
];

/// The number of node ports of a cluster with the default range, 30000 to 32767.
const DEFAULT_RANGE: usize = 2768;

fn is_used(facts: &Facts) -> bool {
    facts.settings.template.service_type == ServiceType::NodePort
}

fn has_one(facts: &Facts) -> Outcome {
    if !is_used(facts) {
        return Outcome::skipped("the sandboxes have no node ports");
    }
    match &facts.cluster.service_dry_run {
        Ok(()) => Outcome::passed(""),
        Err(unread) if unread.kind() == Some(ClusterErrorKind::NodePortsExhausted) => Outcome::failed(
            "all node ports are used",
            "each sandbox and each other Service of type NodePort or LoadBalancer uses one",
            "delete sandboxes, set shorter lifetimes, raise the API server's --service-node-port-range, or use \
             SANDBOX_SERVICE_TYPE=ClusterIP",
        ),
        // Another refusal is a finding of the group of the namespace.
        Err(_) => Outcome::skipped("the dry run of a Service did not succeed"),
    }
}

fn has_more(facts: &Facts) -> Outcome {
    if !is_used(facts) {
        return Outcome::skipped("the sandboxes have no node ports");
    }
    let services = match &facts.cluster.services {
        Ok(services) => services,
        Err(unread) => return unread.skip("the Services of all namespaces"),
    };
    let used = services
        .iter()
        .flat_map(|service| items(service, "/spec/ports"))
        .filter(|port| port.get("nodePort").and_then(serde_json::Value::as_u64).is_some_and(|port| port > 0))
        .count();
    let found = format!("{used} of {DEFAULT_RANGE} node ports of the default range are used");
    if used * 100 < DEFAULT_RANGE * 85 {
        return Outcome::passed(found);
    }
    Outcome::warned(
        found,
        "each sandbox and each other Service of type NodePort or LoadBalancer uses one",
        "set shorter lifetimes (docs/lifetimes.md), raise the API server's --service-node-port-range, or use \
         SANDBOX_SERVICE_TYPE=ClusterIP",
    )
}
