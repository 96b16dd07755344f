//! `GET /api/workspaces`, and `DELETE` and `PATCH /api/workspaces/{id}`: the workspaces of all sandboxes.

use actors::workspaces::WorkspaceStatus;
use jiff::Timestamp;
use lifecycle::{
    error::ClusterErrorKind,
    ids::{ClusterName, ProfileName, SandboxId},
    operation::Operation,
    workspace::{Scope, WhenDeleted, WorkspaceId, claim::ClaimPhase},
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    body::BodyReader,
    errors::{ApiError, reply},
    openapi::{
        Endpoint, Tag, failures,
        names::{one_of, stand_in},
    },
    path::{self, PathWorkspace},
    request, responses, with_body,
};

/// A workspace.
#[derive(Serialize, ToSchema)]
struct Workspace<'a> {
    /// Its id.
    #[schema(value_type = String)]
    id: &'a WorkspaceId,
    /// The cluster that it lives on. Absent if the daemon has only one, without a name.
    #[serde(skip_serializing_if = "responses::is_default")]
    #[schema(value_type = Option<String>, required = false)]
    cluster: &'a ClusterName,
    /// The sandboxes that share it.
    scope: Scope,
    /// The sandbox that has it, for the scope `sandbox`.
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox_id: Option<&'a str>,
    /// The thread whose sandboxes share it, for the scope `thread`.
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<&'a str>,
    /// The user whose sandboxes share it, for the scopes `thread` and `user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    /// The profile of the sandbox that created it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    profile: Option<&'a ProfileName>,
    /// The requested size.
    size: &'a str,
    /// The size of the volume, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<&'a str>,
    /// The storage class.
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_class: Option<&'a str>,
    /// The phase of its claim, or `Terminating` while the claim is being deleted.
    #[schema(value_type = PhaseName)]
    phase: &'static str,
    /// Whether it is kept or deleted after the last sandbox.
    when_deleted: WhenDeleted,
    /// How long it is kept after its last use.
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_for: Option<String>,
    /// The creation time of its claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
    /// The sandboxes that use it.
    #[schema(value_type = Vec<String>)]
    in_use_by: &'a [SandboxId],
    /// The time of the last use. Null while it is used, and if it is not known.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    last_used: Option<Timestamp>,
    /// When it is deleted if no sandbox uses it before. Null if that is not planned.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    deletes_at: Option<Timestamp>,
}

/// All workspaces.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkspaceList)]
struct List<'a> {
    /// The workspaces.
    workspaces: Vec<Workspace<'a>>,
    /// How many there are.
    count: usize,
    /// The clusters that the list leaves out, because their state is not known. Absent if none.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Option<Vec<String>>, required = false)]
    incomplete: &'a [ClusterName],
}

/// The end of a workspace.
#[derive(Serialize, ToSchema)]
#[schema(as = DeletedWorkspace)]
struct Deleted<'a> {
    /// Always true.
    ok: bool,
    /// Its id.
    id: &'a str,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let example = json!({
        "id": "0123456789abcdef0123456789abcdef", "scope": "thread", "thread_id": "thread-456", "user_id": "alice",
        "profile": "default", "size": "10Gi", "phase": "Bound", "when_deleted": "keep", "keep_for": "7days",
        "created_at": "2026-11-26T08:28:35Z", "in_use_by": ["abc-123"], "last_used": null, "deletes_at": null,
    });
    let one = "/api/workspaces/{id}";
    vec![
        Endpoint::get(
            "/api/workspaces",
            "listWorkspaces",
            Tag::Workspaces,
            "List the workspaces of all sandboxes",
        )
        .ok::<List<'_>>("All workspaces", json!({"workspaces": [example], "count": 1}))
        .fails(failures::reads()),
        Endpoint::delete(one, "deleteWorkspace", Tag::Workspaces, "Delete a workspace and its data")
            .ok::<Deleted<'_>>(
                "The workspace is deleted",
                json!(Deleted { ok: true, id: "0123456789abcdef0123456789abcdef" }),
            )
            .fails(failures::no_workspace())
            .fails(failures::reads())
            .fails(failures::cluster(Operation::DeleteWorkspace))
            .fails(
                [ClusterErrorKind::WorkspaceInUse, ClusterErrorKind::WorkspaceTerminating]
                    .map(|kind| failures::refused(Operation::DeleteWorkspace, kind)),
            ),
        Endpoint::patch(one, "enlargeWorkspace", Tag::Workspaces, "Enlarge a workspace")
            .body(
                "WorkspaceSize",
                request::schema::workspace_size(),
                &[("A larger size", json!({"size": "20Gi"}))],
            )
            .ok::<Workspace<'_>>("The workspace and its new size", example)
            .fails(failures::body())
            .fails(failures::owner())
            .fails(failures::field("size"))
            .fails(failures::settings("the size 20Gi is above the maximum of the profile, 10Gi"))
            .fails(failures::no_workspace())
            .fails(failures::reads())
            .fails(failures::cluster(Operation::EnlargeWorkspace))
            .fails(
                [
                    ClusterErrorKind::QuotaExceeded,
                    ClusterErrorKind::WorkspaceNotExpandable,
                    ClusterErrorKind::WorkspacePending,
                    ClusterErrorKind::WorkspaceLost,
                    ClusterErrorKind::WorkspaceTerminating,
                ]
                .map(|kind| failures::refused(Operation::EnlargeWorkspace, kind)),
            ),
    ]
}

stand_in!(
    PhaseName,
    "WorkspacePhase",
    "The phase of the claim of a workspace.",
    one_of(["Pending", "Bound", "Lost", "Terminating"])
);

pub(super) fn route<B: Backend>(backend: B, body_reader: BodyReader) -> BoxedFilter<(Response,)> {
    let (listed, deleted) = (backend.clone(), backend.clone());
    let list = path::workspaces().and(warp::get()).map(move || reply(list(&listed)));
    let delete = path::workspace().and(warp::delete()).then(move |id| {
        let backend = deleted.clone();
        async move { reply(delete(&backend, id).await) }
    });
    let enlarge = with_body::route(
        path::workspace().and(warp::patch()),
        body_reader,
        request::workspace_size,
        move |id, size, _owner| {
            let backend = backend.clone();
            async move { enlarge(&backend, id, &size).await }
        },
    );
    list.or(delete).unify().or(enlarge).unify().boxed()
}

fn list<B: Backend>(backend: &B) -> Result<Response, ApiError> {
    let all = backend.workspaces().list()?;
    let workspaces: Vec<_> = all.items.iter().map(Workspace::from).collect();
    let list = List { count: workspaces.len(), workspaces, incomplete: &all.incomplete };
    responses::ok(&list, 384 * (1 + all.items.len()))
}

async fn delete<B: Backend>(backend: &B, id: PathWorkspace) -> Result<Response, ApiError> {
    let id = known(id)?;
    if !backend.workspaces().delete(&id).await? {
        return Err(ApiError::no_workspace(id.as_str()));
    }
    responses::ok(&Deleted { ok: true, id: id.as_str() }, 64)
}

async fn enlarge<B: Backend>(backend: &B, id: PathWorkspace, size: &str) -> Result<Response, ApiError> {
    let id = known(id)?;
    let enlarged = backend.workspaces().enlarge(&id, size).await?;
    let status = enlarged.ok_or_else(|| ApiError::no_workspace(id.as_str()))?;
    responses::ok(&Workspace::from(&status), 384)
}

/// Returns a valid id, or a 404.
fn known(PathWorkspace { id, text }: PathWorkspace) -> Result<WorkspaceId, ApiError> {
    id.ok_or_else(|| ApiError::no_workspace(&text))
}

// === impl Workspace ===

impl<'a> From<&'a (ClusterName, WorkspaceStatus)> for Workspace<'a> {
    fn from((cluster, status): &'a (ClusterName, WorkspaceStatus)) -> Self {
        let WorkspaceStatus { id, claim, in_use_by, deletes_at } = status;
        let capacity = claim.capacity.as_ref().filter(|capacity| capacity.bytes != claim.size.bytes);
        let last_used = claim.unused_since.filter(|_| in_use_by.is_empty());
        Self {
            id,
            cluster,
            scope: claim.ids.scope,
            sandbox_id: claim.ids.sandbox_id.as_deref(),
            thread_id: claim.ids.thread_id.as_deref(),
            user_id: claim.ids.user_id.as_deref(),
            profile: claim.profile.as_ref(),
            size: &claim.size.text,
            capacity: capacity.map(|capacity| &*capacity.text),
            storage_class: claim.storage_class.as_deref(),
            phase: match claim.phase {
                _ if claim.terminating => "Terminating",
                ClaimPhase::Pending => "Pending",
                ClaimPhase::Bound => "Bound",
                ClaimPhase::Lost => "Lost",
            },
            when_deleted: claim.when_deleted,
            keep_for: claim.keep_for.map(|keep| humantime::format_duration(keep).to_string()),
            created_at: claim.created,
            in_use_by,
            last_used: last_used.map(responses::to_the_millisecond),
            deletes_at: deletes_at.map(responses::to_the_millisecond),
        }
    }
}
