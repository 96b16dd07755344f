//! Single calls to the API server whose answers are read as they are.

use std::time::Duration;

use http::{Method, Request, header::CONTENT_TYPE};
use kube::client::Body;
use lifecycle::error::{ClusterError, ClusterErrorKind};
use serde_json::Value;

use crate::{
    connect::Connection,
    fault::{CallError, Verb, classify},
};

/// The error of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The meaning, with a text for operators.
    pub fault: ClusterError,
    /// The status of the answer, if one arrived.
    pub code: Option<u16>,
}

/// Reads a path.
///
/// # Errors
/// Returns the classified error.
pub async fn get(connection: &Connection, path: &str, deadline: Duration) -> Result<Value, Failure> {
    let answer = async {
        let calls = connection.calls()?;
        calls.read(request(Method::GET, path, Vec::new())?, deadline).await
    };
    parse(answer.await, Verb::Get)
}

/// Sends an object to a path.
///
/// # Errors
/// Returns the classified error.
pub async fn create(
    connection: &Connection,
    path: &str,
    object: &Value,
    deadline: Duration,
) -> Result<Value, Failure> {
    let answer = async {
        let calls = connection.calls()?;
        calls.read(request(Method::POST, path, object.to_string().into_bytes())?, deadline).await
    };
    parse(answer.await, Verb::Create)
}

/// Reads a path that answers with a text of at most `max` bytes.
///
/// # Errors
/// Returns the classified error.
pub async fn text(
    connection: &Connection,
    path: &str,
    max: usize,
    deadline: Duration,
) -> Result<String, Failure> {
    let answer = async {
        let calls = connection.calls()?;
        calls.text(request(Method::GET, path, Vec::new())?, max, deadline).await
    };
    answer.await.map_err(|error| failure(Verb::Get, &error))
}

fn request(method: Method, path: &str, body: Vec<u8>) -> Result<Request<Body>, CallError> {
    let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
    request.body(body.into()).map_err(|error| kube::Error::HttpError(error).into())
}

fn parse(answer: Result<bytes::Bytes, CallError>, verb: Verb) -> Result<Value, Failure> {
    let parsed = answer.and_then(|body| serde_json::from_slice(&body).map_err(|_| CallError::Unreadable));
    parsed.map_err(|error| failure(verb, &error))
}

pub(super) fn failure(verb: Verb, error: &CallError) -> Failure {
    let code = match error {
        CallError::Answered { code, .. } => Some(*code),
        _ => None,
    };
    Failure { fault: classify(verb, error).fault, code }
}

// === impl Failure ===

impl Failure {
    /// Returns whether the right for the call is missing.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.fault.kind == ClusterErrorKind::Forbidden
    }

    /// Returns whether the object or the path does not exist.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.code == Some(404)
    }
}
