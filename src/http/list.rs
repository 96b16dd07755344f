//! `GET /api/sandboxes`, with or without parameters
//!
//! Clients list often, and little changes between two lists. Therefore the body of the list without parameters is
//! written, and compressed, once per revision and reused until the next. A client that sends the tag of its last list
//! gets a body only after a change.

mod etag;
mod parameters;
mod token;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use fleet::{list::Listing, position::Revision};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use lifecycle::ids::ClusterName;
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
    route::Route,
};

/// The clusters that a list leaves out, because their state is not known. The body names them too.
static INCOMPLETE_CLUSTERS: HeaderName = HeaderName::from_static("incomplete-clusters");

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

/// The last list without parameters.
#[derive(Debug, Clone)]
struct Written {
    revision: Revision,
    etag: ETag,
    list: List,
}

/// A list as it was written.
#[derive(Debug, Clone)]
struct List {
    text: Bytes,
    /// The value of [`INCOMPLETE_CLUSTERS`], if it leaves clusters out.
    incomplete: Option<HeaderValue>,
    compressed: Arc<OnceLock<Bytes>>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let etag = described::header("The version of the list, for `If-None-Match`.", "W/\"cc6d3afb-12\"");
    let vary = described::header("The answer depends on this header of the request.", "accept-encoding");
    let incomplete = described::header(
        "The clusters that the list leaves out, as in `incomplete`. Absent if none.",
        "west",
    );
    let not_modified = openapi::response("No sandbox has changed since.");
    let not_modified = not_modified.header("ETag", etag.clone()).header("Vary", vary.clone());
    let mut endpoint = Endpoint::get("/api/sandboxes", "listSandboxes", Tag::Sandboxes, "List sandboxes").text(
        "Without parameters it returns all sandboxes in the order of their ids. With at least one of them it returns those \
         that match all of them. Several values of one parameter, separated by commas or in several parameters, select any \
         of them; of `label`, all must match. For the next page, send the same parameters and the token of `continue`.",
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
                answer.header("ETag", etag).header("Vary", vary).header("Incomplete-Clusters", incomplete)
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
    pub(super) fn of(method: &Method, route: Route, uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        if *method != Method::GET || route != Route::Sandboxes {
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
        let parse = |query| Parameters::parse(query, &backend.cluster_names());
        let parameters = options.query.as_deref().map(parse).transpose()?;
        let revision = backend.revision().await?;
        let version = backend.position(&revision);
        let etag = ETag::new(&version, &revision);
        if etag.is_in(&options.if_none_match) {
            return Ok(not_modified(etag));
        }
        let (list, etag) = match parameters {
            Some(parameters) => (page(backend, &parameters, &revision, &version.to_string()).await?, etag),
            None => self.plain(backend, revision, etag).await?,
        };
        let compressed = if options.gzip { list.compressed(&self.gzip).await } else { None };
        Ok(body(list, compressed, etag))
    }

    /// Returns the list without parameters.
    async fn plain<B: Backend>(
        &self,
        backend: &B,
        revision: Revision,
        etag: ETag,
    ) -> Result<(List, ETag), ApiError> {
        let written = self.written.lock().clone();
        if let Some(written) = written.filter(|written| written.revision == revision) {
            return Ok((written.list, written.etag));
        }
        let listing = backend.list(&revision).await?;
        let sandboxes = SandboxList::new(&listing, |cluster| backend.enforced(cluster));
        let text = responses::text(&sandboxes, 32 + USUAL_ITEM_SIZE * listing.items.len())?;
        let list = List::new(text, &listing.incomplete);
        *self.written.lock() = Some(Written { revision, etag: etag.clone(), list: list.clone() });
        Ok((list, etag))
    }
}

// === impl List ===

impl List {
    fn new(text: Bytes, incomplete: &[ClusterName]) -> Self {
        let names: Vec<_> = incomplete.iter().map(ClusterName::as_str).collect();
        let incomplete = (!names.is_empty()).then(|| HeaderValue::try_from(names.join(", ")).ok()).flatten();
        Self { text, incomplete, compressed: Arc::default() }
    }

    async fn compressed(&self, gzip: &Gzip) -> Option<Bytes> {
        if let Some(compressed) = self.compressed.get() {
            return Some(compressed.clone());
        }
        let compressed = gzip.compress(self.text.clone()).await?;
        Some(self.compressed.get_or_init(|| compressed).clone())
    }
}

/// Writes the sandboxes that match the parameters.
async fn page<B: Backend>(
    backend: &B,
    parameters: &Parameters,
    revision: &Revision,
    version: &str,
) -> Result<List, ApiError> {
    let after = parameters.after.clone();
    let matches = |status: &_| parameters.match_sandbox(status);
    let Listing { items: mut shown, mut incomplete } = backend.list_after(revision, after, matches).await?;
    incomplete.retain(|cluster| parameters.includes(cluster));
    let remaining = shown.len().saturating_sub(parameters.limit.unwrap_or(shown.len()));
    shown.truncate(shown.len() - remaining);
    let next = shown.last().filter(|_| remaining > 0).map(|(id, _)| token::after(id));
    let listing = Listing { items: shown, incomplete };
    let page = SandboxPage::new(&listing, |cluster| backend.enforced(cluster), remaining, next, version);
    let text = responses::text(&page, 128 + USUAL_PAGE_ITEM_SIZE * listing.items.len())?;
    Ok(List::new(text, &listing.incomplete))
}

fn not_modified(etag: ETag) -> Response {
    let mut response = Response::new(String::new().into());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    etag.add_to(response.headers_mut());
    response
}

fn body(list: List, compressed: Option<Bytes>, etag: ETag) -> Response {
    let is_compressed = compressed.is_some();
    let mut response = Response::new(compressed.unwrap_or(list.text).into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, responses::JSON);
    if is_compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(incomplete) = list.incomplete {
        headers.insert(&INCOMPLETE_CLUSTERS, incomplete);
    }
    etag.add_to(headers);
    response
}
