//! `GET /api/events` and `GET /api/sandboxes/{id}/events`: the changes of sandboxes as they happen, as
//! [Server-Sent Events](https://html.spec.whatwg.org/multipage/server-sent-events.html).

mod body;
mod text;

use actors::view::{Start, change_reader::ChangeReader};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use warp::{Filter, filters::BoxedFilter, reply::Response};

pub(super) use self::body::EventBody;
use super::{
    Backend,
    errors::{ApiError, reply},
    path::{self, PathId},
};

/// The position after which the client wants to read, as it stood in the `id` of an event.
static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Keeps nginx from buffering the stream.
static X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(super) fn route<B: Backend>(backend: B) -> BoxedFilter<(Response,)> {
    let all = path::events().map(|| None).and(warp::get());
    let one = path::sandbox_events().map(Some).and(warp::get());
    all.or(one)
        .unify()
        .and(warp::header::headers_cloned())
        .then(move |id, headers| {
            let backend = backend.clone();
            async move { reply(answer(&backend, id, &headers).await) }
        })
        .boxed()
}

async fn answer<B: Backend>(
    backend: &B,
    id: Option<PathId>,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let start = start(headers);
    let Some(id) = id else { return Ok(stream(backend.changes(start).await?)) };
    let id = id.usable()?;
    match backend.changes_of(&id, start).await? {
        Some(reader) => Ok(stream(reader)),
        None => Err(ApiError::no_sandbox(id.as_str()).after_reap(backend.reaped(&id))),
    }
}

/// Returns where the stream of a request with these headers begins.
fn start(headers: &HeaderMap) -> Start {
    let mut ids = headers.get_all(&LAST_EVENT_ID).iter();
    match (ids.next(), ids.next()) {
        (None, _) => Start::Present,
        (Some(id), None) => {
            let position = id.to_str().ok().and_then(|id| id.parse().ok());
            position.map_or(Start::Reset, Start::After)
        }
        (Some(_), Some(_)) => Start::Reset,
    }
}

/// A 200 without a body and with the reader in its extensions: warp cannot express a body that ends later, so the front
/// end adds it.
fn stream(reader: ChangeReader) -> Response {
    let mut response = Response::new(String::new().into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(&X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response.extensions_mut().insert(reader);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that a stream begins with the present state only without an id, and that an id that cannot be read is not
    /// taken for none.
    #[test]
    fn an_unreadable_id_is_a_reset() {
        let position = "0000002a-7".parse().unwrap();
        for (ids, wanted) in [
            (&[][..], Start::Present),
            (&["0000002a-7"], Start::After(position)),
            (&[""], Start::Reset),
            (&["7"], Start::Reset),
            (&["\u{e9}"], Start::Reset),
            (&["0000002a-7", "0000002a-7"], Start::Reset),
        ] {
            let mut headers = HeaderMap::new();
            for id in ids {
                headers.append(&LAST_EVENT_ID, HeaderValue::from_bytes(id.as_bytes()).unwrap());
            }
            assert_eq!(start(&headers), wanted, "{ids:?}");
        }
    }
}
