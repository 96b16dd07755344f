//! Group 06: the namespace of the sandboxes, and whether it admits them.

use kubernetes::inspect::quota_uses;
use lifecycle::error::ClusterErrorKind;

use super::json::{list, name, text};
use crate::{
    check::{Check, Outcome, check},
    facts::{Facts, Unread},
};

pub(super) const CHECKS: &[Check] = &[
    check("SP0601", "the namespace exists or can be created", &["SP0306"], exists),
    check("SP0602", "the namespace is not terminating", &["SP0601"], is_active),
    check("SP0603", "the quotas have room for a sandbox", &["SP0602", "SP0503"], has_quota),
    check("SP0604", "the limit ranges admit a sandbox", &["SP0602", "SP0503"], is_in_limit_range),
    check("SP0605", "the Pod security level admits a sandbox", &["SP0602", "SP0503"], is_secure_enough),
    check(
        "SP0606",
        "a sandbox of each profile is admitted (dry run)",
        &["SP0603", "SP0604", "SP0605", "SP0503", "SP0907", "SP0908"],
        is_admitted,
    ),
    check("SP0607", "no other cluster of the settings has the namespace", &["SP0601"], is_unique),
];

/// The used share of a quota from which on a check warns.
const QUOTA_WARNS: f64 = 0.9;

/// The resources of quotas that a sandbox uses.
const OF_SANDBOXES: [&str; 14] = [
    "pods",
    "count/pods",
    "services",
    "count/services",
    "services.nodeports",
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

fn exists(facts: &Facts) -> Outcome {
    let namespace = &facts.settings.template.namespace;
    match &facts.cluster.namespace {
        Ok(_) => Outcome::passed(namespace.clone()),
        Err(unread) if unread.is_absent() => match facts.cluster.rights.get("create namespaces") {
            Some(Ok(false)) => Outcome::failed(
                format!("the namespace {namespace} does not exist, and the daemon may not create it"),
                "the namespace was deleted, or K8S_NAMESPACE is misspelt",
                format!("`kubectl create namespace {namespace}`, or apply config/rbac.yaml, which has it"),
            ),
            _ => Outcome::passed(format!("{namespace} does not exist yet; the daemon creates it")),
        },
        Err(unread) => unread.skip("the namespace"),
    }
}

/// Returns whether the namespace is still to be created, so that nothing in it can be checked.
fn is_absent(facts: &Facts) -> bool {
    facts.cluster.namespace.as_ref().is_err_and(Unread::is_absent)
}

fn is_unique(facts: &Facts) -> Outcome {
    match (&facts.double_of, &facts.cluster.namespace) {
        (Some(other), _) => Outcome::warned(
            format!("the cluster {other} has the same namespace: its object has the same uid"),
            "two tables [clusters.NAME] lead to one cluster and namespace, as with two kubeconfigs",
            "remove one of the tables; the sandboxes live on",
        ),
        (None, Err(unread)) if !unread.is_absent() => unread.skip("the namespace"),
        (None, _) => Outcome::passed(""),
    }
}

fn is_active(facts: &Facts) -> Outcome {
    match &facts.cluster.namespace {
        Ok(found) if text(found, "/status/phase") == "Terminating" => Outcome::failed(
            format!("the namespace {} is terminating", name(found)),
            "it was deleted; it stays until the finalizers of all its objects are gone",
            "wait, or look for the objects that hold it: `kubectl get namespace NAME -o yaml` shows conditions",
        ),
        Ok(_) => Outcome::passed(""),
        Err(_) if is_absent(facts) => Outcome::skipped("the namespace does not exist yet"),
        Err(unread) => unread.skip("the namespace"),
    }
}

/// The results of the dry runs, each with its profile.
fn refusals(facts: &Facts) -> impl Iterator<Item = (&str, &Unread)> {
    let cluster = &facts.cluster;
    let pods = cluster
        .pod_dry_runs
        .iter()
        .filter_map(|(profile, read)| Some((profile.as_str(), read.as_ref().err()?)));
    pods.chain(cluster.service_dry_run.as_ref().err().map(|unread| ("", unread)))
}

/// Returns the refusal of a dry run for which `is_it` is true, with the profile in front.
fn refusal(facts: &Facts, is_it: impl Fn(&Unread) -> bool) -> Option<String> {
    refusals(facts).find(|(_, unread)| is_it(unread)).map(|(profile, unread)| {
        if profile.is_empty() { unread.text() } else { format!("profile {profile}: {}", unread.text()) }
    })
}

fn has_quota(facts: &Facts) -> Outcome {
    if is_absent(facts) {
        return Outcome::skipped("the namespace does not exist yet");
    }
    if let Some(found) = refusal(facts, |unread| unread.kind() == Some(ClusterErrorKind::QuotaExceeded)) {
        return Outcome::failed(
            found,
            "a ResourceQuota of the namespace is used up",
            "raise the quota, delete sandboxes, or set shorter lifetimes (docs/lifetimes.md)",
        );
    }
    let quotas = match &facts.cluster.quotas {
        Ok(quotas) => quotas,
        Err(unread) => return unread.skip("quotas"),
    };
    let nearly: Vec<_> = quotas
        .iter()
        .flat_map(quota_uses)
        .filter(|of| OF_SANDBOXES.contains(&&*of.resource) && of.used >= of.hard * QUOTA_WARNS)
        .map(|of| format!("{} {}", of.quota, of.resource))
        .collect();
    if nearly.is_empty() {
        return Outcome::passed(if quotas.is_empty() { "there are none" } else { "" });
    }
    Outcome::warned(
        format!("more than 90 % are used of: {}", list(&nearly)),
        "the namespace has many sandboxes or other objects",
        "raise the quota, or set shorter lifetimes (docs/lifetimes.md)",
    )
}

/// The texts of the admission of limit ranges.
fn is_of_limit_range(unread: &Unread) -> bool {
    let text = unread.text();
    let is_about =
        |of: &str| text.contains(&format!("usage per {of}")) || text.contains(&format!("ratio per {of}"));
    unread.kind() == Some(ClusterErrorKind::Denied) && (is_about("Container") || is_about("Pod"))
}

fn is_in_limit_range(facts: &Facts) -> Outcome {
    dry_run(facts, is_of_limit_range, |found| {
        Outcome::failed(
            found,
            "a LimitRange of the namespace allows other requests or limits than those of the sandbox",
            "change the LimitRange, or set cpu, memory and ephemeral_storage in a profile (docs/profiles.md)",
        )
    })
}

fn is_of_pod_security(unread: &Unread) -> bool {
    unread.text().contains("violates PodSecurity")
}

fn is_secure_enough(facts: &Facts) -> Outcome {
    dry_run(facts, is_of_pod_security, |found| {
        Outcome::failed(
            found,
            "the label pod-security.kubernetes.io/enforce of the namespace forbids a part of the Pod, such as host paths",
            "use claims and security = \"baseline\" or \"restricted\" in a profile (docs/profiles.md), or change the label",
        )
    })
}

fn dry_run(
    facts: &Facts,
    is_it: impl Fn(&Unread) -> bool,
    failed: impl FnOnce(String) -> Outcome,
) -> Outcome {
    if is_absent(facts) {
        return Outcome::skipped("the namespace does not exist yet");
    }
    match refusal(facts, is_it) {
        Some(found) => failed(found),
        None if facts.cluster.pod_dry_runs.is_empty() => Outcome::skipped("there was no dry run"),
        None => Outcome::passed(""),
    }
}

fn is_admitted(facts: &Facts) -> Outcome {
    if is_absent(facts) {
        return Outcome::skipped("the namespace does not exist yet");
    }
    if facts.cluster.pod_dry_runs.is_empty() {
        return Outcome::skipped("there was no dry run");
    }
    admission(refusals(facts)).unwrap_or_else(|| {
        Outcome::passed(match facts.cluster.untried_profiles {
            0 => String::new(),
            1 => "1 profile not tried".to_owned(),
            n => format!("{n} profiles not tried"),
        })
    })
}

/// Returns the outcome of the first refusal that is a fault, or else of the first one.
fn admission<'a>(refusals: impl Iterator<Item = (&'a str, &'a Unread)>) -> Option<Outcome> {
    let is_other = |unread: &Unread| unread.kind() != Some(ClusterErrorKind::NodePortsExhausted);
    refusals
        .filter(|(_, unread)| is_other(unread))
        .map(|(profile, unread)| refused(profile, unread))
        .min_by_key(|outcome| matches!(outcome, Outcome::Skipped(_)))
}

fn refused(profile: &str, unread: &Unread) -> Outcome {
    let found =
        if profile.is_empty() { unread.text() } else { format!("profile {profile}: {}", unread.text()) };
    match unread.kind() {
        None | Some(ClusterErrorKind::Forbidden | ClusterErrorKind::Unauthorized) => {
            unread.skip("the result of a dry run")
        }
        _ if unread.text().contains("does not support dry run") => {
            Outcome::skipped("an admission webhook does not support dry runs")
        }
        Some(ClusterErrorKind::TimedOut | ClusterErrorKind::Unreachable | ClusterErrorKind::ServerError) => {
            Outcome::failed(
                found,
                "an admission webhook is slow or away, or the API server cannot write",
                "look at `kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations`",
            )
        }
        Some(ClusterErrorKind::Invalid) => Outcome::failed(
            found,
            "a value of the settings or of the profile is not valid for Kubernetes, such as a relative host path",
            "correct the setting; `sandbox-provisioner render` shows the whole Pod",
        ),
        Some(_) => Outcome::failed(
            found,
            "an admission webhook or a policy of the cluster refuses the sandbox",
            "exclude the namespace from the policy, or change the profile; `sandbox-provisioner render` shows the Pod",
        ),
    }
}

#[cfg(test)]
mod tests {
    use kubernetes::inspect::Failure;
    use lifecycle::error::ClusterError;

    use super::*;

    /// Guards that a refusal that says nothing about a sandbox does not hide a fault of another profile.
    #[test]
    fn a_fault_comes_before_an_unknown_result() {
        let refusal = |kind, code, message| {
            Unread::Failed(Failure { fault: ClusterError::new(kind, message), code: Some(code) })
        };
        let quiet = refusal(ClusterErrorKind::Invalid, 400, "the webhook does not support dry run");
        let forbidden = refusal(ClusterErrorKind::Forbidden, 403, "no right");
        let invalid = refusal(ClusterErrorKind::Invalid, 422, "must be an absolute path");
        let denied = refusal(ClusterErrorKind::Denied, 403, "no");
        let ports = refusal(ClusterErrorKind::NodePortsExhausted, 500, "range is full");
        for (refusals, found) in [
            (&[][..], None),
            (&[&ports][..], None),
            (&[&quiet], Some("")),
            (&[&quiet, &forbidden], Some("")),
            (&[&quiet, &invalid], Some("profile 1: ")),
            (&[&forbidden, &ports, &quiet, &denied], Some("profile 3: ")),
            (&[&invalid, &quiet, &denied], Some("profile 0: ")),
        ] {
            let names: Vec<_> = (0..refusals.len()).map(|n| n.to_string()).collect();
            let of_profiles = names.iter().map(String::as_str).zip(refusals.iter().copied());
            match (admission(of_profiles), found) {
                (None, None) | (Some(Outcome::Skipped(_)), Some("")) => {}
                (Some(Outcome::Failed(finding)), Some(begin)) => {
                    assert!(
                        !begin.is_empty() && finding.found.starts_with(begin),
                        "{refusals:?} {finding:?}"
                    );
                }
                (outcome, _) => panic!("{refusals:?} {outcome:?}"),
            }
        }
    }
}
