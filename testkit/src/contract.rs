//! Compares answers with the program's own `OpenAPI` document. [`crate::Client`] does so with every answer.

mod schema;

use std::sync::LazyLock;

use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};

use self::schema::Schemas;
use crate::Answer;

/// The document.
static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_slice(&sandbox_provisioner::http::openapi::text()).unwrap());

/// The headers of HTTP itself, which the document does not list.
const IMPLICIT: [&str; 6] =
    ["connection", "content-encoding", "content-length", "content-type", "date", "transfer-encoding"];

/// Returns the document.
#[must_use]
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// Compares an answer with the document.
///
/// # Errors
/// The first difference from the document.
pub fn check(method: &Method, path: &str, answer: &Answer) -> Result<(), String> {
    let head = Head { status: answer.status, headers: &answer.headers };
    let Some(response) = head.check(method, path)? else { return Ok(()) };
    let Some(content) = head.content(response)? else {
        let is_text = method != Method::HEAD && answer.status != 304;
        let unauthorized = answer.status == 401 && answer.bytes == "Unauthorized";
        let is_fine = unauthorized || answer.bytes.is_empty() || !is_text;
        return if is_fine { Ok(()) } else { Err("a body without a content type".to_owned()) };
    };
    if method == Method::HEAD {
        return Ok(());
    }
    let body = if head.media_type().is_some_and(|kind| kind.ends_with("json")) {
        serde_json::from_slice(&answer.bytes).map_err(|error| format!("not JSON: {error}"))?
    } else {
        json!(answer.text())
    };
    says_when_to_retry(&answer.headers, &body)?;
    Schemas(&DOCUMENT).check(&content["schema"], &body, "body")
}

/// Checks that the sentence of an error has its `Retry-After`: the command line prints only the sentence.
fn says_when_to_retry(headers: &HeaderMap, body: &Value) -> Result<(), String> {
    let wait = headers.get("retry-after").and_then(|wait| wait.to_str().ok());
    // The report of `/readyz` is not an error with a sentence.
    let (Some(wait), Some(detail)) = (wait, body["detail"].as_str()) else { return Ok(()) };
    let says_so = detail.contains(&format!("again in {wait} s"));
    if says_so { Ok(()) } else { Err(format!("{detail:?} does not say to try again in {wait} s")) }
}

/// Compares an event of a stream with the document.
///
/// # Errors
/// The first difference from the document.
pub fn check_event(name: &str, id: Option<&str>, data: &Value) -> Result<(), String> {
    let stream = &DOCUMENT["paths"]["/api/events"]["get"]["responses"]["200"]["content"]["text/event-stream"];
    let mut event = json!({ "event": name, "data": data.to_string() });
    if let Some(id) = id {
        event["id"] = json!(id);
    }
    Schemas(&DOCUMENT).check(&stream["schema"], &event, "event")
}

/// Compares the beginning of an answer with the document.
///
/// # Errors
/// The first difference from the document.
pub fn check_head(method: &Method, path: &str, status: u16, headers: &HeaderMap) -> Result<(), String> {
    let head = Head { status, headers };
    let response = head.check(method, path)?.ok_or("the document has no such path")?;
    head.content(response).map(drop)
}

struct Head<'a> {
    status: u16,
    headers: &'a HeaderMap,
}

impl Head<'_> {
    /// Returns the described response; `None` for a request that no route takes.
    fn check(&self, method: &Method, path: &str) -> Result<Option<&'static Value>, String> {
        let path = path.split('?').next().unwrap_or_default();
        let item = operations(path);
        let method = method.as_str().to_ascii_lowercase();
        let Some(operation) = item.and_then(|item| item.get(&method)) else {
            let wanted: &[u16] = if item.is_some() { &[401, 405, 503] } else { &[401, 404, 503] };
            let is_fine = wanted.contains(&self.status);
            return if is_fine { Ok(None) } else { Err(format!("{} for an unknown request", self.status)) };
        };
        let responses = &operation["responses"];
        let response = responses.get(self.status.to_string()).ok_or(format!("the status {}", self.status))?;
        let described: Vec<_> = keys(response.get("headers")).map(str::to_ascii_lowercase).collect();
        for name in self.headers.keys().map(http::HeaderName::as_str) {
            if !IMPLICIT.contains(&name) && !described.iter().any(|described| described == name) {
                return Err(format!("the header {name} of a {}", self.status));
            }
        }
        Ok(Some(response))
    }

    fn media_type(&self) -> Option<&str> {
        let value = self.headers.get("content-type")?.to_str().ok()?;
        value.split(';').next().map(str::trim)
    }

    /// Returns the described content; `None` for an answer without a content type.
    fn content<'a>(&self, response: &'a Value) -> Result<Option<&'a Value>, String> {
        let Some(kind) = self.media_type() else { return Ok(None) };
        let Some(content) = response.get("content") else { return Ok(None) };
        content.get(kind).map(Some).ok_or(format!("the content type {kind} of a {}", self.status))
    }
}

fn keys(object: Option<&Value>) -> impl Iterator<Item = &str> {
    object.and_then(Value::as_object).into_iter().flat_map(Map::keys).map(String::as_str)
}

/// Returns the operations of the route that takes this path.
fn operations(path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object()?;
    let segments: Vec<_> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    let takes = |template: &str| {
        let parts: Vec<_> = template.split('/').collect();
        let fits = |(part, segment): (&&str, &&str)| {
            let lower = segment.to_ascii_lowercase();
            if part.starts_with('{') {
                !segment.is_empty() && !lower.contains("%2f")
            } else {
                part == segment
            }
        };
        parts.len() == segments.len() && parts.iter().zip(&segments).all(fits)
    };
    paths.iter().find(|(template, _)| takes(template)).map(|(_, item)| item)
}
