//! Decodes and checks the body of a write.

use serde_json::Value;

use super::options;
use super::options::ParseError;
use crate::request::Request;
use crate::resource::Resource;
use crate::status::{ApiError, ApiResult};
use crate::store::text_at;
use crate::validate::check_fields;

/// An object from a request without kind and version, and the warnings about it.
#[derive(Debug)]
pub(super) struct Decoded {
    pub value: Value,
    pub warnings: Vec<String>,
}

/// Returns the name in a body. The call record and the fault rules need it before the body is validated.
pub(crate) fn peek_name(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Peek {
        metadata: Meta,
    }
    #[derive(serde::Deserialize)]
    struct Meta {
        name: Option<String>,
    }
    serde_json::from_slice::<Peek>(body).ok()?.metadata.name
}

/// Decodes the body of a create or an update.
pub(super) fn decode(resource: &Resource, request: &Request) -> ApiResult<Decoded> {
    let value = options::parse(request)?.map_err(|error| {
        let why = match &error {
            ParseError::Json(error) => go_words(&request.body, error),
            ParseError::Yaml(why) => why.clone(),
        };
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: \
             {why} ({})",
            resource.kind,
            String::from_utf8_lossy(&request.body).chars().take(1024).collect::<String>(),
        ))
    })?;
    check(resource, value, request.query.get("fieldValidation"))
}

/// Checks kind, version and fields of an object, and removes kind and version.
pub(super) fn check(
    resource: &Resource,
    mut value: Value,
    field_validation: Option<&str>,
) -> ApiResult<Decoded> {
    let kind = text_at(&value, &["kind"]).to_owned();
    let version = text_at(&value, &["apiVersion"]).to_owned();
    if kind != resource.kind && !kind.is_empty() {
        return Err(ApiError::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {}: converting (v1.{kind}) to (core.{}): unknown \
             conversion",
            resource.kind, resource.kind
        )));
    }
    if version != resource.api_version() && !version.is_empty() {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({})",
            resource.api_version()
        )));
    }
    let cannot = |why: String| {
        ApiError::bad_request(format!(
            "{0} in version \"v1\" cannot be handled as a {0}: {why}",
            resource.kind
        ))
    };
    let Some(fields) = value.as_object_mut() else {
        return Err(cannot("json: cannot unmarshal into an object".to_owned()));
    };
    fields.remove("kind");
    fields.remove("apiVersion");
    let mut unknown: Vec<_> = check_fields(resource, &mut value)
        .map_err(cannot)?
        .into_iter()
        .map(|path| format!("unknown field \"{path}\""))
        .collect();
    unknown.sort();
    match field_validation {
        Some("Strict") if !unknown.is_empty() => {
            Err(cannot(format!("strict decoding error: {}", unknown.join(", "))))
        }
        Some("Ignore") => Ok(Decoded { value, warnings: Vec::new() }),
        _ => Ok(Decoded { value, warnings: unknown }),
    }
}

/// Returns the error text of Go's parser for the most common mistakes.
fn go_words(body: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    // Lines and columns start at one. The column is that of the byte at which parsing failed.
    let line: usize =
        body.split_inclusive(|b| *b == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let place = line + error.column().saturating_sub(1);
    let byte = body.get(place).copied().unwrap_or(b'?');
    let wanted =
        if error.to_string().starts_with("key must be a string") { "object key string" } else { "value" };
    format!("invalid character '{}' looking for beginning of {wanted}", char::from(byte))
}
