//! Classifies failed calls. This is the only module that reads status codes and error messages of the API server.
//!
//! Kubernetes uses one status code for several meanings: there are four kinds of 409, four of 403, and a 500 for an
//! exhausted range. The `reason`, the `details`, or often only the message, distinguish them. The table test below
//! contains every error that was recorded from a real API server of version 1.36.

use std::{borrow::Cow, error::Error as StdError, io, sync::Arc, time::Duration};

use hyper_util::client::legacy::Error as ConnectError;
use kube::core::Status;
use lifecycle::error::{ClusterError, ClusterErrorKind};

/// The kind of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Creates an object with POST.
    Create,
    /// Deletes an object with DELETE.
    Delete,
    /// Changes an object with PATCH.
    Patch,
    /// Reads an object with GET.
    Get,
    /// Lists objects with GET.
    List,
    /// Watches objects with GET.
    Watch,
}

/// The error of one call. `Debug` and `Display` contain no request, no body and no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The call was not sent: there is no connection yet.
    #[error("{why}")]
    NotConnected {
        /// The reason.
        why: Arc<str>,
    },
    /// The API server, or a proxy in front of it, returned an error status.
    #[error("the answer was HTTP {code}")]
    Answered {
        /// The HTTP status code.
        code: u16,
        /// The body, if it is a Kubernetes `Status`.
        status: Option<Box<Status>>,
        /// The value of the header `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// No answer arrived, or it was incomplete.
    #[error("the call could not be made, or its answer broke off")]
    Transport {
        /// The error of the client.
        #[source]
        error: kube::Error,
        /// The API server's URL, such as `https://host:6443`; `None` if it has no address.
        server: Option<Arc<str>>,
    },
    /// No complete answer arrived before the deadline.
    #[error("timed out after {after:.0?}")]
    TimedOut {
        /// The timeout that was exceeded.
        after: Duration,
    },
    /// The call was not sent: the maximum number of calls was in flight until its deadline.
    #[error("{bound} calls to the API server are in flight already")]
    Overloaded {
        /// The maximum number of calls in flight.
        bound: usize,
    },
    /// A watch was closed early, without an error.
    #[error("the watch was closed before its time")]
    Closed,
    /// The answer was a success, but not in the form that Kubernetes uses: a proxy or load balancer gave it.
    #[error(
        "HTTP {code} with {content}, which is not from Kubernetes but from a proxy or load balancer before it"
    )]
    Foreign {
        /// The HTTP status code.
        code: u16,
        /// The form of the body, such as `text/html`.
        content: Box<str>,
    },
    /// The answer was a success, but longer than what is read.
    #[error("the answer is longer than {} KiB", max >> 10)]
    TooLarge {
        /// The maximum length, in bytes.
        max: usize,
    },
    /// The answer was a success, but could not be parsed.
    #[error("the answer could not be understood")]
    Unreadable,
}

/// A failed call with its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassifiedError {
    /// The meaning of the failure, with a message for the caller.
    pub fault: ClusterError,
    /// Whether the call may have taken effect although it failed.
    pub certainty: Certainty,
}

/// Whether a failed call took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// The call had no effect.
    NotDone,
    /// The call may have had an effect.
    Unknown,
}

/// The wait after a 429 that does not set one. A recorded API server of version 1.36 asks for the same.
pub const TOO_MANY_REQUESTS_WAIT: Duration = Duration::from_secs(1);

/// Classifies the error of a call.
#[must_use]
pub fn classify(verb: Verb, error: &CallError) -> ClassifiedError {
    match error {
        CallError::Answered { code, status, retry_after } => {
            answered(verb, *code, status.as_deref(), *retry_after)
        }
        CallError::Transport { error, server } => transport(error, server.as_deref()),
        CallError::TimedOut { .. } => {
            ClassifiedError::new(ClusterErrorKind::TimedOut, &error.to_string(), Certainty::Unknown)
        }
        CallError::Overloaded { .. } => {
            ClassifiedError::new(ClusterErrorKind::TooManyRequests, &error.to_string(), Certainty::NotDone)
                .after(Some(TOO_MANY_REQUESTS_WAIT))
        }
        CallError::NotConnected { .. } | CallError::Closed => {
            ClassifiedError::new(ClusterErrorKind::Unreachable, &error.to_string(), Certainty::NotDone)
        }
        CallError::Foreign { .. } | CallError::TooLarge { .. } | CallError::Unreadable => {
            ClassifiedError::new(ClusterErrorKind::ServerError, &error.to_string(), Certainty::Unknown)
        }
    }
}

// === answers ===

fn answered(verb: Verb, code: u16, status: Option<&Status>, header: Option<Duration>) -> ClassifiedError {
    let Some(status) = status else {
        let (kind, certainty) = without_status(verb, code);
        // A proxy may have written the text, so it is not passed on.
        let said = match code {
            429 => "HTTP 429".to_owned(),
            407 => "HTTP 407: a proxy before the API server requires credentials".to_owned(),
            _ => format!(
                "HTTP {code} without a Kubernetes status: a proxy or load balancer before the API server may have answered"
            ),
        };
        return ClassifiedError::new(kind, &said, certainty).after(patience(kind, header, None));
    };
    let (kind, certainty) = by_words(verb, code, status).unwrap_or_else(|| by_code(verb, code));
    let said: Cow<'_, str> = match kind {
        // The message is not passed on, because it may contain the rejected credentials.
        ClusterErrorKind::Unauthorized => CREDENTIALS_REFUSED.into(),
        _ => without_credentials(&status.message),
    };
    ClassifiedError::new(kind, &said, certainty).after(patience(kind, header, Some(status)))
}

/// Returns the meaning of an error without a `Status` in its body. Kubernetes sends that only with a 429 and with some
/// 5xx. A proxy does not know which objects exist and who may do what, so its 404 does not mean that an object is gone,
/// and its 403 does not mean that a permission is missing. It passes, or an operator must act on the proxy.
fn without_status(verb: Verb, code: u16) -> (ClusterErrorKind, Certainty) {
    match code {
        // Some proxies answer 503 when the connection behind them breaks, after the API server got the request. An
        // unreachable API server has certainly done nothing.
        503 => (ClusterErrorKind::ServerError, Certainty::Unknown),
        // With a 401 the proxy may have checked our credentials. With a 413 the request stays too large.
        401 | 408 | 413 | 429 | 500.. => by_code(verb, code),
        _ => (ClusterErrorKind::Unreachable, Certainty::NotDone),
    }
}

/// The message for a 401.
const CREDENTIALS_REFUSED: &str = "the API server does not take the credentials; check the kubeconfig's user, and whether its token has expired";

/// Masks credentials in a message, because webhooks and proxies may repeat those of our request. Replaces each word
/// that follows the name of an authentication scheme.
fn without_credentials(message: &str) -> Cow<'_, str> {
    let is_scheme = |word: &str| {
        let letters = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        ["bearer", "basic"].iter().any(|scheme| letters.eq_ignore_ascii_case(scheme))
    };
    let mut words = message.split_inclusive(char::is_whitespace).peekable();
    if !words.clone().any(is_scheme) {
        return message.into();
    }
    let mut told = String::with_capacity(message.len());
    while let Some(word) = words.next() {
        told.push_str(word);
        if is_scheme(word) && words.next().is_some() {
            told.push_str("*** ");
        }
    }
    told.trim_end().to_owned().into()
}

/// Returns the wait that the server asks for. The header takes precedence, as in other Kubernetes clients.
fn patience(kind: ClusterErrorKind, header: Option<Duration>, status: Option<&Status>) -> Option<Duration> {
    let detail = || status?.details.as_ref().map(|d| d.retry_after_seconds).filter(|s| *s > 0);
    header
        .or_else(|| detail().map(|seconds| Duration::from_secs(seconds.into())))
        .or((kind == ClusterErrorKind::TooManyRequests).then_some(TOO_MANY_REQUESTS_WAIT))
}

/// Returns the meanings that depend on the text of the answer.
fn by_words(verb: Verb, code: u16, status: &Status) -> Option<(ClusterErrorKind, Certainty)> {
    use ClusterErrorKind as F;
    let message = status.message.as_str();
    let says = |words: &str| message.contains(words);
    let cause =
        |reason: &str| status.details.iter().flat_map(|d| &d.causes).any(|cause| cause.reason == reason);
    let kind = match code {
        // A full range is a 500. Some versions wrap it in a 422 for the field.
        _ if says("range is full") && says("nodePort") => F::NodePortsExhausted,
        // The range of cluster IPs is exhausted. Treat it like an exceeded quota.
        _ if says("range is full") => F::QuotaExceeded,
        // A webhook chooses its own status code.
        _ if says("admission webhook") && says("denied the request") => F::Denied,
        // The webhook could not be called or the quota could not be computed. The object was not stored.
        500 if says("failed calling webhook") || says("quota evaluation timed out") => F::Unreachable,
        403 if cause("NamespaceTerminating") || says("because it is being terminated") => {
            F::NamespaceTerminating
        }
        403 if says("exceeded quota") => F::QuotaExceeded,
        // The namespace is new and its default service account does not exist yet.
        403 if verb == Verb::Create && says("error looking up service account") => F::NamespaceMissing,
        // This is the text of the authorizer. Any other text comes from an admission plugin, such as limit range or Pod
        // security.
        403 if says("forbidden: User ") => F::Forbidden,
        403 if says("is forbidden: ") => F::Denied,
        // Some versions do not support a precondition on patches. They reject the change of the uid instead.
        422 if verb == Verb::Patch && concerns_uid(status) => F::Conflict,
        // These are the words of the kubelet.
        400 if verb == Verb::Get && (says("is waiting to start") || says("\" is not available")) => {
            F::ContainerWaiting
        }
        400 if verb == Verb::Get && says("previous terminated container") => F::NoPreviousContainer,
        409 if says("object is being deleted") => F::Terminating,
        409 if status.reason == "AlreadyExists" => F::AlreadyExists,
        // A 404 about an object names it.
        404 if verb == Verb::Patch && says("could not find the requested resource") => F::NotSupported,
        404 if verb == Verb::Create && concerns_namespace(status) => F::NamespaceMissing,
        _ => return None,
    };
    Some((kind, Certainty::NotDone))
}

fn concerns_namespace(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|d| d.kind == "namespaces")
        || status.message.starts_with("namespaces \"")
}

fn concerns_uid(status: &Status) -> bool {
    status.details.iter().flat_map(|d| &d.causes).any(|cause| cause.field == "metadata.uid")
}

fn by_code(verb: Verb, code: u16) -> (ClusterErrorKind, Certainty) {
    use Certainty::{NotDone, Unknown};
    match code {
        400 | 413 | 422 => (ClusterErrorKind::Invalid, NotDone),
        401 => (ClusterErrorKind::Unauthorized, NotDone),
        403 => (ClusterErrorKind::Forbidden, NotDone),
        // For a create, a 404 means that the path does not exist. A retry does not help.
        404 if verb != Verb::Create => (ClusterErrorKind::NotFound, NotDone),
        405 if verb == Verb::Patch => (ClusterErrorKind::NotSupported, NotDone),
        409 => (ClusterErrorKind::Conflict, NotDone),
        429 => (ClusterErrorKind::TooManyRequests, NotDone),
        // The server, or a proxy in front of it, rejected the call before processing it.
        503 => (ClusterErrorKind::Unreachable, NotDone),
        408 | 504 => (ClusterErrorKind::TimedOut, Unknown),
        // A timeout of etcd is also a 500. The change may have been stored.
        500.. => (ClusterErrorKind::ServerError, Unknown),
        _ => (ClusterErrorKind::Other, NotDone),
    }
}

// === transport errors ===

fn transport(error: &kube::Error, server: Option<&str>) -> ClassifiedError {
    let at = server.map_or_else(String::new, |server| format!(", at {server}"));
    match error {
        // The error may contain the output of an exec plugin or the path of a token file, so it is not passed on.
        kube::Error::Auth(_) => ClassifiedError::new(
            ClusterErrorKind::Unauthorized,
            "the credentials for the API server could not be prepared; check the kubeconfig's user",
            Certainty::NotDone,
        ),
        kube::Error::BuildRequest(_) | kube::Error::HttpError(_) => ClassifiedError::new(
            ClusterErrorKind::Invalid,
            "the request could not be built",
            Certainty::NotDone,
        ),
        other if never_connected(other) => ClassifiedError::new(
            ClusterErrorKind::Unreachable,
            &format!("{}{at}", root_cause(other)),
            Certainty::NotDone,
        ),
        other => ClassifiedError::new(
            ClusterErrorKind::ServerError,
            &format!("the connection broke before the answer: {}{at}", root_cause(other)),
            Certainty::Unknown,
        ),
    }
}

/// Returns whether no connection was established, so that nothing was sent. A service without a socket, such as the
/// embedded cluster, may report that only in its message.
fn never_connected(error: &kube::Error) -> bool {
    let refused = "connection refused";
    let words = root_cause(error);
    words.get(..refused.len()).is_some_and(|start| start.eq_ignore_ascii_case(refused))
        || chain(error).any(|cause| {
            cause.downcast_ref::<ConnectError>().is_some_and(ConnectError::is_connect)
                || cause.downcast_ref::<io::Error>().is_some_and(|e| {
                    matches!(
                        e.kind(),
                        io::ErrorKind::ConnectionRefused
                            | io::ErrorKind::HostUnreachable
                            | io::ErrorKind::NetworkUnreachable
                            | io::ErrorKind::AddrNotAvailable
                    )
                })
        })
}

/// Returns the innermost error message, because "Connection refused" says more than the four layers around it.
fn root_cause(error: &kube::Error) -> String {
    let words = chain(error).last().map_or_else(String::new, ToString::to_string);
    // The words of rustls.
    if words.contains("InvalidContentType") {
        return "the server answers without TLS; correct the port, or use http://".to_owned();
    }
    words
}

fn chain(error: &kube::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |&e| e.source())
}

// === impl CallError ===

impl From<kube::Error> for CallError {
    /// Returns the error of our own calls, if a client of `kube` runs on top of them.
    fn from(error: kube::Error) -> Self {
        let error = match error {
            kube::Error::Service(inner) => match inner.downcast() {
                Ok(error) => return *error,
                Err(inner) => kube::Error::Service(inner),
            },
            error => error,
        };
        Self::Transport { error, server: None }
    }
}

// === impl ClassifiedError ===

impl ClassifiedError {
    fn new(kind: ClusterErrorKind, message: &str, certainty: Certainty) -> Self {
        Self { fault: ClusterError::new(kind, message), certainty }
    }

    /// Returns whether a delete failed because the name now belongs to an object with another uid. Unlike other
    /// conflicts, a retry does not help.
    #[must_use]
    pub fn is_uid_conflict(&self) -> bool {
        self.fault.kind == ClusterErrorKind::Conflict && self.fault.message.contains("UID in")
    }

    /// Returns whether a delete failed because the object has another resourceVersion than the precondition. A retry
    /// does not help either: the caller has to decide again from the new state.
    #[must_use]
    pub fn is_version_conflict(&self) -> bool {
        self.fault.kind == ClusterErrorKind::Conflict && self.fault.message.contains("ResourceVersion in")
    }

    fn after(mut self, wait: Option<Duration>) -> Self {
        self.fault = self.fault.with_retry_after(wait);
        self
    }
}

#[cfg(test)]
mod tests;
