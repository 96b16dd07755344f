//! `GET /api/sandboxes`
//!
//! Every client lists again and again, and little changes in between: the answer is written once for each
//! revision of what there is, and handed out until the next.

use std::sync::Arc;

use actors::view::Revision;
use bytes::Bytes;
use parking_lot::Mutex;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    path,
    responses::{self, SandboxList},
};

/// Room for one sandbox that runs: an id, a URL, a uid and a time.
const USUAL_ITEM_SIZE: usize = 288;

/// The last list that was written, and which revision it shows.
type Written = Arc<Mutex<Option<(Revision, Bytes)>>>;

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
    let last = written.lock().clone();
    if let Some((_, text)) = last.filter(|(shown, _)| *shown == revision) {
        return Ok(responses::json(text));
    }
    let sandboxes = backend.list().await?;
    let text = responses::text(&SandboxList::new(&sandboxes), 32 + USUAL_ITEM_SIZE * sandboxes.len())?;
    *written.lock() = Some((revision, text.clone()));
    Ok(responses::json(text))
}
