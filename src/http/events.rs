//! `GET /api/events` and `GET /api/sandboxes/{id}/events`: the changes of sandboxes as they happen, as
//! [Server-Sent Events](https://html.spec.whatwg.org/multipage/server-sent-events.html).

mod body;
mod text;

use fleet::{changes::ChangeReader, position::Start};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use utoipa::openapi::{
    ContentBuilder, Ref, RefOr, ResponseBuilder, Schema,
    path::{Parameter, ParameterIn},
    schema::{AllOfBuilder, ObjectBuilder, OneOfBuilder, Type},
};
use warp::{Filter, filters::BoxedFilter, reply::Response};

pub(super) use self::body::EventBody;
use super::{
    Backend,
    errors::{ApiError, reply},
    openapi::{self, Endpoint, Tag, failures, names, parameters, schemas},
    path::{self, PathId},
    responses::Sandbox,
};

/// The position after which the client wants to read, as it stood in the `id` of an event.
static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Keeps nginx from buffering the stream.
pub(super) static X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(super) fn endpoints() -> Vec<Endpoint> {
    let text = "The stream begins with the present state, which ends with `synced`. From then on each change is one \
                event, whose `data` is the body of a GET after the change. docs/api.md has the names of the events.";
    let all =
        Endpoint::get("/api/events", "streamEvents", Tag::Events, "Stream the changes of all sandboxes");
    let one = Endpoint::get(
        "/api/sandboxes/{id}/events",
        "streamSandboxEvents",
        Tag::Events,
        "Stream the changes of one",
    );
    let described = |mut endpoint: Endpoint| {
        let stream = streamed(&mut endpoint);
        endpoint
            .text(text)
            .with(last_event_id())
            .answers("200", stream)
            .fails(failures::reads())
            .fails(failures::limits())
    };
    vec![described(all), described(one).fails(failures::no_sandbox())]
}

fn last_event_id() -> Parameter {
    let text = "The `id` of the last event that the client has received. The stream continues after it.";
    let schema = ObjectBuilder::new().schema_type(Type::String);
    parameters::optional(ParameterIn::Header, "Last-Event-ID", text, schema, "cc6d3afb-12")
}

/// Describes the events with these names, whose data has this schema.
fn event(names: &[&'static str], description: &str, data: RefOr<Schema>) -> ObjectBuilder {
    let string = || ObjectBuilder::new().schema_type(Type::String);
    let data = string().content_media_type("application/json").content_schema(Some(data));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("id", string().description(Some("The position, for `Last-Event-ID`.")))
        .property("event", names::one_of(names.iter().copied()).description(Some("The name of the event.")))
        .required("event")
        .property("data", data.description(Some(description)))
        .required("data")
}

/// Describes an object that may name a cluster.
fn cluster() -> ObjectBuilder {
    let name = ObjectBuilder::new().schema_type(Type::String);
    let object = ObjectBuilder::new().schema_type(Type::Object);
    object.property("cluster", name.description(Some("The cluster, if there are several.")))
}

/// Describes the stream: the schema is that of each event.
fn streamed(endpoint: &mut Endpoint) -> ResponseBuilder {
    let sandbox = endpoint.schema::<Sandbox<'_>>(schemas::Use::Response);
    let event = OneOfBuilder::new()
        .item(event(&text::OF_SANDBOXES, "The body of a GET after the change.", sandbox))
        .item(event(
            &text::OF_ERRORS,
            "The body of the error that a GET returns, with the cluster of a `stale` if there are several.",
            AllOfBuilder::new().item(Ref::from_schema_name("Error")).item(cluster()).into(),
        ))
        .item(event(
            &text::OF_STREAMS,
            "An object that is empty, or names the cluster of a `fresh`.",
            cluster().into(),
        ));
    let example =
        "id: cc6d3afb-5\nevent: ready\ndata: {\"sandbox_id\":\"abc-123\",\"status\":\"Running\"}\n\n";
    let content = ContentBuilder::new().schema(Some(event)).example(Some(example.into())).build();
    openapi::response("The stream, which does not end by itself")
        .content("text/event-stream", content)
        .header("Cache-Control", parameters::header("The stream is not stored.", "no-store"))
        .header("X-Accel-Buffering", parameters::header("Keeps nginx from buffering the stream.", "no"))
}

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
