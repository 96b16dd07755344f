//! Reads the logs of containers for callers.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use http::Request;
use kube::{
    api::LogParams,
    client::Body,
    core::{Request as Paths, Resource as _},
};
use lifecycle::{
    budget,
    error::ClusterError,
    ids::SandboxId,
    log::{BYTES_MAX, LogQuery, LogStream, LogText},
};

use crate::{
    connect::Connection,
    fault::{CallError, Verb, classify},
    names,
    types::Pod,
};

/// How long a follower waits for the first bytes or for an error. Kubernetes refuses at once, and a container may print
/// nothing for hours.
const PATIENCE: Duration = Duration::from_secs(3);

/// Reads the log.
pub(super) async fn read(
    connection: &Connection,
    id: &SandboxId,
    query: &LogQuery,
) -> Result<LogText, ClusterError> {
    let params = LogParams { limit_bytes: i64::try_from(BYTES_MAX).ok(), ..params(query) };
    let request = request(connection, id, &params).map_err(|error| fault(&error))?;
    let calls = connection.calls().map_err(|error| fault(&error))?;
    let bytes = calls.raw_text(request, BYTES_MAX, budget::READ).await.map_err(|error| fault(&error))?;
    Ok(LogText::new(bytes.into()))
}

/// Opens the log to follow it.
pub(super) async fn follow(
    connection: &Connection,
    id: &SandboxId,
    query: &LogQuery,
) -> Result<LogStream, ClusterError> {
    let request = request(connection, id, &LogParams { follow: true, ..params(query) })
        .map_err(|error| fault(&error))?;
    let calls = connection.calls().map_err(|error| fault(&error))?;
    let text = calls.follow(request, PATIENCE).await.map_err(|error| fault(&error))?;
    Ok(text.map_ok(Vec::from).map_err(|error| fault(&error)).boxed())
}

fn fault(error: &CallError) -> ClusterError {
    classify(Verb::Get, error).fault
}

fn params(query: &LogQuery) -> LogParams {
    let LogQuery { container, tail, previous, timestamps, since } = query;
    LogParams {
        // A Pod may have other containers, such as a sidecar that an admission has added.
        container: Some(container.as_deref().unwrap_or(names::SANDBOX_CONTAINER).to_owned()),
        previous: *previous,
        tail_lines: Some((*tail).into()),
        timestamps: *timestamps,
        // Kubernetes takes whole seconds, of which there is at least one.
        since_seconds: since
            .map(|since| i64::try_from(since.as_millis().div_ceil(1000).max(1)).unwrap_or(i64::MAX)),
        ..LogParams::default()
    }
}

fn request(connection: &Connection, id: &SandboxId, params: &LogParams) -> Result<Request<Body>, CallError> {
    let path = Pod::url_path(&(), Some(connection.namespace()));
    let request = Paths::new(path).logs(&names::pod(id), params);
    Ok(request.map_err(|_| CallError::Unreadable)?.map(Into::into))
}
