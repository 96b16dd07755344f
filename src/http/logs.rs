//! `GET /api/sandboxes/{id}/logs`: the output of a container of the sandbox, and with `follow` each new line of it.

mod body;
mod parameters;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};
use lifecycle::log::LogText;
use utoipa::openapi::ContentBuilder;
use warp::{Filter, filters::BoxedFilter, reply::Response};

pub(super) use self::body::{LogBody, LogReader};
use self::parameters::Parameters;
use super::{
    Backend,
    errors::{ApiError, reply},
    events::X_ACCEL_BUFFERING,
    openapi::{self, Endpoint, Tag, failures, parameters as described, schemas},
    path::{self, PathId},
};

/// Says that the log is longer than its limit, so that later lines are missing.
static LOG_TRUNCATED: HeaderName = HeaderName::from_static("log-truncated");

pub(super) fn endpoints() -> Vec<Endpoint> {
    let text = "Needs the right `get` on `pods/log`, which `config/rbac.yaml` has as a comment. With `follow` the answer goes \
                on with each new line until the container or the sandbox ends, and it counts among the streams of events.";
    let content = ContentBuilder::new()
        .schema(Some(schemas::text("The lines, as the container has printed them.")))
        .example(Some("INFO: Uvicorn running on http://0.0.0.0:8080\n".into()))
        .build();
    let truncated = "`true` if the log is longer than 1 MiB: later lines are missing.";
    let answer = openapi::response("The log")
        .content("text/plain", content)
        .header("Cache-Control", described::header("The log is not stored.", "no-store"))
        .header("X-Content-Type-Options", described::header("Browsers show it as text.", "nosniff"))
        .header("Log-Truncated", described::header(truncated, "true"))
        .header("X-Accel-Buffering", described::header("Keeps nginx from buffering the log.", "no"));
    let endpoint =
        Endpoint::get("/api/sandboxes/{id}/logs", "getLogs", Tag::Sandboxes, "Return the log of a sandbox")
            .text(text);
    let endpoint = parameters::described().into_iter().fold(endpoint, Endpoint::with);
    vec![
        endpoint
            .answers("200", answer)
            .fails(parameters::failures())
            .fails(failures::no_sandbox())
            .fails(failures::logs()),
    ]
}

pub(super) fn route<B: Backend>(backend: B) -> BoxedFilter<(Response,)> {
    path::logs()
        .and(warp::get())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .then(move |id, query: String| {
            let backend = backend.clone();
            async move { reply(answer(&backend, id, &query).await) }
        })
        .boxed()
}

async fn answer<B: Backend>(backend: &B, id: PathId, query: &str) -> Result<Response, ApiError> {
    let Parameters { query, follows } = Parameters::parse(query)?;
    let id = id.usable()?;
    let response = if follows {
        backend.follow_log(&id, query).await?.map(|log| followed(LogReader::new(log)))
    } else {
        backend.log(&id, query).await?.map(whole)
    };
    response.ok_or_else(|| ApiError::no_sandbox(id.as_str()).after_reap(backend.reaped(&id)))
}

fn whole(LogText { bytes, is_cut }: LogText) -> Response {
    let mut response = text(Bytes::from(bytes));
    if is_cut {
        response.headers_mut().insert(&LOG_TRUNCATED, HeaderValue::from_static("true"));
    }
    response
}

/// A 200 without a body and with the log in its extensions, as for streams of events.
fn followed(log: LogReader) -> Response {
    let mut response = text(Bytes::new());
    response.headers_mut().insert(&X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response.extensions_mut().insert(log);
    response
}

fn text(body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The text is written by programs of others.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
