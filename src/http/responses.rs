//! The bodies of responses.

use actors::sandboxes;
use bytes::Bytes;
use fleet::list::Listing;
use http::{HeaderValue, header::CONTENT_TYPE};
use jiff::Timestamp;
use lifecycle::{
    hold::{Held, HoldReason},
    ids::{ClusterName, ProfileName, SandboxId, ThreadId, UserId},
    labels::Labels,
    network::{Enforced, NetworkMode},
    observed::{Expiry, Status, Uid},
    phase::Phase,
    resize::Resize,
    spec::{Resources, ShellSessions},
    workspace::{PodWorkspace, WhenDeleted, WorkspaceId},
};
use serde::Serialize;
use utoipa::ToSchema;
use warp::reply::Response;

use super::{
    errors::ApiError,
    openapi::names::{EnforcedName, NetworkModeName, ReapReasonName, SessionCount},
};

/// The media type of every JSON response except problem documents.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A sandbox. The fields up to `lark_cli_broker` are the contract with existing clients; those after `ready` are present
/// only if they have a value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sandbox, description = "A sandbox. Fields without a value are absent.")]
#[expect(clippy::struct_field_names, reason = "the names are the contract's")]
pub(super) struct Sandbox<'a> {
    /// Its id.
    #[schema(value_type = String)]
    sandbox_id: &'a SandboxId,
    /// The URL for clients.
    sandbox_url: &'a str,
    /// The phase of its Pod, or `Terminating` while the Pod is being deleted.
    #[schema(value_type = Phase)]
    status: &'static str,
    /// The maximum number of shell sessions. Null if the value in the Pod is not a positive integer.
    #[schema(value_type = Option<SessionCount>, required)]
    max_shell_sessions: Option<ShellSessions>,
    /// The uid of the Pod.
    container_id: &'a str,
    /// Whether the Lark command line runs in a broker. Null if the Pod has only parts of a broker, or if other containers
    /// can read its credentials.
    #[schema(required)]
    lark_cli_broker: Option<bool>,
    /// Whether the URL works.
    ready: bool,
    /// The cluster that it lives on. Absent if the daemon has only one, without a name.
    #[serde(skip_serializing_if = "is_default")]
    #[schema(value_type = Option<String>, required = false)]
    cluster: &'a ClusterName,
    /// The cluster that a POST named, if the sandbox existed on another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    cluster_not_applied: Option<&'a ClusterName>,
    /// The thread of its POST. Absent for a sandbox that DeerFlow's provisioner created, like `user_id`, and in lists without
    /// parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    thread_id: Option<&'a ThreadId>,
    /// The user of its POST.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    user_id: Option<&'a UserId>,
    /// The labels of its Pod, without those of this program and of Kubernetes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    labels: Option<&'a Labels>,
    /// The profile with which it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    profile: Option<&'a ProfileName>,
    /// The profile that a POST named, if the sandbox existed with another one or with none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    profile_not_applied: Option<&'a ProfileName>,
    /// The limits of its container, as Kubernetes writes them.
    #[serde(skip_serializing_if = "Resources::is_empty")]
    resources: &'a Resources,
    /// The resize that is in progress, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    resize: Option<&'a Resize>,
    /// The resources that a POST set and that the sandbox, which existed, does not have.
    #[serde(skip_serializing_if = "Resources::is_empty")]
    resources_not_applied: Resources,
    /// Present in answers, not in event streams: the result of a check is not a change of the sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<SandboxNetwork>,
    /// The network mode that a POST named, if the sandbox existed with another one or with none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<NetworkModeName>)]
    network_not_applied: Option<NetworkMode>,
    /// Its workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<Workspace<'a>>,
    /// Why it does not run, such as `ImagePullBackOff` or `Unschedulable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// The cluster's message about the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    /// Advice for an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
    /// The creation time of its Pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    expiry: Option<Lifetime>,
}

/// The network of a sandbox.
#[derive(Debug, Serialize, ToSchema)]
struct SandboxNetwork {
    /// The network mode.
    #[schema(value_type = NetworkModeName)]
    mode: NetworkMode,
    /// Whether the policy of the mode is enforced. Absent for a mode without a policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EnforcedName>)]
    enforced: Option<Enforced>,
}

/// The workspace of a sandbox.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SandboxWorkspace)]
struct Workspace<'a> {
    /// Its id.
    #[schema(value_type = String)]
    id: &'a WorkspaceId,
    /// The size that its create asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<&'a str>,
    /// Whether its create asked to keep or to delete it after the last sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    when_deleted: Option<WhenDeleted>,
}

/// The lifetime of a sandbox with limits.
#[derive(Debug, Serialize, ToSchema)]
struct Lifetime {
    /// When it expires without further activity.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Since when it is idle.
    #[schema(value_type = String, format = DateTime)]
    idle_since: Timestamp,
    /// The limit that it reaches then.
    #[schema(value_type = ReapReasonName)]
    reap_reason: &'static str,
    /// Why it still exists after `expires_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reap_held: Option<Hold>,
}

/// Why a sandbox still exists after its `expires_at`, and until when.
#[derive(Debug, Serialize, ToSchema)]
struct Hold {
    /// The reason.
    #[schema(value_type = HoldReason)]
    reason: &'static str,
    /// The reason as a sentence.
    message: &'static str,
    /// The earliest time of its deletion.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

/// When and why a sandbox was reaped.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reaped {
    /// The limit that it had reached.
    #[schema(value_type = ReapReasonName)]
    reason: &'static str,
    /// The reason as a sentence.
    message: &'static str,
    /// When it was deleted.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// Whether a sandbox's Pod exists.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Presence<'a> {
    /// The id, as the caller wrote it.
    sandbox_id: &'a str,
    /// Whether its Pod exists, in any phase.
    exists: bool,
    /// The Pod's uid, or null.
    #[schema(required)]
    container_id: Option<&'a str>,
}

/// All sandboxes. Clients of DeerFlow's provisioner read this list often, so its sandboxes have no thread, user and labels.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SandboxList<'a> {
    /// The sandboxes, in order of their ids.
    sandboxes: Vec<Sandbox<'a>>,
    /// How many there are.
    count: usize,
    /// The clusters that the list leaves out, because their state is not known. Absent if none.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Option<Vec<String>>, required = false)]
    incomplete: &'a [ClusterName],
}

/// The sandboxes that match the parameters of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SandboxPage<'a> {
    /// The sandboxes, in order of their ids.
    sandboxes: Vec<Sandbox<'a>>,
    /// How many there are.
    count: usize,
    /// The clusters that the list leaves out, because their state is not known. Absent if none.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Option<Vec<String>>, required = false)]
    incomplete: &'a [ClusterName],
    /// The number of matching sandboxes after these.
    remaining: usize,
    /// The token for them, if there are any.
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// The position in the stream of events. The list has all changes up to it.
    version: &'a str,
}

/// The end of a sandbox.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Deleted<'a> {
    /// Always true.
    ok: bool,
    /// The id as the caller wrote it, also if it is not a valid id.
    sandbox_id: &'a str,
}

/// Returns the example of a sandbox.
pub(super) fn example() -> serde_json::Value {
    serde_json::json!({
        "sandbox_id": "abc-123", "sandbox_url": "http://127.0.0.1:30624", "status": "Running",
        "max_shell_sessions": 10, "container_id": "5d1d58d2-7011-4816-993b-0b512deef117", "lark_cli_broker": false,
        "ready": true, "created_at": "2026-11-26T08:28:35Z", "expires_at": "2026-11-26T09:28:35.543Z",
        "idle_since": "2026-11-26T08:28:35.543Z", "reap_reason": "TTLExpired",
    })
}

// === impl Sandbox ===

impl<'a> Sandbox<'a> {
    pub(super) fn new(id: &'a SandboxId, status: &'a Status) -> Self {
        let reason = status.reason.as_ref();
        Self {
            sandbox_id: id,
            sandbox_url: &status.url,
            status: status.phase.name(),
            max_shell_sessions: status.spec.max_shell_sessions,
            container_id: &status.pod.0,
            lark_cli_broker: status.spec.lark_cli_broker,
            ready: status.ready,
            cluster: &status.cluster,
            cluster_not_applied: None,
            thread_id: status.spec.origin.thread_id.as_ref(),
            user_id: status.spec.origin.user_id.as_ref(),
            labels: Some(&status.spec.origin.labels).filter(|labels| !labels.is_empty()),
            profile: status.spec.profile.as_ref(),
            profile_not_applied: None,
            resources: &status.spec.resources,
            resize: status.spec.resize.as_deref(),
            resources_not_applied: Resources::default(),
            network: None,
            network_not_applied: None,
            workspace: status.spec.workspace.as_deref().map(Workspace::from),
            reason: reason.map(|r| &*r.name),
            message: reason.and_then(|r| r.message.as_deref()),
            hint: reason.and_then(|reason| reason.hint()),
            created_at: status.created,
            expiry: status.expiry.map(Lifetime::from),
        }
    }

    /// Adds the network of the sandbox, if it was created with a network mode.
    pub(super) fn with_network(self, status: &Status, enforced: impl FnOnce() -> Enforced) -> Self {
        let network = status
            .spec
            .network
            .map(|mode| SandboxNetwork { mode, enforced: mode.is_restricted().then(enforced) });
        Self { network, ..self }
    }

    /// Removes the thread, the user and the labels.
    fn without_origin(self) -> Self {
        Self { thread_id: None, user_id: None, labels: None, ..self }
    }

    /// Adds the cluster that a POST named, if the sandbox is on another one.
    pub(super) fn not_on(self, named: Option<&'a ClusterName>) -> Self {
        Self { cluster_not_applied: named.filter(|named| *named != self.cluster), ..self }
    }

    /// Adds the profile, the resources and the network mode that a POST named and that the sandbox does not have.
    pub(super) fn without(
        self,
        profile: Option<&'a ProfileName>,
        resources: Resources,
        network: Option<NetworkMode>,
    ) -> Self {
        Self {
            profile_not_applied: profile,
            resources_not_applied: resources,
            network_not_applied: network,
            ..self
        }
    }
}

// === impl Workspace, Lifetime, Reaped ===

impl<'a> From<&'a PodWorkspace> for Workspace<'a> {
    fn from(PodWorkspace { id, size, when_deleted }: &'a PodWorkspace) -> Self {
        Self { id, size: size.as_deref(), when_deleted: *when_deleted }
    }
}

impl From<Expiry> for Lifetime {
    fn from(Expiry { idle_since, expires_at, reason, held }: Expiry) -> Self {
        Self {
            expires_at: to_the_millisecond(expires_at),
            idle_since: to_the_millisecond(idle_since),
            reap_reason: reason.name(),
            reap_held: held.map(|Held { reason, until }| Hold {
                reason: reason.name(),
                message: reason.description(),
                until: to_the_millisecond(until),
            }),
        }
    }
}

impl From<sandboxes::Reaped> for Reaped {
    fn from(sandboxes::Reaped { reason, at }: sandboxes::Reaped) -> Self {
        Self { reason: reason.name(), message: reason.description(), at: to_the_millisecond(at) }
    }
}

/// A time in milliseconds: many parsers reject more digits.
pub(super) fn to_the_millisecond(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// Returns whether this is the cluster of a daemon with only one, without a name.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(super) fn is_default(cluster: &&ClusterName) -> bool {
    **cluster == ClusterName::DEFAULT
}

// === impl SandboxList ===

impl<'a> SandboxList<'a> {
    pub(super) fn new(
        Listing { items, incomplete }: &'a Listing<(SandboxId, Status)>,
        enforced: impl Fn(&ClusterName) -> Enforced,
    ) -> Self {
        let sandbox = |(id, status): &'a (SandboxId, Status)| {
            Sandbox::new(id, status).with_network(status, || enforced(&status.cluster)).without_origin()
        };
        Self { sandboxes: items.iter().map(sandbox).collect(), count: items.len(), incomplete }
    }
}

// === impl SandboxPage ===

impl<'a> SandboxPage<'a> {
    pub(super) fn new(
        Listing { items, incomplete }: &'a Listing<(SandboxId, Status)>,
        enforced: impl Fn(&ClusterName) -> Enforced,
        remaining: usize,
        next: Option<String>,
        version: &'a str,
    ) -> Self {
        let sandbox = |(id, status): &'a (SandboxId, Status)| {
            Sandbox::new(id, status).with_network(status, || enforced(&status.cluster))
        };
        let sandboxes: Vec<_> = items.iter().map(sandbox).collect();
        Self { count: sandboxes.len(), sandboxes, incomplete, remaining, next, version }
    }
}

// === impl Presence ===

impl<'a> Presence<'a> {
    pub(super) fn new(sandbox_id: &'a str, pod: Option<&'a Uid>) -> Self {
        Self { sandbox_id, exists: pod.is_some(), container_id: pod.map(|Uid(uid)| &**uid) }
    }
}

// === impl Deleted ===

impl<'a> Deleted<'a> {
    pub(super) fn new(id: &'a str) -> Self {
        Self { ok: true, sandbox_id: id }
    }
}

/// A 200 with this body; `size` is its expected length in bytes, so that it is allocated once.
///
/// # Errors
/// [`ApiError::internal`] if the value cannot be serialized as JSON.
pub(crate) fn ok(value: &impl Serialize, size: usize) -> Result<Response, ApiError> {
    text(value, size).map(json)
}

/// The value as JSON; for `size` and errors see [`ok`].
pub(super) fn text(value: &impl Serialize, size: usize) -> Result<Bytes, ApiError> {
    let mut text = Vec::with_capacity(size);
    serde_json::to_writer(&mut text, value).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        ApiError::internal()
    })?;
    Ok(Bytes::from(text))
}

/// A 200 with this text as its JSON body.
pub(super) fn json(text: Bytes) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

#[cfg(test)]
mod tests;
