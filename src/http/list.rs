//! `GET /api/sandboxes`
//!
//! Every client lists again and again, and little changes in between: the answer is written once for each
//! edition of what there is, and handed out until the next.

use std::sync::{Arc, Mutex, PoisonError};

use actors::view::Edition;
use bytes::Bytes;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::{ApiError, reply},
    path,
    wire::{self, SandboxList},
};

/// Room for one sandbox that runs: an id, a URL, a uid and a time.
const USUAL_ITEM_SIZE: usize = 288;

/// The last list that was written, and which edition it shows.
type Written = Arc<Mutex<Option<(Edition, Bytes)>>>;

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
    let edition = backend.edition().await?;
    let last = written.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some((_, text)) = last.filter(|(shown, _)| *shown == edition) {
        return Ok(wire::json(text));
    }
    let sandboxes = backend.list().await?;
    let text = wire::text(&SandboxList::new(&sandboxes), 32 + USUAL_ITEM_SIZE * sandboxes.len())?;
    *written.lock().unwrap_or_else(PoisonError::into_inner) = Some((edition, text.clone()));
    Ok(wire::json(text))
}
