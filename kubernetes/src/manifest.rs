//! Builds the Pod, the Service and the URL of a sandbox from the settings and a request. All functions are pure.
//!
//! ```text
//!   Template ─┬─▸ mounts ─▸ volumes, lark ─▸ pod ─┬─▸ Manifests
//!   request ──┘                        service ───┘
//! ```

mod host_path;
mod lark;
mod mounts;
mod pod;
mod probes;
mod profile;
mod service;
mod skills_root;
mod sub_path;
mod template;
mod volumes;
mod workspace;

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, Pod, Service},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use lifecycle::{
    error::SandboxError,
    ids::{ProfileName, SandboxId},
    placement::moving::DataHome,
    request::{CreateRequest, RequestedOverrides},
    spec::Resources,
    workspace::{Size, Workspace},
};
use serde::Serialize;

pub use self::{
    host_path::is_absolute,
    mounts::MOUNTS_MAX,
    probes::Probes,
    sub_path::{SubPathError, SubPathTemplate},
    template::{ServiceType, Template},
};
use self::{
    lark::Lark,
    mounts::{MountError, MountPath},
    skills_root::{InvalidSkillsRoot, SkillsCategory, SkillsRoot},
};
use crate::{
    names,
    profile::{Amount, OverrideError, Quantity},
};

/// The Pod and the Service of a sandbox, as they are sent to the API server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Manifests {
    /// The sandbox's Pod.
    pub pod: Pod,
    /// The Service that selects the Pod.
    pub service: Service,
    /// The claim of the Pod's workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<PersistentVolumeClaim>,
}

/// Builds a sandbox's Pod and Service.
///
/// ```
/// use kubernetes::manifest::{self, Template};
/// use lifecycle::{ids::SandboxId, request::CreateRequest};
///
/// let request = CreateRequest::new(SandboxId::parse("abc-123").unwrap());
/// let manifests = manifest::build(&Template::default(), &request).unwrap();
/// assert_eq!(manifests.pod.metadata.name.as_deref(), Some("sandbox-abc-123"));
/// assert_eq!(manifests.service.metadata.name.as_deref(), Some("sandbox-abc-123-svc"));
/// ```
///
/// # Errors
/// Returns the errors of [`check`], and [`SandboxError::BadRequest`] if the caller's mounts do not fit the settings.
pub fn build(template: &Template, request: &CreateRequest) -> Result<Manifests, SandboxError> {
    let workspace = workspace::Wanted::of(template, request)?.map(|wanted| wanted.claim(template));
    Ok(Manifests { pod: pod::build(template, request)?, service: service(template, request), workspace })
}

/// Checks the fields that must be valid whether or not the sandbox exists: the skills root, and whether the Lark
/// command line is requested as runtime or as broker, the profile, and what the request sets in its place.
///
/// # Errors
/// Returns [`SandboxError::BadRequest`], [`SandboxError::LarkBrokerNotConfigured`] or
/// [`SandboxError::LarkBrokerRequired`].
pub fn check(template: &Template, request: &CreateRequest) -> Result<(), SandboxError> {
    SkillsRoot::of(request)?;
    Lark::of(template, request)?;
    pod::with_overrides(template, request.profile.as_ref(), &request.overrides)?;
    workspace::check(template, request)
}

/// Checks whether the profile of a sandbox lets a request resize it to these limits.
///
/// # Errors
/// Returns [`SandboxError::BadRequest`].
pub fn check_resize(
    template: &Template,
    profile: Option<&ProfileName>,
    resources: &Resources,
) -> Result<(), SandboxError> {
    if resources.ephemeral_storage.is_some() {
        let why = "resources.ephemeral_storage: Kubernetes resizes only cpu and memory in place; create the sandbox again";
        return Err(SandboxError::BadRequest(why.to_owned()));
    }
    let overrides = RequestedOverrides { resources: resources.clone(), ..RequestedOverrides::default() };
    pod::with_overrides(template, profile, &overrides).map(drop)
}

/// Returns the requests and limits of the sandbox container without a profile, by the fields of a profile.
#[must_use]
pub fn default_resources() -> [(&'static str, Amount); 3] {
    let [cpu, memory, storage] = pod::DEFAULT_RESOURCES.map(|(name, request, limit)| {
        let parse = if name == "cpu" { Quantity::parse_cores } else { Quantity::parse_bytes };
        Amount { request: parse(request), limit: parse(limit) }
    });
    [("cpu", cpu), ("memory", memory), ("ephemeral_storage", storage)]
}

/// Builds only the Pod of a sandbox.
///
/// # Errors
/// Returns the same errors as [`build`].
pub fn pod(template: &Template, request: &CreateRequest) -> Result<Pod, SandboxError> {
    pod::build(template, request)
}

/// Builds what a create needs for the workspace of a sandbox; `None` if its profile has none.
///
/// # Errors
/// Returns [`SandboxError::BadRequest`] if the request does not have the ids of the workspace's scope.
pub fn workspace(template: &Template, request: &CreateRequest) -> Result<Option<Workspace>, SandboxError> {
    workspace::Wanted::of(template, request)?.map(|wanted| wanted.into_workspace(template)).transpose()
}

/// Returns where the data of a sandbox is: all that it writes outside of its containers, such as the data of its thread and
/// its extra mounts. Skills are not its data, because it only reads them.
///
/// # Errors
/// Returns [`SandboxError::BadRequest`] if the request does not have the ids of the workspace's scope.
pub fn data_home(template: &Template, request: &CreateRequest) -> Result<DataHome, SandboxError> {
    if let Some(workspace) = workspace::Wanted::of(template, request)? {
        return Ok(DataHome::Workspace(workspace.id()));
    }
    Ok(match &template.userdata_pvc {
        Some(claim) => DataHome::Claim(claim.clone()),
        None => DataHome::Node(template.threads_host_path.clone()),
    })
}

/// Checks whether a workspace of this profile may have this size.
///
/// # Errors
/// Returns [`SandboxError::BadRequest`] with the bound.
pub fn workspace_size(
    template: &Template,
    profile: Option<&ProfileName>,
    size: &str,
) -> Result<Size, SandboxError> {
    workspace::checked_size(template, profile, size)
}

/// Builds only the Service of a sandbox.
#[must_use]
pub fn service(template: &Template, request: &CreateRequest) -> Service {
    service::build(template, request)
}

/// Returns the URL at which callers reach a sandbox: its node port, or the DNS name of its Service in the cluster.
/// Returns `None` while a Service of type `NodePort` has no node port.
///
/// ```
/// use kubernetes::manifest::{self, Template};
/// use lifecycle::ids::SandboxId;
///
/// let id = SandboxId::parse("abc-123").unwrap();
/// let url = manifest::url(&Template::default(), &id, Some(31234));
/// assert_eq!(url.as_deref(), Some("http://host.docker.internal:31234"));
/// ```
#[must_use]
pub fn url(template: &Template, id: &SandboxId, node_port: Option<u16>) -> Option<String> {
    service::url(template, id, node_port)
}

/// Returns the URL of a sandbox in the cluster, whatever the type of its Service.
#[must_use]
pub fn internal_url(template: &Template, id: &SandboxId) -> String {
    service::internal_url(template, id)
}

impl From<MountError> for SandboxError {
    fn from(error: MountError) -> Self {
        let text = error.to_string();
        match error {
            MountError::OutsideState { root, .. } => Self::MountOutsideState { text, root },
            _ => Self::BadRequest(text),
        }
    }
}

impl From<OverrideError> for SandboxError {
    fn from(error: OverrideError) -> Self {
        Self::BadRequest(error.to_string())
    }
}

impl From<InvalidSkillsRoot> for SandboxError {
    fn from(error: InvalidSkillsRoot) -> Self {
        Self::BadRequest(error.to_string())
    }
}

/// Builds the metadata that both objects share: the namespace, the labels, and the thread and user as annotations.
fn metadata(template: &Template, request: &CreateRequest) -> ObjectMeta {
    let annotations = [(names::THREAD_ID, request.thread()), (names::USER_ID, request.user_id.as_str())];
    ObjectMeta {
        namespace: Some(template.namespace.clone()),
        labels: Some(names::labels(&request.sandbox_id)),
        annotations: Some(annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        ..ObjectMeta::default()
    }
}
