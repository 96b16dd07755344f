//! `GET /api/sandboxes/{id}`, with or without a wait

use bytes::Bytes;
use fleet::backend::Shown;
use lifecycle::{ids::SandboxId, network::NetworkMode, observed::Status};
use warp::{Filter, Rejection, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    openapi::{Endpoint, Tag, failures, parameters},
    path::{self, PathId},
    responses::{self, Sandbox},
    wait::{self, Wait},
};

/// The usual size of a response without a reason, in bytes: an id, a URL, a uid and a time.
const USUAL_SIZE: usize = 352;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/sandboxes/{id}", "getSandbox", Tag::Sandboxes, "Return a sandbox")
            .text(
                "With `wait=ready` the answer comes once the sandbox is ready, and it does not count as use.",
            )
            .with(parameters::wait())
            .with(parameters::timeout())
            .ok::<Sandbox<'_>>("The sandbox", responses::example())
            .fails(failures::reads())
            .fails(failures::waits())
            .fails(failures::no_sandbox()),
    ]
}

/// The route, not boxed as the others are: a box costs an allocation for each request.
pub(super) fn route<B: Backend>(
    backend: B,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync {
    path::sandbox().and(warp::get()).and(warp::ext::optional()).then(move |id, wait| {
        let backend = backend.clone();
        async move { reply(answer(&backend, id, wait).await) }
    })
}

async fn answer<B: Backend>(backend: &B, id: PathId, wait: Option<Wait>) -> Result<Response, ApiError> {
    let end = wait::end(wait.as_ref())?;
    let id = id.usable()?;
    let permit = end.map(|end| backend.wait_permit(&id).map(|permit| (permit, end))).transpose()?;
    let Some((permit, end)) = permit else {
        let shown = backend.get(&id).await?.ok_or_else(|| absent(backend, &id))?;
        return present(backend, &id, &shown);
    };
    // A GET that waits does not count as use. Boxed, because every GET would need the memory of this future.
    let status = Box::pin(backend.settled(permit, end)).await?;
    shown(backend, &id, status)
}

/// The sandbox, or a 404; for a reaped sandbox the 404 contains when and why.
pub(super) fn shown<B: Backend>(
    backend: &B,
    id: &SandboxId,
    status: Option<Status>,
) -> Result<Response, ApiError> {
    let status = status.ok_or_else(|| absent(backend, id))?;
    written(backend, id, &status).map(responses::json)
}

/// The sandbox, as an earlier GET has written it.
fn present<B: Backend>(backend: &B, id: &SandboxId, shown: &Shown) -> Result<Response, ApiError> {
    let write = |status: &Status| written(backend, id, status);
    // Whether a policy is enforced is not in the status.
    let is_kept = !shown.spec.network.is_some_and(NetworkMode::is_restricted);
    let answer = if is_kept { shown.answer(write) } else { write(shown) };
    answer.map(responses::json)
}

fn written<B: Backend>(backend: &B, id: &SandboxId, status: &Status) -> Result<Bytes, ApiError> {
    let enforced = || backend.enforced(&status.cluster);
    responses::text(&Sandbox::new(id, status).with_network(status, enforced), USUAL_SIZE)
}

fn absent<B: Backend>(backend: &B, id: &SandboxId) -> ApiError {
    ApiError::no_sandbox(id.as_str()).after_reap(backend.reaped(id))
}
