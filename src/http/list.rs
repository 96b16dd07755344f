//! `GET /api/sandboxes`, with or without parameters
//!
//! Clients list often, and little changes between two lists. Therefore the body of the list without parameters is
//! written, and compressed, once per revision and reused until the next. A client that sends the tag of its last list
//! gets a body only after a change.

mod etag;
mod parameters;
mod token;

use std::sync::{Arc, OnceLock};

use actors::view::Revision;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use lifecycle::network::Enforced;
use parking_lot::Mutex;
use serde_json::json;
use utoipa::openapi::schema::AnyOfBuilder;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use self::{etag::ETag, parameters::Parameters};
use super::{
    Backend,
    errors::{ApiError, reply},
    gzip::{self, Gzip},
    openapi::{self, Endpoint, Tag, failures, parameters as described, schemas},
    path,
    responses::{self, SandboxList, SandboxPage},
};

/// The usual size of one running sandbox in the list, in bytes: an id, a URL, a uid and a time.
const USUAL_ITEM_SIZE: usize = 288;

/// The same with a thread, a user and a label.
const USUAL_PAGE_ITEM_SIZE: usize = 384;

/// The options of a request for a list. The front end puts them into the extensions of the request, as with
/// [`super::wait::Wait`].
#[derive(Debug, Clone, Default)]
pub(super) struct ListOptions {
    /// The query, if it has one of the parameters.
    query: Option<String>,
    /// The values of `If-None-Match`.
    if_none_match: Vec<HeaderValue>,
    gzip: bool,
}

/// The lists without parameters.
#[derive(Debug, Clone)]
struct Lists {
    /// The last list that was written.
    written: Arc<Mutex<Option<Written>>>,
    gzip: Gzip,
}

/// A list as it was written.
#[derive(Debug, Clone)]
struct Written {
    revision: Revision,
    /// Whether the network policies are enforced, which it shows too.
    enforced: Enforced,
    etag: ETag,
    text: Bytes,
    compressed: Arc<OnceLock<Bytes>>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let etag = described::header("The version of the list, for `If-None-Match`.", "W/\"cc6d3afb-12\"");
    let vary = described::header("The answer depends on this header of the request.", "accept-encoding");
    let not_modified = openapi::response("No sandbox has changed since.");
    let not_modified = not_modified.header("ETag", etag.clone()).header("Vary", vary.clone());
    let mut endpoint = Endpoint::get("/api/sandboxes", "listSandboxes", Tag::Sandboxes, "List sandboxes").text(
        "Without parameters it returns all sandboxes in the order of their ids. With at least one of them it returns those \
         that match all of them. Several values of one parameter, separated by commas or in several parameters, select any \
         of them. For the next page, send the same parameters and the token of `continue`.",
    );
    let schema = AnyOfBuilder::new()
        .item(endpoint.schema::<SandboxPage<'_>>(schemas::Use::Response))
        .item(endpoint.schema::<SandboxList<'_>>(schemas::Use::Response));
    let example = json!({"sandboxes": [responses::example()], "count": 1});
    endpoint = parameters::described().into_iter().fold(endpoint, Endpoint::with);
    vec![
        endpoint
            .with(described::if_none_match())
            .ok_with("The sandboxes", schema, example, |answer| {
                answer.header("ETag", etag).header("Vary", vary)
            })
            .answers("304", not_modified)
            .fails(parameters::failures())
            .fails(failures::reads()),
    ]
}

pub(super) fn route<B: Backend>(backend: B) -> BoxedFilter<(Response,)> {
    let lists = Lists { written: Arc::default(), gzip: Gzip::new() };
    path::sandboxes()
        .and(warp::get())
        .and(warp::ext::optional())
        .then(move |options: Option<ListOptions>| {
            let (backend, lists) = (backend.clone(), lists.clone());
            async move { reply(lists.answer(&backend, &options.unwrap_or_default()).await) }
        })
        .boxed()
}

// === impl ListOptions ===

impl ListOptions {
    /// Returns the options of a request; `None` if it is not a list, or has none.
    pub(super) fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        if *method != Method::GET || uri.path().trim_end_matches('/') != "/api/sandboxes" {
            return None;
        }
        let query = uri.query().filter(|query| Parameters::are_in(query)).map(str::to_owned);
        let (if_none_match, gzip) = (etag::if_none_match(headers), gzip::is_accepted(headers));
        (query.is_some() || !if_none_match.is_empty() || gzip).then_some(Self { query, if_none_match, gzip })
    }
}

// === impl Lists ===

impl Lists {
    async fn answer<B: Backend>(&self, backend: &B, options: &ListOptions) -> Result<Response, ApiError> {
        let parameters = options.query.as_deref().map(Parameters::parse).transpose()?;
        let revision = backend.revision().await?;
        let (version, enforced) = (backend.position(), backend.network().enforced);
        let etag = ETag::new(version, enforced);
        if etag.is_in(&options.if_none_match) {
            return Ok(not_modified(etag));
        }
        if let Some(parameters) = parameters {
            let text = page(backend, &parameters, &version.to_string(), enforced).await?;
            let compressed = if options.gzip { self.gzip.compress(text.clone()).await } else { None };
            return Ok(body(text, compressed, etag));
        }
        let written = self.plain(backend, revision, enforced, etag).await?;
        let compressed = if options.gzip { self.compressed(&written).await } else { None };
        Ok(body(written.text, compressed, written.etag))
    }

    /// Returns the list without parameters.
    async fn plain<B: Backend>(
        &self,
        backend: &B,
        revision: Revision,
        enforced: Enforced,
        etag: ETag,
    ) -> Result<Written, ApiError> {
        let last = self.written.lock().clone();
        if let Some(last) = last.filter(|last| (last.revision, last.enforced) == (revision, enforced)) {
            return Ok(last);
        }
        let sandboxes = backend.list().await?;
        let text =
            responses::text(&SandboxList::new(&sandboxes, enforced), 32 + USUAL_ITEM_SIZE * sandboxes.len())?;
        let written = Written { revision, enforced, etag, text, compressed: Arc::default() };
        *self.written.lock() = Some(written.clone());
        Ok(written)
    }

    async fn compressed(&self, written: &Written) -> Option<Bytes> {
        if let Some(compressed) = written.compressed.get() {
            return Some(compressed.clone());
        }
        let compressed = self.gzip.compress(written.text.clone()).await?;
        Some(written.compressed.get_or_init(|| compressed).clone())
    }
}

/// Writes the sandboxes that match the parameters.
async fn page<B: Backend>(
    backend: &B,
    parameters: &Parameters,
    version: &str,
    enforced: Enforced,
) -> Result<Bytes, ApiError> {
    let after = parameters.after.clone();
    let all = backend.list_after(after, |status| parameters.match_sandbox(status)).await?;
    let shown = &all[..parameters.limit.unwrap_or(all.len()).min(all.len())];
    let remaining = all.len() - shown.len();
    let next = shown.last().filter(|_| remaining > 0).map(|(id, _)| token::after(id));
    let page = SandboxPage::new(shown, enforced, remaining, next, version);
    responses::text(&page, 128 + USUAL_PAGE_ITEM_SIZE * shown.len())
}

fn not_modified(etag: ETag) -> Response {
    let mut response = Response::new(String::new().into());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    etag.add_to(response.headers_mut());
    response
}

fn body(text: Bytes, compressed: Option<Bytes>, etag: ETag) -> Response {
    let is_compressed = compressed.is_some();
    let mut response = Response::new(compressed.unwrap_or(text).into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, responses::JSON);
    if is_compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    etag.add_to(headers);
    response
}
