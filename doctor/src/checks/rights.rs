//! Group 05: the rights of the daemon. Each is asked of the API server, which also counts failed calls as an answer.

use kubernetes::profile::Profile;

use super::json::list;
use crate::{
    check::{Check, Outcome, check},
    facts::{Facts, Read, Unread},
    subject::SettingsFacts,
};

/// A right that the daemon uses.
#[derive(Debug)]
pub(crate) struct Right {
    /// The check that it belongs to.
    pub code: &'static str,
    pub verb: &'static str,
    /// The API group; empty for the core group.
    pub group: &'static str,
    pub resource: &'static str,
    pub subresource: &'static str,
}

const fn right(code: &'static str, verb: &'static str, group: &'static str, resource: &'static str) -> Right {
    Right { code, verb, group, resource, subresource: "" }
}

const NETWORKING: &str = "networking.k8s.io";
const CLAIMS: &str = "persistentvolumeclaims";

/// All rights of `config/rbac.yaml`, and those that create the namespace.
pub(crate) const RIGHTS: &[Right] = &[
    right("SP0502", "get", "", "pods"),
    right("SP0502", "list", "", "pods"),
    right("SP0502", "watch", "", "pods"),
    right("SP0502", "get", "", "services"),
    right("SP0502", "list", "", "services"),
    right("SP0502", "watch", "", "services"),
    right("SP0503", "create", "", "pods"),
    right("SP0503", "create", "", "services"),
    right("SP0504", "delete", "", "pods"),
    right("SP0504", "delete", "", "services"),
    right("SP0505", "patch", "", "pods"),
    right("SP0506", "get", "", "namespaces"),
    right("SP0507", "create", "events.k8s.io", "events"),
    right("SP0508", "list", "", "events"),
    right("SP0508", "watch", "", "events"),
    right("SP0509", "get", "metrics.k8s.io", "pods"),
    right("SP0510", "get", "", CLAIMS),
    right("SP0510", "list", "", CLAIMS),
    right("SP0510", "watch", "", CLAIMS),
    right("SP0510", "create", "", CLAIMS),
    right("SP0510", "patch", "", CLAIMS),
    right("SP0510", "delete", "", CLAIMS),
    Right { subresource: "resize", ..right("SP0511", "patch", "", "pods") },
    Right { subresource: "log", ..right("SP0512", "get", "", "pods") },
    right("SP0513", "get", NETWORKING, "networkpolicies"),
    right("SP0513", "create", NETWORKING, "networkpolicies"),
    right("SP0513", "patch", NETWORKING, "networkpolicies"),
    right("SP0601", "create", "", "namespaces"),
];

pub(super) const CHECKS: &[Check] = &[
    check("SP0501", "the API server tells the rights", &["SP0305"], are_told),
    check("SP0502", "the daemon may read Pods and Services", &["SP0501"], |facts| {
        required(facts, "SP0502", "it sees no sandbox, and answers 503")
    }),
    check("SP0503", "the daemon may create Pods and Services", &["SP0501"], |facts| {
        required(facts, "SP0503", "each POST fails with Forbidden")
    }),
    check("SP0504", "the daemon may delete Pods and Services", &["SP0501"], |facts| {
        required(facts, "SP0504", "sandboxes are neither deleted nor reaped")
    }),
    check("SP0505", "the daemon may patch Pods", &["SP0501"], |facts| {
        required(facts, "SP0505", "limits cannot be changed, and a restart forgets the activity of sandboxes")
    }),
    check("SP0506", "the daemon may read its namespace", &["SP0501"], |facts| {
        useful(facts, "SP0506", "it cannot tell whether the namespace exists")
    }),
    check("SP0507", "the daemon may create Events", &["SP0501"], |facts| {
        useful(facts, "SP0507", "only the log shows why a sandbox was reaped")
    }),
    check("SP0508", "the daemon may read Events", &["SP0501"], |facts| {
        useful(
            facts,
            "SP0508",
            "answers do not show that an image is being pulled or a volume cannot be mounted",
        )
    }),
    check("SP0509", "the daemon may read the CPU use of sandboxes", &["SP0501"], |facts| {
        useful(facts, "SP0509", "CPU use does not count as activity, although PROVISIONER_IDLE_CPU is set")
    }),
    check("SP0510", "the daemon may keep the claims of workspaces", &["SP0501"], |facts| {
        required(facts, "SP0510", "no sandbox of a profile with a workspace can be created")
    }),
    check("SP0511", "the daemon may resize Pods", &["SP0501"], |facts| {
        useful(
            facts,
            "SP0511",
            "sandboxes of a profile with start_cpu keep the CPU of their start, and no PATCH changes CPU or memory",
        )
    }),
    check("SP0512", "the daemon may read logs", &["SP0501"], |facts| {
        useful(facts, "SP0512", "messages have no log lines, although PROVISIONER_EXIT_LOG_LINES is set")
    }),
    check("SP0513", "the daemon may keep network policies", &["SP0501"], |facts| {
        useful(facts, "SP0513", "an administrator must apply the network policies of restricted profiles")
    }),
];

// === impl Right ===

impl Right {
    /// Returns its name, such as `patch pods/resize`.
    pub fn name(&self) -> String {
        let slash = if self.subresource.is_empty() { "" } else { "/" };
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        format!("{} {}{slash}{}{group}", self.verb, self.resource, self.subresource)
    }

    /// Returns whether the right is one on an object without a namespace.
    pub fn is_of_cluster(&self) -> bool {
        self.resource == "namespaces"
    }

    /// Returns whether the daemon uses the right with these settings.
    pub fn is_used(&self, settings: &SettingsFacts) -> bool {
        let profiles = &settings.template.profiles;
        match self.code {
            "SP0509" => settings.reads_metrics,
            "SP0510" => profiles.have_workspaces(),
            "SP0511" => profiles.iter().any(|(_, profile)| resizing_fields(profile).next().is_some()),
            "SP0512" => settings.reads_logs,
            "SP0513" => profiles.iter().any(|(_, profile)| profile.is_network_restricted()),
            _ => true,
        }
    }
}

/// Returns the fields of a profile with which the daemon resizes Pods: after the start, or for a PATCH.
pub(super) fn resizing_fields(profile: &Profile) -> impl Iterator<Item = &'static str> {
    let fields = [
        ("start_cpu", profile.start_cpu.is_some()),
        ("overrides.cpu", profile.overrides.cpu.is_some()),
        ("overrides.memory", profile.overrides.memory.is_some()),
    ];
    fields.into_iter().filter(|(_, is_set)| *is_set).map(|(field, _)| field)
}

fn are_told(facts: &Facts) -> Outcome {
    // One answer is enough: all are of the same API.
    match facts.cluster.rights.values().next() {
        Some(Err(unread)) => unknown_rights(unread),
        Some(Ok(_)) => Outcome::passed(""),
        None => Outcome::skipped("not asked"),
    }
}

fn unknown_rights(unread: &Unread) -> Outcome {
    if unread.is_absent() {
        return Outcome::skipped("the cluster has no SelfSubjectAccessReview");
    }
    unread.skip("the rights")
}

fn required(facts: &Facts, code: &str, effect: &str) -> Outcome {
    let found = match missing(facts, code) {
        Ok(found) => found,
        Err(outcome) => return outcome,
    };
    Outcome::failed(found, format!("the role of the daemon has no such right: {effect}"), REMEDY)
}

fn useful(facts: &Facts, code: &str, effect: &str) -> Outcome {
    let found = match missing(facts, code) {
        Ok(found) => found,
        Err(outcome) => return outcome,
    };
    Outcome::warned(found, format!("the role of the daemon has no such right: {effect}"), REMEDY)
}

const REMEDY: &str =
    "apply config/rbac.yaml, whose comments have the rights of optional features, as an administrator";

/// Returns the missing rights of a check, or the outcome if there are none.
fn missing(facts: &Facts, code: &str) -> Result<String, Outcome> {
    let used: Vec<_> =
        RIGHTS.iter().filter(|right| right.code == code && right.is_used(&facts.settings)).collect();
    if used.is_empty() {
        return Err(Outcome::skipped("the settings do not need it"));
    }
    let mut missing: Vec<String> = Vec::new();
    let mut unknown: Option<&Unread> = None;
    for right in &used {
        match facts.cluster.rights.get(&right.name()) {
            Some(Ok(true)) => {}
            Some(Ok(false)) => missing.push(right.name()),
            Some(Err(unread)) => unknown = Some(unread),
            None => unknown = Some(&Unread::NotAsked),
        }
    }
    for name in refused_calls(facts, code) {
        if !missing.contains(&name) {
            missing.push(name);
        }
    }
    match unknown {
        _ if !missing.is_empty() => Ok(format!("not allowed: {}", list(&missing))),
        Some(unread) => Err(unknown_rights(unread)),
        None => Err(Outcome::passed("")),
    }
}

/// Returns the rights that calls of this diagnosis have shown to be missing.
fn refused_calls(facts: &Facts, code: &str) -> Vec<String> {
    let cluster = &facts.cluster;
    let forbidden = |read: &Read<()>| read.as_ref().is_err_and(Unread::is_forbidden);
    let mut refused = Vec::new();
    match code {
        "SP0502" => {
            if let Some(sandboxes) = &cluster.sandboxes {
                if sandboxes.pods.as_ref().is_err_and(kubernetes::inspect::Failure::is_forbidden) {
                    refused.push("list pods".to_owned());
                }
                if sandboxes.services.as_ref().is_err_and(kubernetes::inspect::Failure::is_forbidden) {
                    refused.push("list services".to_owned());
                }
            }
        }
        "SP0503" => {
            if cluster.pod_dry_runs.iter().any(|(_, read)| forbidden(read)) {
                refused.push("create pods".to_owned());
            }
            if forbidden(&cluster.service_dry_run) {
                refused.push("create services".to_owned());
            }
        }
        "SP0506" if cluster.namespace.as_ref().is_err_and(Unread::is_forbidden) => {
            refused.push("get namespaces".to_owned());
        }
        _ => {}
    }
    refused
}
