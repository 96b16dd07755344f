//! `GET /api/sandboxes`
//!
//! Clients list often, and little changes between two lists. Therefore the body is written once per revision and
//! reused until the next.

use std::sync::Arc;

use actors::view::Revision;
use bytes::Bytes;
use lifecycle::network::Enforced;
use parking_lot::Mutex;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    path,
    responses::{self, SandboxList},
};

/// The usual size of one running sandbox in the list, in bytes: an id, a URL, a uid and a time.
const USUAL_ITEM_SIZE: usize = 288;

/// The last list that was written, its revision, and whether the network policies are enforced, which it shows too.
type Written = Arc<Mutex<Option<(Revision, Enforced, Bytes)>>>;

pub(super) fn route<B: Backend>(backend: B) -> BoxedFilter<(Response,)> {
    let written = Written::default();
    path::sandboxes()
        .and(warp::get())
        .then(move || {
            let (backend, written) = (backend.clone(), written.clone());
            async move { reply(answer(&backend, &written).await) }
        })
        .boxed()
}

async fn answer<B: Backend>(backend: &B, written: &Written) -> Result<Response, ApiError> {
    let revision = backend.revision().await?;
    let enforced = backend.network().enforced;
    let last = written.lock().clone();
    if let Some((.., text)) = last.filter(|(shown, how, _)| (*shown, *how) == (revision, enforced)) {
        return Ok(responses::json(text));
    }
    let sandboxes = backend.list().await?;
    let text =
        responses::text(&SandboxList::new(&sandboxes, enforced), 32 + USUAL_ITEM_SIZE * sandboxes.len())?;
    *written.lock() = Some((revision, enforced, text.clone()));
    Ok(responses::json(text))
}
