//! API responses, before they are converted to HTTP.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::body::Body;
use crate::form::{self, Form};
use crate::request::Request;
use crate::resource::Resource;
use crate::shared::Shared;
use crate::status::ApiError;
use crate::store::Object;
#[cfg(feature = "kubectl")]
use crate::table;
use crate::view;

/// A successful response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub warnings: Vec<String>,
    pub body: Body,
}

/// Returns the response for an error.
pub(crate) fn refuse(error: &ApiError) -> http::Response<Body> {
    let mut response: http::Response<Body> = Reply::json(error.code, error.to_value().to_string()).into();
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

// === impl Reply ===

impl Reply {
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: "application/json", warnings: Vec::new(), body: Body::full(body) }
    }

    pub fn text(status: StatusCode, body: &'static str) -> Self {
        Self { content_type: "text/plain; charset=utf-8", ..Self::json(status, body) }
    }

    /// Returns a `Status` of success, with its details if there are some.
    pub fn success(status: StatusCode, details: Option<Value>) -> Self {
        let mut body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
        if let Some(details) = details {
            body["details"] = details;
        }
        Self::json(status, body.to_string())
    }

    /// Returns an object in the representation that the request accepts.
    pub fn object(
        status: StatusCode,
        resource: &'static Resource,
        object: &Object,
        request: &Request,
        #[cfg_attr(not(feature = "kubectl"), expect(unused_variables, reason = "only a table shows ages"))]
        shared: &Shared,
    ) -> Self {
        let shown = view::of(resource, object);
        let object = shown.as_ref().unwrap_or(object);
        match Form::of(&request.accept) {
            Form::Plain => Self::json(status, object.full_json()),
            Form::Metadata => Self::json(status, form::metadata(object).to_string()),
            #[cfg(feature = "kubectl")]
            Form::Table => Self::json(status, table::one(object, shared.clock.now()).to_string()),
        }
    }

    #[must_use]
    pub fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }
}

impl From<Reply> for http::Response<Body> {
    fn from(reply: Reply) -> Self {
        let mut response = Self::new(reply.body);
        *response.status_mut() = reply.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        for warning in reply.warnings {
            let escaped = warning.replace('\\', "\\\\").replace('"', "\\\"");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
                headers.append(header::WARNING, value);
            }
        }
        response
    }
}
