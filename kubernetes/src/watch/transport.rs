//! The service below the watcher's client: our own calls, with their deadlines and bounds.
//!
//! `kube` itself waits forever for the head of an answer and for the body of a list, does not limit the size of a page or
//! of an event, drops `Retry-After`, and converts a proxy's error page to a `Status` of Kubernetes.
//!
//! The watch requests of `kube` ask for an uncompressed answer, because API servers from version 1.37 compress watches.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::{Either, Full};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::{Client, client::Body};
use serde::{Deserialize, de::IgnoredAny};
use tokio::time::Instant;
use tower::service_fn;

use super::{
    HEAD_TIMEOUT, PAGE_SILENCE, PAGE_TIMEOUT,
    body::WatchBody,
    connection_state::{ConnectionState, Recorded},
    oversized,
    page_size::{PageSize, with_limit},
};
use crate::{
    calls::Calls,
    connect::Connection,
    fault::{CallError, Verb},
};

/// A page of a list, as far as it is checked here.
#[derive(Deserialize)]
struct Page {
    metadata: ListMeta,
    /// Required, as for `kube`: without this attribute serde accepts a missing field.
    #[serde(deserialize_with = "Option::deserialize")]
    #[expect(dead_code, reason = "only its presence counts")]
    items: Option<Vec<IgnoredAny>>,
}

/// Creates the client of one watcher. Records the results of its calls in `state`.
pub fn client(connection: &Connection, state: &Arc<ConnectionState>, page_size: &PageSize) -> Client {
    let (connection, state, page_size) = (connection.clone(), Arc::clone(state), page_size.clone());
    let namespace = connection.namespace().to_owned();
    let service = service_fn(move |request: Request<Body>| {
        let (calls, state, page_size) = (connection.watch(), Arc::clone(&state), page_size.clone());
        async move {
            // `kube` names the call in an extension of the request.
            if request.extensions().get() == Some(&"watch") {
                let opened = Instant::now();
                let answer = async {
                    let calls = calls?;
                    Ok((calls.open(request, HEAD_TIMEOUT).await?, calls.answer_max() / 4))
                };
                let (answer, max) = answer.await.map_err(|error| state.fail(Verb::Watch, error))?;
                Ok(answer.map(|body| Either::Left(WatchBody::new(body, max, opened, state))))
            } else {
                let (parts, _) = request.into_parts();
                let page = async {
                    let page = read_page(&calls?, &parts, &page_size, &state).await?;
                    Ok((version(&page)?, page))
                };
                let (version, page) = page.await.map_err(|error| state.fail(Verb::List, error))?;
                state.set_list_version(version);
                Ok::<_, Recorded>(Response::new(Either::Right(Full::new(page))))
            }
        }
    });
    Client::new(service, namespace)
}

/// Reads a page of a list, with as many objects as can be read. An object that is too large alone is left out, and
/// recorded in `state`.
async fn read_page(
    calls: &Calls,
    request: &Parts,
    page_size: &PageSize,
    state: &ConnectionState,
) -> Result<Bytes, CallError> {
    loop {
        let asked = Instant::now();
        let uri = with_limit(&request.uri, page_size.get()).unwrap_or(request.uri.clone());
        let mut sized = Request::get(&uri);
        if let Some(headers) = sized.headers_mut() {
            headers.clone_from(&request.headers);
        }
        let sized = sized.body(Body::empty()).map_err(|_| CallError::Unreadable)?;
        match calls.read_long(sized, PAGE_SILENCE, PAGE_TIMEOUT).await {
            Ok(page) => {
                page_size.succeeded(page.len(), calls.answer_max(), asked.elapsed());
                return Ok(page);
            }
            Err(error) if page_size.failed(&error) => {
                tracing::debug!(%error, objects = page_size.get(), "a page of a list is requested with fewer objects");
            }
            Err(error @ CallError::TooLarge { .. }) => {
                let table = oversized::request(request, &uri)?;
                let table = calls.read_long(table, PAGE_SILENCE, PAGE_TIMEOUT).await?;
                let skipped = oversized::parse(&table).ok_or(error)?;
                if let Some(name) = skipped.name {
                    state.add_unreadable(name);
                }
                return Ok(skipped.page);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Returns the version of the list that a page is part of. The watcher does not report it, and the sink needs exactly
/// this version: an object that is missing from the list is gone as of it. With a lower version a late answer to one of
/// our own calls could restore the object; with a higher one a recreated object would stay hidden.
///
/// Checks the page to its end, because `kube` logs a body that it cannot parse, and a Pod may hold secrets. Every list
/// of Kubernetes has a version: a success without one says nothing about what exists.
fn version(page: &Bytes) -> Result<String, CallError> {
    let text = std::str::from_utf8(page).map_err(|_| CallError::Unreadable)?;
    let page: Page = serde_json::from_str(text).map_err(|_| CallError::Unreadable)?;
    page.metadata.resource_version.filter(|version| !version.is_empty()).ok_or(CallError::Unreadable)
}

#[cfg(test)]
mod tests {
    use kube::core::ObjectList;

    use super::*;
    use crate::types::Pod;

    fn checked(page: &[u8]) -> Option<String> {
        version(&Bytes::copy_from_slice(page)).ok()
    }

    /// Guards the log against secrets: each page that passes is one that `kube` can parse, whatever its items are.
    #[test]
    fn a_page_that_passes_is_one_that_kube_can_parse() {
        for page in [
            r#"{"metadata":{"resourceVersion":"7"},"items":[]}"#,
            r#"{"metadata":{"resourceVersion":"7"},"items":null}"#,
            r#"{"kind":3,"apiVersion":[],"metadata":{"resourceVersion":"7"},"items":[{},7,null,[{"a":1}],"x"]}"#,
            r#"{"items":[{"metadata":7,"spec":{"containers":"x"}}],"metadata":{"resourceVersion":"7","x":1},"y":{}}"#,
        ] {
            assert_eq!(checked(page.as_bytes()).as_deref(), Some("7"), "{page}");
            serde_json::from_str::<ObjectList<Pod>>(page).unwrap();
        }
        let odd_item = b"{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[\"\xff\"]}";
        for page in [
            &b""[..],
            b"<html>",
            b"7",
            b"{}",
            br#"{"metadata":{"resourceVersion":"7"}}"#,
            br#"{"metadata":{"resourceVersion":"7"},"items":{}}"#,
            br#"{"metadata":{"resourceVersion":"7"},"items":[{}}"#,
            br#"{"metadata":{"resourceVersion":7},"items":[]}"#,
            br#"{"metadata":{"resourceVersion":""},"items":[]}"#,
            br#"{"metadata":{"resourceVersion":"7","continue":3},"items":[]}"#,
            br#"{"metadata":{"continue":"next"},"items":[]}"#,
            odd_item,
        ] {
            assert_eq!(checked(page), None, "{}", String::from_utf8_lossy(page));
        }
    }
}
