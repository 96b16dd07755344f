//! The effect of a profile on a sandbox's Pod.
//!
//! It reaches the Pod's own fields and the container `sandbox`, and with its security level every container. It never
//! reaches the name, the labels of this program, the Service or a host path.

use k8s_openapi::{
    api::core::v1::{
        Affinity, Capabilities, Container, EmptyDirVolumeSource, EnvVar, LocalObjectReference, Pod,
        PodAffinityTerm, PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile, SecurityContext,
        TopologySpreadConstraint, Volume, WeightedPodAffinityTerm,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use lifecycle::{error::SandboxError, ids::ProfileName};

use super::{default_resources, volumes::volume_mount};
use crate::{
    names,
    profile::{Amount, HOSTNAME, ImageLocality, Level, Profile, Quantity, Security, Spread},
};

/// Applies a profile to a Pod that was built from the settings and a request.
///
/// # Errors
/// The error for the client, if the request mounts something where the profile does.
pub(super) fn apply(profile: &Profile, name: &ProfileName, pod: &mut Pod) -> Result<(), SandboxError> {
    let labels = pod.metadata.labels.get_or_insert_default();
    for (key, value) in &profile.labels {
        labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    labels.insert(names::PROFILE.to_owned(), name.to_string());
    if let Some(network) = profile.network {
        labels.insert(names::NETWORK.to_owned(), network.mode.to_string());
    }
    let annotations = pod.metadata.annotations.get_or_insert_default();
    for (key, value) in &profile.annotations {
        annotations.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let Some(spec) = &mut pod.spec else { return Ok(()) };
    place(profile, spec);
    secure(profile.security, spec);
    if let Some(mount) = profile.automount_service_account_token {
        spec.automount_service_account_token = Some(mount);
    }
    spec.host_users = profile.host_users.or(spec.host_users);
    if let Some(secrets) = &profile.image_pull_secrets {
        let reference = |name: &String| LocalObjectReference { name: name.clone() };
        spec.image_pull_secrets = Some(secrets.iter().map(reference).collect());
    }
    let in_place = |path: &str| {
        SandboxError::BadRequest(format!(
            "The skills container path is {path}, where the profile {name} mounts a volume of its own"
        ))
    };
    size_limited_volume(spec, "shm", "/dev/shm", profile.shm_size.as_ref(), Some("Memory"))
        .map_err(in_place)?;
    size_limited_volume(spec, "tmp", "/tmp", profile.tmp_size.as_ref(), None).map_err(in_place)?;
    if let Some(sandbox) =
        spec.containers.iter_mut().find(|container| container.name == names::SANDBOX_CONTAINER)
    {
        contain(profile, sandbox);
        if let Some(after_start) = raise_cpu(profile, sandbox) {
            annotations.insert(names::CPU_AFTER_START.to_owned(), after_start);
        }
    }
    Ok(())
}

/// Sets where the Pod runs.
fn place(profile: &Profile, spec: &mut PodSpec) {
    if !profile.node_selector.is_empty() {
        spec.node_selector = Some(profile.node_selector.clone());
    }
    spec.tolerations.clone_from(&profile.tolerations);
    spec.affinity = profile.affinity.as_deref().cloned();
    if profile.image_locality == Some(ImageLocality::Preferred) {
        prefer_nodes_with_image(spec.affinity.get_or_insert_default());
    }
    spec.runtime_class_name.clone_from(&profile.runtime_class);
    spec.priority_class_name.clone_from(&profile.priority_class);
    spec.scheduler_name.clone_from(&profile.scheduler_name);
    let mut constraints = profile.topology_spread_constraints.clone().unwrap_or_default();
    let action = profile.spread.and_then(Spread::when_unsatisfiable);
    constraints.extend(action.map(|action| TopologySpreadConstraint {
        max_skew: 1,
        topology_key: HOSTNAME.to_owned(),
        when_unsatisfiable: action.to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(names::app_label()),
            ..LabelSelector::default()
        }),
        ..TopologySpreadConstraint::default()
    }));
    spec.topology_spread_constraints = (!constraints.is_empty()).then_some(constraints);
}

/// Prefers nodes on which a Pod of the `DaemonSet` of `config/prepull.yaml` pulls the image. A Pod cannot name the images
/// that its node should have.
fn prefer_nodes_with_image(affinity: &mut Affinity) {
    let term = WeightedPodAffinityTerm {
        weight: 100,
        pod_affinity_term: PodAffinityTerm {
            topology_key: HOSTNAME.to_owned(),
            label_selector: Some(LabelSelector {
                match_labels: Some(names::prepull_label()),
                ..LabelSelector::default()
            }),
            ..PodAffinityTerm::default()
        },
    };
    let pods = affinity.pod_affinity.get_or_insert_default();
    pods.preferred_during_scheduling_ignored_during_execution.get_or_insert_default().push(term);
}

/// Sets what the containers may do on the node.
fn secure(security: Security, spec: &mut PodSpec) {
    let level = security.level();
    let restricted = level == Level::Restricted;
    let seccomp = (level != Level::DeerFlow)
        .then(|| SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None });
    let context = PodSecurityContext {
        run_as_user: security.run_as_user,
        run_as_group: security.run_as_group,
        fs_group: security.fs_group,
        run_as_non_root: restricted.then_some(true),
        seccomp_profile: seccomp,
        ..PodSecurityContext::default()
    };
    if context != PodSecurityContext::default() {
        spec.security_context = Some(context);
    }
    if restricted {
        let containers = spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten());
        for container in containers {
            let context = container.security_context.take().unwrap_or_default();
            container.security_context = Some(SecurityContext {
                privileged: Some(false),
                allow_privilege_escalation: Some(false),
                capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
                ..context
            });
        }
    }
}

/// Adds a volume that exists as long as the Pod, of at most this size. Returns the path if something is mounted there already.
fn size_limited_volume<'a>(
    spec: &mut PodSpec,
    name: &str,
    path: &'a str,
    size: Option<&Quantity>,
    medium: Option<&str>,
) -> Result<(), &'a str> {
    let Some(size) = size else { return Ok(()) };
    let source = EmptyDirVolumeSource {
        medium: medium.map(str::to_owned),
        size_limit: Some(size.to_kubernetes()),
        ..EmptyDirVolumeSource::default()
    };
    let volume = Volume { name: name.to_owned(), empty_dir: Some(source), ..Volume::default() };
    spec.volumes.get_or_insert_default().push(volume);
    for container in &mut spec.containers {
        if container.name == names::SANDBOX_CONTAINER {
            let mounts = container.volume_mounts.get_or_insert_default();
            if mounts.iter().any(|mount| mount.mount_path == path) {
                return Err(path);
            }
            mounts.push(volume_mount(name, path, false));
        }
    }
    Ok(())
}

/// Sets the image, the resources and the environment of the sandbox container.
fn contain(profile: &Profile, sandbox: &mut Container) {
    if let Some(image) = &profile.image {
        sandbox.image = Some(image.clone());
    }
    let resources = sandbox.resources.get_or_insert_default();
    for (name, amount) in [
        ("cpu", &profile.cpu),
        ("memory", &profile.memory),
        ("ephemeral-storage", &profile.ephemeral_storage),
    ] {
        set_amount(resources, name, amount);
    }
    if profile.env.is_empty() {
        return;
    }
    let own = profile.env.iter().map(|(name, value)| EnvVar {
        name: name.clone(),
        value: Some(value.0.clone()),
        ..EnvVar::default()
    });
    // Kubernetes uses the last of two variables with one name, so those of this program come last.
    let ours = sandbox.env.take().unwrap_or_default();
    sandbox.env = Some(own.chain(ours).collect());
}

/// Raises the CPU until the sandbox is ready. Returns the limit that it has afterwards, if that is another one.
fn raise_cpu(profile: &Profile, sandbox: &mut Container) -> Option<String> {
    let [(name, default), _, _] = default_resources();
    let amount = profile.cpu.clone().or(&default);
    let (start, limit) = (profile.start_cpu.as_ref()?, amount.limit.as_ref()?);
    if start <= limit {
        return None;
    }
    set_amount(sandbox.resources.get_or_insert_default(), name, &amount.with_limit(start.clone()));
    Some(limit.canonical())
}

fn set_amount(resources: &mut ResourceRequirements, name: &str, amount: &Amount) {
    for (values, quantity) in
        [(&mut resources.requests, &amount.request), (&mut resources.limits, &amount.limit)]
    {
        if let Some(quantity) = quantity {
            values.get_or_insert_default().insert(name.to_owned(), quantity.to_kubernetes());
        }
    }
}
