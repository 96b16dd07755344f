//! One call for a policy or for a Pod of the check. The callers repeat what has failed.

use kube::core::{Request, Resource};
use lifecycle::error::{ClusterError, ClusterErrorKind};
use serde::de::DeserializeOwned;

use crate::{
    connect::Connection,
    fault::{Verb, classify},
};

/// A request as `kube` builds it.
type Built = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

/// Makes a call about an object of kind `K` in the namespace of the connection.
pub(super) async fn call<K: Resource<DynamicType = ()>, T: DeserializeOwned>(
    connection: &Connection,
    verb: Verb,
    build: impl FnOnce(Request) -> Built,
) -> Result<T, ClusterError> {
    let limits = connection.limits();
    let deadline = match verb {
        Verb::Create | Verb::Delete | Verb::Patch => limits.write,
        Verb::Get | Verb::List | Verb::Watch => limits.read,
    };
    let request = build(Request::new(K::url_path(&(), Some(connection.namespace()))))
        .map_err(|error| ClusterError::new(ClusterErrorKind::Invalid, &error.to_string()))?;
    let answer = async { connection.calls()?.request(request, deadline).await };
    answer.await.map_err(|error| classify(verb, &error).fault)
}

/// Reads a path that is not that of an object.
pub(super) async fn get_path<T: DeserializeOwned>(
    connection: &Connection,
    path: &str,
) -> Result<T, ClusterError> {
    let request = http::Request::get(path)
        .body(Vec::new())
        .map_err(|error| ClusterError::new(ClusterErrorKind::Invalid, &error.to_string()))?;
    let answer = async { connection.calls()?.request(request, connection.limits().read).await };
    answer.await.map_err(|error| classify(Verb::Get, &error).fault)
}

/// Returns `None` in place of the error of an object that does not exist.
pub(super) fn or_absent<T>(answer: Result<T, ClusterError>) -> Result<Option<T>, ClusterError> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(fault) if fault.kind == ClusterErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Returns the body of a request.
pub(super) fn body(object: &impl serde::Serialize) -> Vec<u8> {
    // Objects of this crate are always valid JSON; the API server would refuse an empty body.
    serde_json::to_vec(object).unwrap_or_default()
}
