//! Converts Kubernetes objects to the observed objects of `lifecycle`. All functions are pure.

mod claim;
mod exit;
mod resize;
mod times;

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lifecycle::{
    exit::Exit,
    ids::SandboxId,
    observed::{ObservedPod, ObservedService, ResourceVersion, Uid},
    phase::{Container, Phase, Reason},
    spec::ObservedSpec,
};

pub use self::claim::claim;
use crate::{
    annotations, manifest, names,
    profile::Quantity,
    types::{Condition, ContainerStatus, Pod, PodStatus, Service, StateDetails},
};

/// Returns the uid of an object. An object without a uid is ignored, because a delete could not name it as a
/// precondition.
#[must_use]
pub fn uid(metadata: &ObjectMeta) -> Option<Uid> {
    metadata.uid.as_deref().filter(|uid| !uid.is_empty()).map(|uid| Uid(uid.into()))
}

/// Converts a Pod. Returns `None` if it has no uid.
#[must_use]
pub fn pod(pod: &Pod) -> Option<ObservedPod> {
    let status = &pod.status;
    let phase = Phase::of_pod(status.phase.as_deref());
    let ready = condition(status, "Ready").is_some_and(|c| c.status.as_deref() == Some("True"));
    Some(ObservedPod {
        uid: uid(&pod.metadata)?,
        version: ResourceVersion::parse(pod.metadata.resource_version.as_deref()),
        phase,
        ready,
        terminating: pod.metadata.deletion_timestamp.is_some(),
        reason: if phase == Phase::Running && ready { None } else { reason(pod).map(Arc::new) },
        created: pod.metadata.creation_timestamp.as_ref().map(|t| t.0),
        times: times::of(status),
        spec: ObservedSpec {
            resize: resize::of(pod),
            cpu_after_start: cpu_after_start(pod),
            ..pod.spec.clone()
        },
        annotations: annotations::read(&pod.metadata),
    })
}

/// Returns the limit of CPU that the container `sandbox` is to get once it is ready, unless it has it.
fn cpu_after_start(pod: &Pod) -> Option<Box<str>> {
    let wanted = pod.metadata.annotations.as_ref()?.get(names::CPU_AFTER_START)?;
    let wanted = Quantity::parse_cores(wanted)?;
    let is_there =
        pod.spec.resources.cpu.as_ref().is_some_and(|cpu| Quantity::is_same_text(cpu, wanted.as_str()));
    (!is_there).then(|| wanted.as_str().into())
}

/// Converts a Service and computes its URL with the template. Returns `None` if it has no uid.
#[must_use]
pub fn service(template: &manifest::Template, id: &SandboxId, service: &Service) -> Option<ObservedService> {
    let ports = &service.ports;
    // A Service that this program creates has one port. If an adopted Service has several, the port named `http` is
    // used.
    let port = ports.iter().find(|p| p.name.as_deref() == Some(names::HTTP_PORT)).or(ports.first());
    let node_port = port.and_then(|p| *p.node_port).filter(|p| *p != 0);
    let url = manifest::url(template, id, node_port);
    // DeerFlow's provisioner hides a sandbox without a node port, so those that it made stay hidden.
    let is_ours = service.metadata.labels.as_ref().is_some_and(names::is_made_by_us);
    let internal_url = (url.is_none() && is_ours).then(|| Arc::from(manifest::internal_url(template, id)));
    Some(ObservedService {
        uid: uid(&service.metadata)?,
        version: ResourceVersion::parse(service.metadata.resource_version.as_deref()),
        terminating: service.metadata.deletion_timestamp.is_some(),
        url: url.map(Arc::from),
        internal_url,
    })
}

// === reason of a Pod ===

/// Returns the most specific reason why a Pod does not run. The order is: the state of the whole Pod, the scheduler,
/// the containers, and last the readiness condition, which names no cause.
fn reason(pod: &Pod) -> Option<Reason> {
    let status = &pod.status;
    whole_pod(status)
        .or_else(|| unschedulable(status))
        .or_else(|| containers(pod))
        .or_else(|| unready(status))
        // Kubernetes sets this phase only if it cannot reach the node.
        .or_else(|| (status.phase.as_deref() == Some("Unknown")).then(|| Reason::new("NodeLost", None)))
}

/// Returns the reason that concerns the whole Pod: evicted, node lost, deadline exceeded, or preempted by another Pod.
fn whole_pod(status: &PodStatus) -> Option<Reason> {
    if let Some(name) = text(status.reason.as_ref()) {
        return Some(Reason::new(name, status.message.as_deref()));
    }
    let disrupted = condition(status, "DisruptionTarget").filter(|c| c.status.as_deref() == Some("True"))?;
    Some(Reason::new(text(disrupted.reason.as_ref())?, disrupted.message.as_deref()))
}

fn unschedulable(status: &PodStatus) -> Option<Reason> {
    let condition = condition(status, "PodScheduled").filter(|c| c.status.as_deref() == Some("False"))?;
    let name = text(condition.reason.as_ref()).unwrap_or("Unschedulable");
    Some(Reason::new(name, condition.message.as_deref()))
}

/// Returns the reason of a container. A failing container takes precedence over one that is still starting.
fn containers(pod: &Pod) -> Option<Reason> {
    let status = &pod.status;
    let main = || status.container_statuses.iter();
    let all = || status.init_container_statuses.iter().chain(main());
    let waits_for_trouble =
        all().find_map(|c| waiting(c).filter(|(name, _)| !ON_ITS_WAY.contains(name)).map(|w| (c, w)));
    if let Some((container, (name, message))) = waits_for_trouble {
        let last = container.last_state.0.as_ref().and_then(|s| s.terminated.0.as_ref());
        // During the back-off, report why the container was killed: more memory helps, its log does not.
        if let Some(last) = last.filter(|l| l.reason.as_deref() == Some("OOMKilled")) {
            return Some(ended(pod, container, last, true));
        }
        let how = last.filter(|_| name == "CrashLoopBackOff").map(|last| exit::words(last, None));
        let message = message.into_iter().chain(how.as_deref()).collect::<Vec<_>>().join("; ");
        let exit = last.and_then(|last| exit_of(container, last, true));
        return Some(Reason { exit, ..about(container, Reason::new(name, Some(&message))) });
    }
    let failed = all().find_map(|c| terminated(c).filter(|t| *t.exit_code != Some(0)).map(|t| (c, t)));
    if let Some((container, end)) = failed {
        return Some(ended(pod, container, end, false));
    }
    // A completed init container is normal. A completed main container is the end of the Pod's work.
    let completed = main().find_map(|c| terminated(c).map(|t| (c, t)));
    if let Some((container, end)) = completed {
        return Some(ended(pod, container, end, false));
    }
    // All containers are still starting.
    let (name, message) = all().find_map(waiting)?;
    // A Pod with init containers waits with `PodInitializing` from its start on.
    let no_pod_sandbox = ON_ITS_WAY.contains(&name)
        && condition(status, "PodReadyToStartContainers")
            .is_some_and(|c| c.status.as_deref() == Some("False"));
    Some(Reason::new(name, if no_pod_sandbox { Some(Reason::NO_POD_SANDBOX) } else { message }))
}

/// Says which container a reason is about, if it is not the sandbox's own.
fn about(status: &ContainerStatus, reason: Reason) -> Reason {
    let name = status.name.as_deref().unwrap_or(names::SANDBOX_CONTAINER);
    let container = match name {
        names::SANDBOX_CONTAINER => return reason,
        names::LARK_INIT_CONTAINER => Container::LarkInit,
        names::LARK_BROKER_CONTAINER | names::LARK_SHIM_CONTAINER => Container::LarkBroker,
        _ => Container::Other,
    };
    let message = match &reason.message {
        Some(message) if message.contains(name) => message.to_string(),
        Some(message) => format!("container {name}: {message}"),
        None => format!("container {name}"),
    };
    Reason { container, ..Reason::new(&reason.name, Some(&message)) }
}

fn unready(status: &PodStatus) -> Option<Reason> {
    let condition = condition(status, "Ready").filter(|c| c.status.as_deref() == Some("False"))?;
    let containers_ready =
        self::condition(status, "ContainersReady").is_some_and(|c| c.status.as_deref() == Some("True"));
    // Kubernetes makes the Pods of a node that is not ready unready, without a reason.
    let default = if containers_ready { "NodeNotReady" } else { "ContainersNotReady" };
    let name = text(condition.reason.as_ref()).unwrap_or(default);
    Some(Reason::new(name, condition.message.as_deref()))
}

/// The reasons for which a healthy container waits.
const ON_ITS_WAY: [&str; 2] = ["ContainerCreating", "PodInitializing"];

fn waiting(container: &ContainerStatus) -> Option<(&str, Option<&str>)> {
    let waiting = container.state.0.as_ref()?.waiting.0.as_ref()?;
    Some((text(waiting.reason.as_ref())?, waiting.message.as_deref()))
}

fn terminated(container: &ContainerStatus) -> Option<&StateDetails> {
    container.state.0.as_ref()?.terminated.0.as_ref()
}

/// Returns the reason of a container that has ended. Its message is the container's own, unless the exit says more.
fn ended(pod: &Pod, container: &ContainerStatus, end: &StateDetails, is_previous: bool) -> Reason {
    let exit = exit_of(container, end, is_previous);
    Reason { exit, ..end_in_words(pod, container, end) }
}

/// Returns the end of a container, unless the kubelet does not say when it was.
fn exit_of(container: &ContainerStatus, end: &StateDetails, is_previous: bool) -> Option<Box<Exit>> {
    let (name, at) = (container.name.as_deref()?, (*end.finished_at)?);
    Some(Box::new(Exit { container: name.into(), at, is_previous }))
}

fn end_in_words(pod: &Pod, container: &ContainerStatus, end: &StateDetails) -> Reason {
    let fallback = if *end.exit_code == Some(0) { "Completed" } else { "Error" };
    let name = text(end.reason.as_ref()).unwrap_or(fallback);
    let own_message = text(end.message.as_ref());
    if let Some(message) = own_message.filter(|_| !exit::is_explained(end)) {
        return about(container, Reason::new(name, Some(message)));
    }
    let who = container.name.as_deref().unwrap_or("?");
    let limit = pod.memory_limits.iter().find(|(of, _)| of == who).map(|(_, limit)| limit.as_str());
    let how = exit::words(end, limit);
    let again = match *container.restart_count {
        Some(n) if n > 0 => format!(", restarted {n} times"),
        _ => String::new(),
    };
    let own_message = own_message.map(|message| format!(": {message}")).unwrap_or_default();
    about(container, Reason::new(name, Some(&format!("container {who} {how}{again}{own_message}"))))
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|c| c.kind.as_deref() == Some(kind))
}

fn text(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests;
