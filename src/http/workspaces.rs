//! `GET /api/workspaces`, and `DELETE` and `PATCH /api/workspaces/{id}`: the workspaces of all sandboxes.

use actors::workspaces::{WorkspaceStatus, Workspaces};
use jiff::Timestamp;
use lifecycle::{
    ids::{ProfileName, SandboxId},
    workspace::{Scope, WhenDeleted, WorkspaceId, claim::ClaimPhase},
};
use serde::Serialize;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    body::BodyReader,
    errors::{ApiError, reply},
    patch,
    path::{self, PathWorkspace},
    request, responses,
};

/// A workspace.
#[derive(Serialize)]
struct Workspace<'a> {
    id: &'a WorkspaceId,
    scope: Scope,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a ProfileName>,
    /// The requested size.
    size: &'a str,
    /// The size of the volume, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_class: Option<&'a str>,
    /// `Pending`, `Bound`, `Lost` or `Terminating`.
    phase: &'static str,
    when_deleted: WhenDeleted,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_for: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    in_use_by: &'a [SandboxId],
    /// The time of the last use; null while it is used, and if it is not known.
    last_used: Option<Timestamp>,
    /// When it is deleted if no sandbox uses it before; null if that is not planned.
    deletes_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct List<'a> {
    workspaces: Vec<Workspace<'a>>,
    count: usize,
}

/// The response to a DELETE.
#[derive(Serialize)]
struct Deleted<'a> {
    ok: bool,
    id: &'a str,
}

pub(super) fn route<B: Backend>(backend: B, body_reader: BodyReader) -> BoxedFilter<(Response,)> {
    let (listed, deleted) = (backend.clone(), backend.clone());
    let list = path::workspaces().and(warp::get()).map(move || reply(list(&listed)));
    let delete = path::workspace().and(warp::delete()).then(move |id| {
        let backend = deleted.clone();
        async move { reply(delete(&backend, id).await) }
    });
    let enlarge =
        patch::route(path::workspace(), body_reader, request::workspace_size, move |id, size, _owner| {
            let backend = backend.clone();
            async move { enlarge(&backend, id, &size).await }
        });
    list.or(delete).unify().or(enlarge).unify().boxed()
}

fn list<B: Backend>(backend: &B) -> Result<Response, ApiError> {
    let all = backend.workspaces().map_or(Ok(Vec::new()), Workspaces::list)?;
    let workspaces: Vec<_> = all.iter().map(Workspace::from).collect();
    responses::ok(&List { count: workspaces.len(), workspaces }, 384 * (1 + all.len()))
}

async fn delete<B: Backend>(backend: &B, id: PathWorkspace) -> Result<Response, ApiError> {
    let (workspaces, id) = known(backend, id)?;
    if !workspaces.delete(&id).await? {
        return Err(ApiError::no_workspace(id.as_str()));
    }
    responses::ok(&Deleted { ok: true, id: id.as_str() }, 64)
}

async fn enlarge<B: Backend>(backend: &B, id: PathWorkspace, size: &str) -> Result<Response, ApiError> {
    let (workspaces, id) = known(backend, id)?;
    let enlarged = workspaces.enlarge(&id, size).await?;
    let status = enlarged.ok_or_else(|| ApiError::no_workspace(id.as_str()))?;
    responses::ok(&Workspace::from(&status), 384)
}

/// Returns the workspaces and a valid id, or a 404.
fn known<B: Backend>(backend: &B, id: PathWorkspace) -> Result<(&Workspaces, WorkspaceId), ApiError> {
    let PathWorkspace { id, text } = id;
    backend.workspaces().zip(id).ok_or_else(|| ApiError::no_workspace(&text))
}

// === impl Workspace ===

impl<'a> From<&'a WorkspaceStatus> for Workspace<'a> {
    fn from(WorkspaceStatus { id, claim, in_use_by, deletes_at }: &'a WorkspaceStatus) -> Self {
        let capacity = claim.capacity.as_ref().filter(|capacity| capacity.bytes != claim.size.bytes);
        let last_used = claim.unused_since.filter(|_| in_use_by.is_empty());
        Self {
            id,
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
