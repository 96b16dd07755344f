//! Group 08: the way to sandboxes, and network policies.

use kubernetes::{inspect::PolicyState, manifest::ServiceType};

use super::json::{list, text};
use crate::{
    check::{Check, Outcome, check},
    facts::Facts,
};

pub(super) const CHECKS: &[Check] = &[
    check("SP0801", "NODE_HOST has an address", &["SP0101"], host_resolves),
    check("SP0802", "ready sandboxes can be reached", &["SP0801", "SP0306", "SP0502"], are_reached),
    check("SP0803", "ready sandboxes serve their API", &["SP0802"], serve),
    check("SP0804", "the network policies are as the settings say", &["SP0306"], policies),
    Check {
        is_slow: true,
        ..check("SP0805", "the cluster enforces network policies", &["SP1301"], is_enforced)
    },
];

fn host_resolves(facts: &Facts) -> Outcome {
    let template = &facts.settings.template;
    if template.service_type != ServiceType::NodePort {
        return Outcome::skipped("the sandboxes have no node ports");
    }
    let host = &template.node_host;
    match &facts.network.node_host {
        None => Outcome::skipped("not tried"),
        Some(Ok(())) => Outcome::passed(host.clone()),
        Some(Err(why)) => Outcome::warned(
            format!("{host}: {why}"),
            "NODE_HOST is not known here; backends on this machine or in this network cannot use the URLs of sandboxes",
            "set NODE_HOST to a name or an address of a node; in Docker on Linux, host.docker.internal needs extra_hosts; \
             ignore this if the backends run elsewhere and know the name",
        ),
    }
}

fn are_reached(facts: &Facts) -> Outcome {
    if matches!(facts.network.node_host, Some(Err(_))) {
        return Outcome::skipped("NODE_HOST has no address here");
    }
    let dialled = &facts.network.dialled;
    if dialled.is_empty() {
        return Outcome::skipped("there is no ready sandbox that can be dialled from here");
    }
    let failed: Vec<_> = dialled
        .iter()
        .filter_map(|(url, answer)| Some(format!("{url}: {}", answer.as_ref().err()?)))
        .collect();
    if failed.is_empty() {
        return Outcome::passed(format!("{} dialled", dialled.len()));
    }
    Outcome::failed(
        list(&failed),
        "NODE_HOST is not a node, a firewall drops node ports, or the cluster does not publish them (kind, minikube)",
        "set NODE_HOST to an address of a node that is reachable from here; publish the ports (README, On a cluster)",
    )
}

fn serve(facts: &Facts) -> Outcome {
    let dialled = &facts.network.dialled;
    if dialled.iter().all(|(_, answer)| answer.is_err()) {
        return Outcome::skipped("there is no ready sandbox that can be dialled from here");
    }
    let wrong: Vec<_> = dialled
        .iter()
        .filter_map(|(url, answer)| {
            let status = *answer.as_ref().ok()?;
            (!(200..300).contains(&status)).then(|| format!("{url}/v1/sandbox: HTTP {status}"))
        })
        .collect();
    if wrong.is_empty() {
        return Outcome::passed("");
    }
    Outcome::failed(
        list(&wrong),
        "the image does not serve the sandbox API on SANDBOX_CONTAINER_PORT, or another service has the port",
        "check SANDBOX_IMAGE and SANDBOX_CONTAINER_PORT",
    )
}

fn is_used(facts: &Facts) -> bool {
    let mut profiles = facts.settings.template.profiles.iter();
    profiles.any(|(_, profile)| profile.is_network_restricted())
}

fn policies(facts: &Facts) -> Outcome {
    if !is_used(facts) {
        return Outcome::skipped("no profile has a restricted network mode");
    }
    if facts.is_of_another_cluster() {
        return Outcome::skipped("the daemon writes them to its embedded cluster; see /readyz?verbose");
    }
    let states = match &facts.cluster.policies {
        Ok(states) => states,
        Err(unread) => return unread.skip("network policies"),
    };
    let wrong: Vec<_> = states
        .iter()
        .filter_map(|(name, state)| match state {
            PolicyState::AsConfigured => None,
            PolicyState::Missing => Some(format!("{name} is missing")),
            PolicyState::Differs => Some(format!("{name} differs")),
        })
        .collect();
    if wrong.is_empty() {
        return Outcome::passed("");
    }
    let may_write = ["create", "patch"].iter().all(|verb| {
        let right = format!("{verb} networkpolicies.networking.k8s.io");
        !matches!(facts.cluster.rights.get(&right), Some(Ok(false)))
    });
    if may_write && !matches!(facts.daemon.health, Some(Ok(200))) {
        return Outcome::passed("the daemon writes them when it starts");
    }
    Outcome::warned(
        list(&wrong),
        "the daemon may not write network policies, or another program changes them",
        "`sandbox-provisioner render --network-policies | kubectl apply -f -` as an administrator",
    )
}

fn is_enforced(facts: &Facts) -> Outcome {
    let report = match &facts.daemon.network_check {
        Some(Ok(report)) => report,
        Some(Err(_)) => return Outcome::skipped("the daemon did not answer /api/network/check"),
        None => return Outcome::skipped("only a running daemon checks this"),
    };
    let message = text(report, "/message");
    match text(report, "/enforced") {
        "yes" => Outcome::passed(message),
        "no" => Outcome::failed(
            message,
            "the network plugin of the cluster does not know network policies",
            "install a network plugin that enforces them (Calico, Cilium), or do not use restricted profiles",
        ),
        _ => Outcome::skipped(format!("not known: {message}")),
    }
}
