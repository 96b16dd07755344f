//! The description of the API: `GET /openapi.json`, an `OpenAPI` 3.1 document.
//!
//! Each route describes itself in its own file, with a function `endpoints`. The schemas are derived from the types that
//! the routes serialize, and the errors are built by the code that answers with them. So the document says what the
//! program does. The tests compare it with the routes and with every answer.
//!
//! The document is the same for every installation and every setting. It contains no secret and needs no key.

mod endpoint;
pub(crate) mod failures;
pub(crate) mod names;
pub(in crate::http) mod pages;
pub(crate) mod parameters;
pub(crate) mod schemas;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, ETAG},
};
use serde_json::json;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, PathsBuilder,
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    tag::TagBuilder,
};
use warp::{Filter, filters::BoxedFilter, reply::Response};

pub(crate) use self::endpoint::{Endpoint, Tag, response};
use super::{entity_tag, path, responses};

/// The introduction of the document.
const INTRODUCTION: &str = "\
Gives AI-agent backends a Kubernetes Pod and Service per `sandbox_id`.

- **Key.** If an API key is configured, every call below `/api` needs it, as `X-API-Key` or as a bearer token. Without a \
configured key, none is needed.
- **Errors** are `{\"detail\": …}`, and most have a stable `reason`. A client that accepts `application/problem+json` gets \
RFC 9457 instead. A 503 or 504 with `Retry-After` can be tried again.
- **Booleans and integers** in bodies may also be written as strings, such as `\"yes\"` or `\"10\"`. Unknown fields are \
ignored where the schema allows them.
- **New fields** are added to answers at any time. Ignore those that you do not know.";

/// The document as text, and its entity tag.
static DOCUMENT: LazyLock<(Bytes, HeaderValue)> = LazyLock::new(|| {
    let text = serde_json::to_string(&document()).unwrap_or_else(|error| {
        tracing::error!(%error, "the OpenAPI document could not be written as JSON");
        "{}".to_owned()
    });
    let tag = entity_tag::of(text.as_bytes());
    (Bytes::from(text), tag)
});

/// Returns the document as JSON.
#[must_use]
pub fn text() -> Bytes {
    DOCUMENT.0.clone()
}

/// Returns the document.
#[must_use]
pub fn document() -> OpenApi {
    let endpoints = endpoints();
    let mut components = ComponentsBuilder::new();
    for (name, schema) in schemas::plain(endpoints.iter().flat_map(Endpoint::schemas)) {
        components = components.schema(name, schema);
    }
    for (name, example) in endpoints.iter().flat_map(Endpoint::examples) {
        components = components.example(name, example);
    }
    let paths = endpoints.into_iter().fold(PathsBuilder::new(), |paths, endpoint| {
        let (path, item) = endpoint.into_path_item();
        paths.path(path, item)
    });
    let mut document = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Sandbox Provisioner")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(INTRODUCTION))
                .license(Some(License::builder().name("Apache-2.0").identifier(Some("Apache-2.0")).build())),
        )
        .tags(Some(
            Tag::ALL
                .map(|tag| TagBuilder::new().name(tag.name()).description(Some(tag.description())).build()),
        ))
        .paths(paths)
        .components(Some(
            components.security_scheme("ApiKey", api_key()).security_scheme("Bearer", bearer()).build(),
        ))
        .build();
    remove_unused_schemas(&mut document);
    document
}

/// Removes the schemas of flattened types, which nothing refers to.
fn remove_unused_schemas(document: &mut OpenApi) {
    loop {
        let text = serde_json::to_string(document).unwrap_or_default();
        let Some(components) = &mut document.components else { return };
        let count = components.schemas.len();
        components.schemas.retain(|name, _| text.contains(&format!("\"#/components/schemas/{name}\"")));
        if components.schemas.len() == count {
            return;
        }
    }
}

fn api_key() -> SecurityScheme {
    let text = "The configured API key. It decides if it is sent together with a bearer token.";
    SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("X-API-Key", text)))
}

fn bearer() -> SecurityScheme {
    let text = "The configured API key as a bearer token.";
    SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text)).build())
}

/// The endpoints of all routes.
fn endpoints() -> Vec<Endpoint> {
    [
        super::create::endpoints(),
        super::list::endpoints(),
        super::get::endpoints(),
        super::change::endpoints(),
        super::delete::endpoints(),
        super::touch::endpoints(),
        super::move_to::endpoints(),
        super::presence::endpoints(),
        super::timeline::endpoints(),
        super::logs::endpoints(),
        super::events::endpoints(),
        super::workspaces::endpoints(),
        super::profiles::endpoints(),
        super::capabilities::endpoints(),
        super::clusters::endpoints(),
        super::reaper::endpoints(),
        super::network::endpoints(),
        super::health::endpoints(),
        crate::admin::endpoints(),
        crate::metrics::endpoints(),
        own_endpoints(),
        super::docs::endpoints(),
        super::ui::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn own_endpoints() -> Vec<Endpoint> {
    let schema = schemas::any("An OpenAPI 3.1 document.");
    let etag = parameters::header("The version of the document, for `If-None-Match`.", "\"5fb1\"");
    let cache = parameters::header("The client asks each time whether its copy is current.", "no-cache");
    let not_modified = response("The copy of the client is current.")
        .header("ETag", etag.clone())
        .header("Cache-Control", cache.clone());
    vec![
        Endpoint::get("/openapi.json", "getOpenApi", Tag::Daemon, "Return this document")
            .text("The document is the same for every installation. No key is needed.")
            .with(parameters::if_none_match())
            .ok_with("The document", schema, json!({"openapi": "3.1.0"}), |response| {
                response.header("ETag", etag).header("Cache-Control", cache)
            })
            .answers("304", not_modified),
    ]
}

pub(super) fn route() -> BoxedFilter<(Response,)> {
    path::openapi()
        .and(warp::get())
        .and(warp::header::headers_cloned())
        .map(|headers| answer(&headers))
        .boxed()
}

fn answer(headers: &HeaderMap) -> Response {
    let (text, tag) = &*DOCUMENT;
    let mut response = if entity_tag::is_current(headers, tag) {
        let mut response = Response::new(Bytes::new().into());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        responses::json(text.clone())
    };
    response.headers_mut().insert(ETAG, tag.clone());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
