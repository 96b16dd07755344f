//! Group 12: the sandboxes and the objects beside them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kubernetes::inspect::{Listing, PodState, ServiceState};
use lifecycle::{ids::SandboxId, phase::Phase, step::ORPHAN_GRACE};

use super::json::list;
use crate::{
    check::{Check, Outcome, check},
    facts::Facts,
};

/// The checks without which those of sandboxes mean nothing.
const NEEDS: &[&str] = &["SP0306", "SP0502"];

pub(super) const CHECKS: &[Check] = &[
    check("SP1201", "each Pod has its Service, and each Service its Pod", NEEDS, orphans),
    check("SP1202", "no foreign object has the name of a sandbox's", NEEDS, foreign),
    check("SP1203", "no sandbox is Pending for long", NEEDS, pending),
    check("SP1204", "no sandbox crashes", NEEDS, crashing),
    check("SP1205", "each running sandbox is ready", NEEDS, unready),
    check("SP1206", "each deleted sandbox ends", NEEDS, terminating),
    check("SP1207", "no sandbox has ended", NEEDS, ended),
];

/// The age of a Pod from which on it should run or be ready.
const START: SignedDuration = SignedDuration::from_secs(5 * 60);

/// The time after the end of its grace period from which on a terminating Pod is stuck.
const STUCK: SignedDuration = SignedDuration::from_secs(5 * 60);

/// The reasons that another check reports, or that end a container.
const CRASHES: [&str; 8] = [
    "CrashLoopBackOff",
    "OOMKilled",
    "Error",
    "RunContainerError",
    "StartError",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ContainerCannotRun",
];

/// The reasons of which the group of images tells.
const PULL_FAILURES: [&str; 4] =
    ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"];

type Pods<'a> = &'a Listing<PodState>;
type Services<'a> = &'a Listing<ServiceState>;

fn objects(facts: &Facts) -> Result<(Pods<'_>, Services<'_>), Outcome> {
    let sandboxes = facts.sandboxes()?;
    match (&sandboxes.pods, &sandboxes.services) {
        (Ok(pods), Ok(services)) => Ok((pods, services)),
        _ => Err(Outcome::skipped("Pods or Services could not be read")),
    }
}

fn age(facts: &Facts, since: Option<Timestamp>) -> SignedDuration {
    since.map_or(SignedDuration::ZERO, |since| facts.cluster_now().duration_since(since))
}

/// Returns the orphans that are older than the grace of the daemon, each with whether it is the Pod.
pub(crate) fn orphans_of(facts: &Facts) -> Vec<(SandboxId, bool)> {
    let Ok((pods, services)) = objects(facts) else { return Vec::new() };
    if pods.is_cut || services.is_cut {
        return Vec::new();
    }
    let grace = SignedDuration::try_from(ORPHAN_GRACE).unwrap_or(SignedDuration::MAX);
    let is_old = |created| age(facts, created) > grace;
    let lonely_pods = pods.ours.iter().filter(|(id, pod)| {
        !services.ours.contains_key(*id) && !pod.observed.terminating && is_old(pod.observed.created)
    });
    let lonely_services = services.ours.iter().filter(|(id, service)| {
        !pods.ours.contains_key(*id) && !service.is_terminating && is_old(service.created)
    });
    lonely_pods
        .map(|(id, _)| (id.clone(), true))
        .chain(lonely_services.map(|(id, _)| (id.clone(), false)))
        .collect()
}

fn orphans(facts: &Facts) -> Outcome {
    let (pods, services) = match objects(facts) {
        Ok(objects) => objects,
        Err(outcome) => return outcome,
    };
    if pods.is_cut || services.is_cut {
        return Outcome::skipped("there are too many objects to compare");
    }
    let orphans = orphans_of(facts);
    if orphans.is_empty() {
        return Outcome::passed(match pods.ours.len() {
            1 => "1 sandbox".to_owned(),
            n => format!("{n} sandboxes"),
        });
    }
    let named: Vec<_> = orphans
        .iter()
        .map(|(id, is_pod)| if *is_pod { format!("Pod of {id}") } else { format!("Service of {id}") })
        .collect();
    Outcome::warned(
        list(&named),
        "no daemon runs, or it may not delete them, or a finalizer holds them; a daemon deletes orphans after 60 s",
        "start the daemon, or run `sandbox-provisioner doctor --fix` while none runs",
    )
}

fn foreign(facts: &Facts) -> Outcome {
    let (pods, services) = match objects(facts) {
        Ok(objects) => objects,
        Err(outcome) => return outcome,
    };
    let named: Vec<_> = pods
        .foreign
        .iter()
        .map(|name| format!("Pod {name}"))
        .chain(services.foreign.iter().map(|name| format!("Service {name}")))
        .collect();
    if named.is_empty() {
        return Outcome::passed("");
    }
    Outcome::warned(
        list(&named),
        "another program made it, or its labels app and sandbox-id were removed; the daemon never touches it",
        "delete it with kubectl, or restore the labels; until then no sandbox of this id can be created",
    )
}

/// Groups sandboxes by the reason of their Pods.
fn by_reason<'a>(
    pods: impl Iterator<Item = (&'a SandboxId, &'a PodState)>,
) -> BTreeMap<String, Vec<&'a SandboxId>> {
    let mut groups: BTreeMap<String, Vec<&SandboxId>> = BTreeMap::new();
    for (id, pod) in pods {
        let reason = pod.observed.reason.as_ref().map_or("no reason", |reason| &*reason.name);
        groups.entry(reason.to_owned()).or_default().push(id);
    }
    groups
}

fn shown(groups: &BTreeMap<String, Vec<&SandboxId>>) -> String {
    let lines: Vec<_> = groups
        .iter()
        .map(|(reason, ids)| {
            let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
            format!("{reason}: {}", list(&ids))
        })
        .collect();
    lines.join("; ")
}

fn reason_of(pod: &PodState) -> &str {
    pod.observed.reason.as_ref().map_or("", |reason| &*reason.name)
}

/// Warns of the Pods for which `is_it` is true. The remedy is the hint of the first one that has a hint.
fn warn(facts: &Facts, is_it: impl Fn(&PodState) -> bool, cause: &str, remedy: &str) -> Outcome {
    let (pods, _) = match objects(facts) {
        Ok(objects) => objects,
        Err(outcome) => return outcome,
    };
    let found: Vec<_> = pods.ours.iter().filter(|(_, pod)| is_it(pod)).collect();
    if found.is_empty() {
        return Outcome::passed("");
    }
    let hint = found.iter().find_map(|(_, pod)| pod.observed.reason.as_ref()?.hint());
    let action = hint.map_or_else(|| remedy.to_owned(), |hint| format!("{hint}; {remedy}"));
    Outcome::warned(shown(&by_reason(found.into_iter())), cause, action)
}

fn pending(facts: &Facts) -> Outcome {
    let is_it = |pod: &PodState| {
        pod.observed.phase == Phase::Pending
            && !pod.observed.terminating
            && age(facts, pod.observed.created) > START
            && !PULL_FAILURES.contains(&reason_of(pod))
            && !CRASHES.contains(&reason_of(pod))
    };
    warn(
        facts,
        is_it,
        "the node pulls the image, no node has room, or a volume cannot be mounted",
        "GET /api/sandboxes/{id} and `kubectl describe pod` show more",
    )
}

fn crashing(facts: &Facts) -> Outcome {
    let is_it = |pod: &PodState| {
        !matches!(pod.observed.phase, Phase::Succeeded | Phase::Failed)
            && !pod.observed.terminating
            && CRASHES.contains(&reason_of(pod))
    };
    warn(
        facts,
        is_it,
        "the image fails, needs more memory than its limit, or has no such command",
        "docs/troubleshooting.md explains each reason",
    )
}

fn unready(facts: &Facts) -> Outcome {
    let is_it = |pod: &PodState| {
        pod.observed.phase == Phase::Running
            && !pod.observed.ready
            && !pod.observed.terminating
            && age(facts, pod.observed.created) > START
            && !CRASHES.contains(&reason_of(pod))
    };
    warn(
        facts,
        is_it,
        "the image does not serve its API on SANDBOX_CONTAINER_PORT, boots slowly, or its node is lost",
        "docs/troubleshooting.md explains each reason",
    )
}

fn terminating(facts: &Facts) -> Outcome {
    let is_it = |pod: &PodState| pod.terminating_since.is_some_and(|since| age(facts, Some(since)) > STUCK);
    warn(
        facts,
        is_it,
        "the node of the Pod is lost, or a finalizer holds the Pod",
        "`kubectl get nodes`; if the node is gone for good, delete it or force the deletion of the Pod with kubectl",
    )
}

fn ended(facts: &Facts) -> Outcome {
    let is_it = |pod: &PodState| {
        matches!(pod.observed.phase, Phase::Succeeded | Phase::Failed) && !pod.observed.terminating
    };
    warn(
        facts,
        is_it,
        "the process of the image has ended, or the node has evicted the Pod",
        "delete the sandboxes; PROVISIONER_FINISHED_TIMEOUT deletes such sandboxes by itself",
    )
}
