//! `POST /api/sandboxes`, with or without a wait

use bytes::Buf;
use futures::Stream;
use http::HeaderMap;
use lifecycle::{
    error::SandboxError, observed::Status, operation::Operation, phase::Phase, request::CreateRequest,
};
use serde_json::json;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    body::BodyReader,
    errors::{ApiError, reply},
    openapi::{Endpoint, Tag, failures, parameters},
    path,
    profiles::Profiles,
    request,
    responses::{self, Sandbox},
    wait::{self, Wait},
};

/// The usual size of a response, in bytes: an id, a URL, a uid, a time and the reason of a new sandbox.
const USUAL_SIZE: usize = 384;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let example =
        json!({"sandbox_id": "abc-123", "thread_id": "thread-456", "user_id": "alice", "ttl": "2h"});
    vec![
        Endpoint::post("/api/sandboxes", "createSandbox", Tag::Sandboxes, "Create a sandbox")
            .text(
                "If the sandbox exists already and matches the request, it is returned unchanged. With `wait=ready` the \
                 answer comes once the sandbox is ready, or once it cannot become ready by itself, so look at `ready`.",
            )
            .with(parameters::owner())
            .with(parameters::wait())
            .with(parameters::timeout())
            .body(
                "CreateRequest",
                request::schema::create(),
                &[("Only an id", json!({"sandbox_id": "abc-123"})), ("With a user and a limit", example)],
            )
            .ok::<Sandbox<'_>>("The new or existing sandbox", responses::example())
            .fails(failures::body())
            .fails(failures::field("sandbox_id"))
            .fails(failures::pattern())
            .fails(failures::owner())
            .fails(failures::waits())
            .fails(failures::settings("there is no profile 'large'; the profiles are default"))
            .fails(failures::create())
            .fails(failures::writes(Operation::CreatePod)),
    ]
}

pub(super) fn route<B: Backend>(
    backend: B,
    body_reader: BodyReader,
    profiles: Profiles,
) -> BoxedFilter<(Response,)> {
    path::sandboxes()
        .and(warp::post())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional())
        .and(warp::body::stream())
        .then(move |headers, wait, body| {
            let (backend, body_reader, profiles) = (backend.clone(), body_reader.clone(), profiles.clone());
            async move { reply(answer(&backend, headers, wait, body, &body_reader, &profiles).await) }
        })
        .boxed()
}

async fn answer<B, S, D, E>(
    backend: &B,
    headers: HeaderMap,
    wait: Option<Wait>,
    body: S,
    body_reader: &BodyReader,
    profiles: &Profiles,
) -> Result<Response, ApiError>
where
    B: Backend,
    S: Stream<Item = Result<D, E>>,
    D: Buf,
{
    let (request, owner) = body_reader.parse(&headers, body, request::create).await?;
    let end = wait::end(wait.as_ref())?;
    let (id, asked) = (request.sandbox_id.clone(), request.profile.clone());
    let cluster = request.cluster.clone();
    let (resources, network) = (request.overrides.resources.clone(), request.overrides.network);
    let request = profiles.apply(request);
    // Before the create, so that a request over the limit makes nothing.
    let permit = end.map(|end| backend.wait_permit(&id).map(|permit| (permit, end))).transpose()?;
    let mut status = backend.create(CreateRequest { owner, ..request }).await?;
    if let Some((permit, end)) = permit {
        status = settled(status, backend.settled(permit, end).await);
    }
    let not_applied = asked.as_ref().filter(|asked| status.spec.profile.as_ref() != Some(*asked));
    let resources = profiles.not_applied(resources, &status.spec);
    let network = network.filter(|network| status.spec.network != Some(*network));
    let enforced = || backend.enforced(&status.cluster);
    let sandbox = Sandbox::new(&id, &status).with_network(&status, enforced);
    let sandbox = sandbox.not_on(cluster.as_ref()).without(not_applied, resources, network);
    responses::ok(&sandbox, USUAL_SIZE)
}

/// Returns the state that a created sandbox has reached. Its POST is a 200 in any case: a sandbox that was deleted
/// meanwhile is `Terminating`, and if the cluster cannot be reached any more, the state before the wait is returned.
fn settled(created: Status, waited: Result<Option<Status>, SandboxError>) -> Status {
    match waited {
        Ok(Some(status)) => status,
        Ok(None) => Status { phase: Phase::Terminating, ready: false, ..created },
        Err(_) => created,
    }
}
