//! The parameters and headers of several endpoints.

use lifecycle::ids::{CLUSTER_NAME_PATTERN, DNS_LABEL_MAX, SANDBOX_ID_MAX, SANDBOX_ID_PATTERN};
use serde_json::{Value, json};
use utoipa::openapi::{
    RefOr, Required, Schema,
    header::{Header, HeaderBuilder},
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::{ObjectBuilder, Type},
};

use super::failures::Failure;
use crate::http::request::schema::DURATION_PATTERN;

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A parameter that may be absent.
pub(crate) fn optional(
    place: ParameterIn,
    name: &str,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
    example: impl Into<Value>,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .example(Some(example.into()))
        .build()
}

fn id(description: &str, schema: ObjectBuilder, example: &str) -> Parameter {
    in_path("id", description, schema, example)
}

fn in_path(name: &str, description: &str, schema: ObjectBuilder, example: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(schema))
        .example(Some(example.into()))
        .build()
}

pub(super) fn sandbox_id() -> Parameter {
    let schema =
        string().pattern(Some(SANDBOX_ID_PATTERN)).max_length(Some(SANDBOX_ID_MAX)).min_length(Some(1));
    id("The `sandbox_id`.", schema, "abc-123")
}

pub(super) fn workspace_id() -> Parameter {
    let schema = string().pattern(Some("^[0-9a-f]{32}$"));
    id("The id of the workspace.", schema, "0123456789abcdef0123456789abcdef")
}

pub(super) fn cluster_name() -> Parameter {
    let schema =
        string().pattern(Some(CLUSTER_NAME_PATTERN)).max_length(Some(DNS_LABEL_MAX)).min_length(Some(1));
    in_path("name", "The name of the cluster.", schema, "west")
}

/// The name of a file.
pub(in crate::http) fn file_name(names: impl Iterator<Item = &'static str>) -> Parameter {
    ParameterBuilder::new()
        .name("file")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The name of the file."))
        .schema(Some(string().enum_values(Some(names))))
        .build()
}

pub(super) fn request_id() -> Parameter {
    let text = "An id for the logs and for the answer: 1 to 128 letters, digits, `.`, `_` or `-`. In place of another value \
                the daemon generates one.";
    optional(ParameterIn::Header, "X-Request-Id", text, string(), "trace-42")
}

pub(super) fn traceparent() -> Parameter {
    let text = "The trace of the client, as in W3C Trace Context. Its id is in the log. In place of an invalid value the \
                daemon begins a trace.";
    let example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    optional(ParameterIn::Header, "traceparent", text, string(), example)
}

pub(in crate::http) fn owner() -> Parameter {
    let text =
        "The name of the client. It protects the sandbox from the DELETE of a client with another name.";
    let schema = string().pattern(Some("^[!-~]{1,128}$"));
    optional(ParameterIn::Header, "X-Owner", text, schema, "gateway-1")
}

pub(in crate::http) fn if_none_match() -> Parameter {
    let text = "The `ETag` of the copy that the client has.";
    optional(ParameterIn::Header, "If-None-Match", text, string(), "\"5fb1\"")
}

pub(in crate::http) fn wait() -> Parameter {
    let text = "Answer once the sandbox is ready, or once it cannot become ready by itself.";
    optional(ParameterIn::Query, "wait", text, string().enum_values(Some(["ready"])), "ready")
}

pub(in crate::http) fn timeout() -> Parameter {
    let text = "The longest wait, such as `10s` or `500ms`: at most 25s, which is the default. Without `wait` it has no \
                effect.";
    let schema = string().pattern(Some(DURATION_PATTERN));
    optional(ParameterIn::Query, "timeout", text, schema, "10s")
}

/// A header of an answer: a text.
pub(crate) fn header(description: &str, example: &str) -> Header {
    HeaderBuilder::new()
        .schema(Some(string()))
        .description(Some(description))
        .example(Some(example.into()))
        .build()
}

/// The headers that answers with these errors have.
pub(super) fn of_failures(failures: &[&Failure]) -> Vec<(&'static str, Header)> {
    let mut headers = Vec::new();
    if failures.iter().any(|failure| failure.error.retry_after().is_some()) {
        let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        let text = "The seconds after which the client should try again.";
        let retry = HeaderBuilder::new().schema(Some(schema)).description(Some(text)).example(Some(json!(2)));
        headers.push(("Retry-After", retry.build()));
    }
    if failures.iter().any(|failure| failure.error.refreshes_capabilities()) {
        let text = "The client should read `/api/capabilities` again before it repeats the request.";
        headers.push(("X-DeerFlow-Capability-Refresh", header(text, "lark-broker")));
    }
    if failures.iter().any(|failure| failure.is_text()) {
        headers.push(("WWW-Authenticate", header("How the key can be sent.", "Bearer")));
    }
    headers
}
