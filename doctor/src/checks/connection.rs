//! Group 03: the way to the API server, and its health.

use std::{io, time::Duration};

use jiff::SignedDuration;
use kubernetes::inspect::ReachError;
use lifecycle::error::ClusterErrorKind;

use super::{
    json::{items, list, text},
    rights::resizing_fields,
};
use crate::{
    check::{Check, Outcome, check},
    facts::{Facts, Unread},
};

pub(super) const CHECKS: &[Check] = &[
    check(
        "SP0301",
        "the address of the API server is not this container",
        &["SP0207", "SP0208", "SP0209"],
        is_elsewhere,
    ),
    check("SP0302", "the name of the API server has an address", &["SP0301"], resolves),
    check("SP0303", "the API server accepts connections", &["SP0302"], connects),
    check("SP0304", "the API server answers", &["SP0303", "SP0401", "SP0402", "SP0403", "SP0404"], answers),
    check("SP0305", "the API server takes the credentials", &["SP0304"], takes_credentials),
    check("SP0306", "Pods and Services can be listed", &["SP0305"], lists),
    check("SP0307", "the API server answers fast", &["SP0304"], is_fast),
    check("SP0308", "etcd is healthy", &["SP0305"], etcd_is_healthy),
    check("SP0309", "the API server is ready", &["SP0308"], is_ready),
    Check { is_slow: true, ..check("SP0310", "etcd has space", &["SP0305"], etcd_has_space) },
    check("SP0311", "the clocks agree", &["SP0304"], clocks_agree),
    check("SP0312", "the cluster resizes Pods where a profile asks for it", &["SP0305"], resizes),
];

/// The time of a small call from which on a check warns: a create makes two, one after the other with a lost answer.
const SLOW: Duration = Duration::from_millis(700);

/// The difference of the clocks from which on a check warns. A `Date` header has whole seconds.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

/// The size of etcd's database from which on a check warns: 80 % of etcd's own default limit of 2 GiB.
const ETCD_WARNS: f64 = 0.8 * 2_147_483_648.0;

fn reached(facts: &Facts) -> Result<&Result<Option<kubernetes::inspect::Validity>, ReachError>, Outcome> {
    let access = facts.access()?;
    if access.has_proxy {
        return Err(Outcome::skipped("a proxy makes the connection"));
    }
    facts.reach.as_ref().ok_or_else(|| Outcome::skipped("not tried"))
}

fn is_elsewhere(facts: &Facts) -> Outcome {
    let access = match facts.access() {
        Ok(access) => access,
        Err(outcome) => return outcome,
    };
    let means_itself = access.host == "localhost"
        || access.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified());
    let is_unreached = matches!(facts.reach, Some(Err(ReachError::NotConnected { .. })));
    if !(means_itself && facts.machine.is_container && is_unreached) {
        return Outcome::passed(access.server.clone());
    }
    Outcome::failed(
        format!("{} is this container itself, and nothing listens there", access.server),
        "the kubeconfig was written for the host; in a container its loopback address is the container",
        format!(
            "set K8S_API_SERVER to https://host.docker.internal:{}, or run the container in the host's network",
            access.port
        ),
    )
}

fn resolves(facts: &Facts) -> Outcome {
    let host = facts.access().map(|access| access.host.clone()).unwrap_or_default();
    match reached(facts) {
        Err(outcome) => outcome,
        Ok(Err(ReachError::NotResolved { why })) => Outcome::failed(
            format!("{host}: {why}"),
            "the name is not known to the name servers of this machine or container",
            "correct the server of the kubeconfig or K8S_API_SERVER; in Docker on Linux, host.docker.internal needs \
             extra_hosts: [\"host.docker.internal:host-gateway\"]",
        ),
        Ok(_) => Outcome::passed(""),
    }
}

fn connects(facts: &Facts) -> Outcome {
    let server = facts.access().map(|access| access.server.clone()).unwrap_or_default();
    match reached(facts) {
        Err(outcome) => outcome,
        Ok(Err(ReachError::NotConnected { kind })) => {
            let (cause, action) = match kind {
                io::ErrorKind::ConnectionRefused => (
                    "the cluster does not run, or its API server listens on another port or address",
                    "start the cluster, and compare the port with `kubectl config view --minify`",
                ),
                _ => (
                    "a firewall drops the connection, or the machine is not on this network",
                    "check routes, firewalls and a VPN between this machine and the cluster",
                ),
            };
            Outcome::failed(format!("{server}: {kind}"), cause, action)
        }
        Ok(_) => Outcome::passed(""),
    }
}

fn answers(facts: &Facts) -> Outcome {
    match &facts.cluster.version {
        Ok(version) => Outcome::passed(text(version, "/gitVersion")),
        Err(Unread::Failed(failure))
            if failure.code.is_some_and(|code| code < 404)
                && failure.fault.kind != ClusterErrorKind::Unreachable =>
        {
            Outcome::passed("")
        }
        Err(unread) => {
            let (cause, action) = match unread.kind() {
                Some(ClusterErrorKind::TooManyRequests) => (
                    "the API server's priority and fairness rejects calls of this user",
                    "find the clients that make the load, or give the daemon's user a flow schema of its own",
                ),
                Some(ClusterErrorKind::TimedOut) => (
                    "the API server or a proxy before it accepts connections, and does not answer",
                    "look at the API server's log and at its etcd",
                ),
                _ => (
                    "the API server is starting or broken, or something else listens at its address",
                    "look at the API server's log; compare the address with `kubectl config view --minify`",
                ),
            };
            Outcome::failed(unread.text(), cause, action)
        }
    }
}

fn takes_credentials(facts: &Facts) -> Outcome {
    let cluster = &facts.cluster;
    let refused = |unread: Option<&Unread>| {
        unread.is_some_and(|unread| unread.kind() == Some(ClusterErrorKind::Unauthorized))
    };
    let of_pods = cluster.sandboxes.as_ref().and_then(|sandboxes| sandboxes.pods.as_ref().err());
    let of_pods = of_pods.is_some_and(|failure| failure.fault.kind == ClusterErrorKind::Unauthorized);
    if !(refused(cluster.version.as_ref().err()) || of_pods) {
        return Outcome::passed("");
    }
    Outcome::failed(
        "the API server answers 401",
        "the token or the client certificate has expired, was revoked, or is of another cluster",
        "create new credentials, and compare with `kubectl auth whoami` and the same kubeconfig",
    )
}

fn lists(facts: &Facts) -> Outcome {
    let Some(sandboxes) = &facts.cluster.sandboxes else {
        return Outcome::skipped("not tried");
    };
    let failures = [sandboxes.pods.as_ref().err(), sandboxes.services.as_ref().err()];
    // A missing right is a finding of the group of rights.
    let failure = failures.into_iter().flatten().find(|failure| !failure.is_forbidden());
    match failure {
        None => Outcome::passed(""),
        Some(failure) => Outcome::failed(
            failure.fault.to_string(),
            "the API server or its etcd is overloaded or broken",
            "look at the API server's log and at etcd; the daemon answers 503 until a list succeeds",
        ),
    }
}

fn is_fast(facts: &Facts) -> Outcome {
    let Some(latency) = facts.cluster.latency else {
        return Outcome::skipped("not measured");
    };
    let found = format!("a small call takes {} ms", latency.as_millis());
    if latency < SLOW {
        return Outcome::passed(found);
    }
    Outcome::warned(
        found,
        "the cluster is far away, or the API server is overloaded",
        "run the daemon near the cluster; look at the load of the API server and of etcd",
    )
}

fn etcd_is_healthy(facts: &Facts) -> Outcome {
    match &facts.cluster.etcd {
        Ok(()) => Outcome::passed(""),
        Err(Unread::Failed(failure)) if failure.code.is_some_and(|code| code >= 500) => Outcome::failed(
            "the API server's check of etcd fails",
            "etcd has no leader, no space or a slow disk",
            "`etcdctl endpoint status` and `etcdctl alarm list` on a control plane node show more",
        ),
        Err(unread) => unread.skip("the health of etcd"),
    }
}

fn is_ready(facts: &Facts) -> Outcome {
    match &facts.cluster.ready {
        Ok(()) => Outcome::passed(""),
        Err(Unread::Failed(failure)) if failure.code.is_some_and(|code| code >= 500) => Outcome::failed(
            "/readyz of the API server fails",
            "the API server is starting or stopping, or one of its parts fails",
            "`kubectl get --raw '/readyz?verbose'` names the part",
        ),
        Err(unread) => unread.skip("the readiness of the API server"),
    }
}

fn etcd_has_space(facts: &Facts) -> Outcome {
    let metrics = match &facts.cluster.metrics {
        Ok(metrics) => metrics,
        Err(unread) => return unread.skip("the API server's metrics"),
    };
    space_of(metrics)
}

/// Decides by the metrics of the API server, whose name for the size has changed.
fn space_of(metrics: &str) -> Outcome {
    let sizes = ["apiserver_storage_size_bytes", "apiserver_storage_db_total_size_in_bytes"];
    let size = metrics
        .lines()
        .filter(|line| sizes.iter().any(|name| line.starts_with(name)))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .fold(f64::NAN, f64::max);
    if size.is_nan() {
        return Outcome::skipped("the API server does not report the size of etcd's database");
    }
    let found = format!("etcd's database has {:.0} MiB", size / 1_048_576.0);
    if size < ETCD_WARNS {
        return Outcome::passed(found);
    }
    Outcome::warned(
        found,
        "etcd refuses all writes at its limit, which is 2 GiB unless --quota-backend-bytes raises it",
        "defragment etcd, delete old Events and objects, or raise its limit",
    )
}

fn clocks_agree(facts: &Facts) -> Outcome {
    if facts.is_of_another_cluster() {
        return Outcome::passed("");
    }
    let Some(skew) = facts.cluster.skew else {
        return Outcome::skipped("the API server's answers have no date");
    };
    if skew.abs() < SKEW {
        return Outcome::passed("");
    }
    let direction = if skew.is_negative() { "behind" } else { "ahead of" };
    Outcome::warned(
        format!("the API server's clock is {} s {direction} this machine's", skew.abs().as_secs()),
        "one of the clocks is not synchronized; certificates and tokens become valid or invalid at the wrong time",
        "synchronize both clocks (`timedatectl`, chrony); after sleep, restart the virtual machine of the cluster",
    )
}

fn resizes(facts: &Facts) -> Outcome {
    let profiles = facts.settings.template.profiles.iter();
    let mut fields = profiles.map(|(name, profile)| (name, resizing_fields(profile).collect::<Vec<_>>()));
    let Some((profile, fields)) = fields.find(|(_, fields)| !fields.is_empty()) else {
        return Outcome::skipped("no profile has start_cpu, overrides.cpu or overrides.memory");
    };
    match &facts.cluster.resources {
        Err(unread) => unread.skip("the resources of the cluster"),
        Ok(served)
            if items(served, "/resources").any(|resource| text(resource, "/name") == "pods/resize") =>
        {
            Outcome::passed("")
        }
        Ok(_) => Outcome::warned(
            format!(
                "the profile {profile} has {}, and the cluster has no subresource pods/resize",
                list(&fields)
            ),
            "Kubernetes resizes Pods in place since 1.33",
            "upgrade the cluster, or remove the fields; sandboxes keep the CPU of their start, and a PATCH of CPU or \
             memory is answered 501",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that the largest of several databases counts, in the notation of Prometheus.
    #[test]
    fn the_size_of_etcd_is_read() {
        let line = |size: &str| {
            format!(
                "# HELP apiserver_storage_size_bytes x\napiserver_storage_size_bytes{{cluster=\"a\"}} {size}\n"
            )
        };
        let small = line("1.048576e+06");
        assert_eq!(space_of(&small), Outcome::passed("etcd's database has 1 MiB"));
        for full in [small + &line("2e+09"), "apiserver_storage_db_total_size_in_bytes 2000000000".to_owned()]
        {
            assert!(matches!(space_of(&full), Outcome::Warned(_)), "{full}");
        }
        for unknown in ["", "go_goroutines 5\n", "apiserver_storage_size_bytes much"] {
            assert!(matches!(space_of(unknown), Outcome::Skipped(_)), "{unknown}");
        }
    }
}
