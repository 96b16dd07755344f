//! The sandbox's Pod.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Container, ContainerPort, EnvVar, Pod, PodSpec, ResourceRequirements, SecurityContext, VolumeMount,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use lifecycle::{
    error::SandboxError,
    ids::ProfileName,
    request::{CreateRequest, RequestedOverrides},
};

use super::{
    SkillsRoot, Template, default_resources,
    lark::{self, Lark},
    metadata, mounts,
    probes::ContainerProbes,
    profile,
    volumes::{self, VolumeAndMount},
    workspace::Wanted,
};
use crate::{
    annotations, names,
    profile::{Level, Profile, check_without_profile},
};

/// The requests and limits of the sandbox container without a profile, from DeerFlow's provisioner.
pub(super) const DEFAULT_RESOURCES: [(&str, &str, &str); 3] =
    [("cpu", "100m", "1000m"), ("memory", "256Mi", "1Gi"), ("ephemeral-storage", "500Mi", "500Mi")];

/// Builds the Pod. Returns an error if the request does not fit the settings.
pub(super) fn build(template: &Template, request: &CreateRequest) -> Result<Pod, SandboxError> {
    // The order of the checks is that of DeerFlow's provisioner: the skills root, Lark, the sandbox's mounts, and last
    // the broker's mounts.
    let root = SkillsRoot::of(request)?;
    let lark = Lark::of(template, request)?;
    let kept = request.extra_mounts.iter().filter(|mount| !lark.replaces(mount, root));
    let extra = mounts::check(template, root, kept)?;

    let workspace = Wanted::of(template, request)?;
    if let Some(workspace) = &workspace {
        workspace.check_mounts(root)?;
    }
    check_host_paths(template, request)?;

    let mut mounted = volumes::skills(template, root, request, &extra);
    let user_data = workspace.as_ref().and_then(Wanted::user_data);
    mounted.push(volumes::user_data(template, request, user_data.as_deref()));
    mounted.extend(volumes::extra(template, root, &extra)?);
    let credentials = lark.credentials(template, root, request)?;

    let (mut volumes, mut mounts): (Vec<_>, Vec<_>) =
        mounted.into_iter().map(|mounted| (mounted.volume, mounted.mount)).unzip();
    volumes.extend(lark.runtime_volume());
    mounts.extend(lark.runtime_mount());
    let (credential_volumes, credential_mounts): (Vec<_>, Vec<_>) =
        credentials.into_iter().map(|mounted| (mounted.volume, mounted.mount)).unzip();
    volumes.extend(credential_volumes);
    if let Some((claim, path)) = workspace.as_ref().and_then(Wanted::own_mount) {
        let VolumeAndMount { volume, mount } = volumes::workspace(&claim, path);
        volumes.push(volume);
        mounts.push(mount);
    }

    let mut containers = vec![sandbox(template, env(request, lark), mounts)];
    containers.extend(lark.broker(template, credential_mounts));
    let mut metadata = metadata(template, request);
    metadata.name = Some(names::pod(&request.sandbox_id));
    metadata.annotations.get_or_insert_default().extend(annotations::of_request(request));
    let mut pod = Pod {
        metadata,
        spec: Some(PodSpec {
            // A sandbox does not need access to the API server.
            automount_service_account_token: Some(false),
            // Otherwise the environment of each sandbox contains the ids and addresses of all others. With some
            // thousand Services it is so large that no program starts.
            enable_service_links: Some(false),
            containers,
            init_containers: lark.init_container().map(|container| vec![container]),
            restart_policy: Some("Always".to_owned()),
            volumes: Some(volumes),
            ..PodSpec::default()
        }),
        status: None,
    };
    if let Some(workspace) = &workspace {
        workspace.mark(&mut pod.metadata);
    }
    if let Some((name, profile)) = with_overrides(template, request.profile.as_ref(), &request.overrides)? {
        profile::apply(&profile, name, &mut pod)?;
    }
    Ok(pod)
}

/// Refuses mounts of host paths with a profile that forbids them. Without a claim for the users' data, every mount of a
/// request is a host path.
fn check_host_paths(template: &Template, request: &CreateRequest) -> Result<(), SandboxError> {
    let Some(name) = request.profile.as_ref().filter(|_| !request.extra_mounts.is_empty()) else {
        return Ok(());
    };
    let forbids = find_profile(template, name)?.security.level() != Level::DeerFlow;
    if !forbids || template.userdata_pvc.is_some() {
        return Ok(());
    }
    Err(SandboxError::BadRequest(format!(
        "extra_mounts: the profile {name} forbids host paths, and without USERDATA_PVC_NAME every extra mount is one"
    )))
}

/// Returns the profile of a request, with the values that the request sets in its place.
pub(super) fn with_overrides<'a>(
    template: &Template,
    profile: Option<&'a ProfileName>,
    overrides: &RequestedOverrides,
) -> Result<Option<(&'a ProfileName, Profile)>, SandboxError> {
    let Some(name) = profile else {
        check_without_profile(overrides)?;
        return Ok(None);
    };
    let profile = find_profile(template, name)?;
    Ok(Some((name, profile.with_request(name, overrides, &default_resources())?)))
}

/// Returns a profile of the settings.
pub(super) fn find_profile<'a>(
    template: &'a Template,
    name: &ProfileName,
) -> Result<&'a Profile, SandboxError> {
    template.profiles.get(name).ok_or_else(|| {
        let names: Vec<_> = template.profiles.iter().map(|(name, _)| name.as_str()).collect();
        let known = match &*names {
            [] => "no profiles are configured".to_owned(),
            names => format!("the profiles are {}", names.join(", ")),
        };
        SandboxError::BadRequest(format!("there is no profile '{name}'; {known}"))
    })
}

/// Returns the sandbox's environment variables: the limit of shell sessions, then the broker's URL.
fn env(request: &CreateRequest, lark: Lark<'_>) -> Option<Vec<EnvVar>> {
    let sessions =
        request.max_shell_sessions.map(|limit| lark::env(names::MAX_SHELL_SESSIONS, &limit.to_string()));
    let variables: Vec<_> = sessions.into_iter().chain(lark.sandbox_env()).collect();
    (!variables.is_empty()).then_some(variables)
}

fn sandbox(template: &Template, env: Option<Vec<EnvVar>>, mounts: Vec<VolumeMount>) -> Container {
    let ContainerProbes { readiness, liveness } = template.probes.of_port(template.container_port);
    Container {
        name: names::SANDBOX_CONTAINER.to_owned(),
        image: Some(template.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        env,
        ports: Some(vec![ContainerPort {
            name: Some(names::HTTP_PORT.to_owned()),
            container_port: template.container_port.into(),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        readiness_probe: Some(readiness),
        liveness_probe: Some(liveness),
        resources: Some(ResourceRequirements {
            requests: Some(quantities(DEFAULT_RESOURCES.map(|(name, request, _)| (name, request)))),
            limits: Some(quantities(DEFAULT_RESOURCES.map(|(name, _, limit)| (name, limit)))),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            privileged: Some(false),
            // As in DeerFlow's provisioner: agents install packages in their sandbox and may need sudo.
            allow_privilege_escalation: Some(true),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

fn quantities(amounts: [(&str, &str); 3]) -> BTreeMap<String, Quantity> {
    amounts.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))).into()
}
