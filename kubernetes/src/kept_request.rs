//! The request of a sandbox, as an annotation of its Pod. All functions are pure.
//!
//! A sandbox that moves to another cluster is made again with the settings of that cluster, so the Pod's manifest does not
//! help. The annotation has the values of the request. They include environment variables, which the Pod's spec has too.
//! The limits and the owner are not in it: they have annotations of their own, which change with the sandbox. The resources
//! that the container was made with are in it, so that a later resize shows.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use lifecycle::{
    ids::{ProfileName, SandboxId, ThreadId, UserId},
    lifetime::LifetimeAnnotations,
    network::NetworkMode,
    request::{CreateRequest, ExtraMount, RequestedOverrides},
    spec::{Resources, ShellSessions},
    text::Hidden,
    workspace::{WhenDeleted, WorkspaceRequest},
};
use serde::{Deserialize, Serialize};

use crate::{annotations, names, profile::Quantity, types::PodRequest};

/// The longest text that is kept, in bytes. All annotations of an object may have 256 KiB.
const BYTES_MAX: usize = 64 << 10;

/// The annotation. Later releases may add fields: absent ones have their defaults, and unknown ones are ignored.
#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<String>,
    user_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extra_mounts: Vec<KeptMount>,
    #[serde(skip_serializing_if = "is_false")]
    include_legacy_skills: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    skills_container_path: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    provision_lark_cli_runtime: bool,
    #[serde(skip_serializing_if = "is_false")]
    provision_lark_cli_broker: bool,
    /// A text, because JSON numbers of this size are not exact everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_shell_sessions: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(skip_serializing_if = "Resources::is_empty")]
    resources: Resources,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<KeptWorkspace>,
    /// The limits that the container of a sandbox with a profile was made with. Others are not resized.
    #[serde(skip_serializing_if = "Resources::is_empty")]
    made: Resources,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct KeptMount {
    host_path: String,
    container_path: String,
    read_only: bool,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct KeptWorkspace {
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    when_deleted: Option<String>,
}

// `serde` passes a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is that of `skip_serializing_if`")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Adds to a new Pod that it is a replacement, if it is, when its sandbox was created, if it moves, and the request if
/// `keeps_request` is set. A request that is too long is not kept: then the sandbox cannot move.
pub(crate) fn mark(pod: &mut Pod, request: &CreateRequest, keeps_request: bool) {
    let text = keeps_request.then(|| encode(request, made(pod, request))).flatten();
    let replacement = request.replaces.map(|reason| reason.name().to_owned());
    let first_created = request.first_created.map(|at| at.to_string());
    for (key, text) in
        [(names::REQUEST, text), (names::REPLACEMENT, replacement), (names::FIRST_CREATED, first_created)]
    {
        if let Some(text) = text {
            pod.metadata.annotations.get_or_insert_default().insert(key.to_owned(), text);
        }
    }
}

/// Reads the request of a Pod with its present limits, resources and owner, and the creation time of its sandbox; `None` if the
/// Pod does not keep its request.
pub(crate) fn read(
    id: &SandboxId,
    PodRequest { metadata, limits: present }: &PodRequest,
) -> Option<CreateRequest> {
    let text = |key| metadata.annotations.as_ref()?.get(key);
    let kept: Kept = serde_json::from_str(text(names::REQUEST)?).ok()?;
    let made = kept.made.clone();
    let LifetimeAnnotations { limits, owner, last_activity: _ } = annotations::read(metadata);
    let first_created = text(names::FIRST_CREATED).and_then(|text| text.parse().ok());
    let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
    let mut request = decode(id, kept)?;
    let resources = &mut request.overrides.resources;
    let cpu = text(names::CPU_AFTER_START).or(present.cpu.as_ref());
    for (wanted, made, present) in
        [(&mut resources.cpu, made.cpu, cpu), (&mut resources.memory, made.memory, present.memory.as_ref())]
    {
        if let (Some(made), Some(present)) = (made, present)
            && !Quantity::is_same_text(&made, present)
        {
            *wanted = Some(present.clone());
        }
    }
    Some(CreateRequest { limits, owner, first_created: first_created.or(created), ..request })
}

/// Returns the limits of CPU and memory that a new Pod has, or is to have once it is ready.
fn made(pod: &Pod, request: &CreateRequest) -> Resources {
    let containers = pod.spec.as_ref().filter(|_| request.profile.is_some()).map(|spec| &spec.containers);
    let sandbox = containers.and_then(|containers| {
        containers.iter().find(|container| container.name == names::SANDBOX_CONTAINER)
    });
    let limits = sandbox.and_then(|sandbox| sandbox.resources.as_ref()?.limits.as_ref());
    let limit = |name: &str| Some(limits?.get(name)?.0.clone());
    let after_start = pod.metadata.annotations.as_ref().and_then(|all| all.get(names::CPU_AFTER_START));
    Resources {
        cpu: after_start.cloned().or_else(|| limit("cpu")),
        memory: limit("memory"),
        ephemeral_storage: None,
    }
}

/// Writes a request; `None` if it is too long.
fn encode(request: &CreateRequest, made: Resources) -> Option<String> {
    let text = serde_json::to_string(&Kept { made, ..Kept::from(request) }).ok()?;
    (text.len() <= BYTES_MAX).then_some(text)
}

/// Reads a request. A value that is not valid makes all of it invalid, because a sandbox without it would differ.
fn decode(id: &SandboxId, kept: Kept) -> Option<CreateRequest> {
    let workspace = kept.workspace.map(|workspace| {
        let when_deleted = valid(workspace.when_deleted, WhenDeleted::parse)?;
        Some(WorkspaceRequest { size: workspace.size, when_deleted })
    });
    Some(CreateRequest {
        thread_id: valid(kept.thread_id, ThreadId::parse)?,
        user_id: UserId::parse(&kept.user_id)?,
        extra_mounts: kept.extra_mounts.into_iter().map(ExtraMount::from).collect(),
        include_legacy_skills: kept.include_legacy_skills,
        skills_container_path: kept.skills_container_path,
        provision_lark_cli_runtime: kept.provision_lark_cli_runtime,
        provision_lark_cli_broker: kept.provision_lark_cli_broker,
        max_shell_sessions: valid(kept.max_shell_sessions, |text| ShellSessions::new(text.parse().ok()?))?,
        profile: valid(kept.profile, ProfileName::parse)?,
        overrides: RequestedOverrides {
            resources: kept.resources,
            env: kept.env.into_iter().map(|(name, value)| (name, Hidden(value))).collect(),
            labels: kept.labels,
            image: kept.image,
            network: valid(kept.network, NetworkMode::parse)?,
        },
        workspace: match workspace {
            None => None,
            Some(workspace) => Some(workspace?),
        },
        ..CreateRequest::new(id.clone())
    })
}

/// Parses an optional text; the outer `None` means that it is not valid.
#[expect(clippy::option_option, reason = "an absent value differs from one that is not valid")]
fn valid<T>(text: Option<String>, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    text.map_or(Some(None), |text| parse(&text).map(Some))
}

// === impl Kept ===

impl From<&CreateRequest> for Kept {
    fn from(request: &CreateRequest) -> Self {
        // Every field is named, so that a new one is not forgotten. The id is in the Pod's labels, the limits and the owner
        // have annotations of their own, and a move chooses another cluster.
        let CreateRequest {
            sandbox_id: _,
            thread_id,
            user_id,
            extra_mounts,
            include_legacy_skills,
            skills_container_path,
            provision_lark_cli_runtime,
            provision_lark_cli_broker,
            max_shell_sessions,
            profile,
            overrides: RequestedOverrides { resources, env, labels, image, network },
            workspace,
            limits: _,
            owner: _,
            cluster: _,
            cluster_selector: _,
            replaces: _,
            first_created: _,
        } = request;
        Self {
            thread_id: thread_id.as_ref().map(|id| id.as_str().to_owned()),
            user_id: user_id.as_str().to_owned(),
            extra_mounts: extra_mounts.iter().map(KeptMount::from).collect(),
            include_legacy_skills: *include_legacy_skills,
            skills_container_path: skills_container_path.clone(),
            provision_lark_cli_runtime: *provision_lark_cli_runtime,
            provision_lark_cli_broker: *provision_lark_cli_broker,
            max_shell_sessions: max_shell_sessions.map(|count| count.to_string()),
            profile: profile.as_ref().map(|name| name.as_str().to_owned()),
            resources: resources.clone(),
            env: env.iter().map(|(name, Hidden(value))| (name.clone(), value.clone())).collect(),
            labels: labels.clone(),
            image: image.clone(),
            network: network.map(|mode| mode.name().to_owned()),
            workspace: workspace.as_ref().map(|workspace| KeptWorkspace {
                size: workspace.size.clone(),
                when_deleted: workspace.when_deleted.map(|when| when.name().to_owned()),
            }),
            made: Resources::NONE,
        }
    }
}

impl From<&ExtraMount> for KeptMount {
    fn from(ExtraMount { host_path, container_path, read_only }: &ExtraMount) -> Self {
        Self { host_path: host_path.clone(), container_path: container_path.clone(), read_only: *read_only }
    }
}

impl From<KeptMount> for ExtraMount {
    fn from(KeptMount { host_path, container_path, read_only }: KeptMount) -> Self {
        Self { host_path, container_path, read_only }
    }
}

#[cfg(test)]
mod tests;
