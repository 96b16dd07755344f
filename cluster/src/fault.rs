//! What a failed call means: the one place that looks at status codes and the API server's sentences.
//!
//! Kubernetes answers with one code for several meanings (four kinds of 409, four of 403, a 500 that means
//! "full"); what tells them apart is in `reason`, `details` and often only in the message. The table test
//! below holds every error that a real API server of 1.36 was recorded to give.

use std::{borrow::Cow, error::Error as StdError, io, sync::Arc, time::Duration};

use hyper_util::client::legacy::Error as ConnectError;
use kube::core::Status;
use lifecycle::error::{ClusterError, ClusterErrorKind};

/// What a call was about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// POST of a new object.
    Create,
    /// DELETE of one object.
    Delete,
    /// PATCH of one object.
    Patch,
    /// GET of one object.
    Get,
    /// GET of many.
    List,
    /// GET of what changes.
    Watch,
}

/// How one call failed. `Debug` and `Display` hold no request, no body and no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server, or a proxy before it, answered with an error.
    #[error("the answer was HTTP {code}")]
    Answered {
        /// The HTTP status code.
        code: u16,
        /// What the body says, where it is Kubernetes' `Status`.
        status: Option<Box<Status>>,
        /// What the header `Retry-After` says.
        retry_after: Option<Duration>,
    },
    /// No answer came, or it broke off.
    #[error("the call could not be made, or its answer broke off")]
    Transport {
        /// What went wrong.
        #[source]
        error: kube::Error,
        /// Where the API server is, as `https://host:6443`, where that is an address.
        server: Option<Arc<str>>,
    },
    /// No whole answer came in time.
    #[error("timed out after {after:.0?}")]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
    },
    /// As many calls as are allowed were in flight for as long as this one could wait. It was not sent.
    #[error("{bound} calls to the API server are in flight already")]
    Overloaded {
        /// How many calls are allowed at once.
        bound: usize,
    },
    /// A watch was closed before its time, without a word.
    #[error("the watch was closed before its time")]
    Closed,
    /// The answer was a success that could not be understood.
    #[error("the answer could not be understood")]
    Unreadable,
}

/// A failed call, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassifiedError {
    /// What it means, with words for whoever asked.
    pub fault: ClusterError,
    /// Whether the call may have taken effect all the same.
    pub certainty: Certainty,
}

/// Whether a call that failed took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// It certainly did not.
    NotDone,
    /// Nobody here knows.
    Unknown,
}

/// The wait for a 429 that names none: what the API server of 1.36 was recorded to ask for.
pub const TOO_MANY_REQUESTS_WAIT: Duration = Duration::from_secs(1);

/// What a failed call means.
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
        CallError::Closed => {
            ClassifiedError::new(ClusterErrorKind::Unreachable, &error.to_string(), Certainty::NotDone)
        }
        CallError::Unreadable => {
            ClassifiedError::new(ClusterErrorKind::ServerError, &error.to_string(), Certainty::Unknown)
        }
    }
}

// === answers ===

fn answered(verb: Verb, code: u16, status: Option<&Status>, header: Option<Duration>) -> ClassifiedError {
    let Some(status) = status else {
        // Not Kubernetes' own error: its text may come from any proxy, and is not passed on. Nor does a proxy
        // know what is there: its 404 never means that an object is gone.
        let (kind, certainty) = match code {
            404 | 409 => (ClusterErrorKind::Other, Certainty::NotDone),
            _ => by_code(verb, code),
        };
        return ClassifiedError::new(kind, &format!("HTTP {code}"), certainty)
            .after(patience(kind, header, None));
    };
    let (kind, certainty) = by_words(verb, code, status).unwrap_or_else(|| by_code(verb, code));
    let said: Cow<'_, str> = match kind {
        // Nothing worth the risk that it names what was refused.
        ClusterErrorKind::Unauthorized => CREDENTIALS_REFUSED.into(),
        _ => without_credentials(&status.message),
    };
    ClassifiedError::new(kind, &said, certainty).after(patience(kind, header, Some(status)))
}

/// What is told of a 401.
const CREDENTIALS_REFUSED: &str = "the API server does not take the credentials; check the kubeconfig's user, and whether its token has expired";

/// A message without the credentials of our own request, which webhooks and proxies have been seen to repeat: no word
/// that stands behind the name of an authentication scheme.
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

/// How long the server asks to wait: the header first, as clients of Kubernetes do.
fn patience(kind: ClusterErrorKind, header: Option<Duration>, status: Option<&Status>) -> Option<Duration> {
    let detail = || status?.details.as_ref().map(|d| d.retry_after_seconds).filter(|s| *s > 0);
    header
        .or_else(|| detail().map(|seconds| Duration::from_secs(seconds.into())))
        .or((kind == ClusterErrorKind::TooManyRequests).then_some(TOO_MANY_REQUESTS_WAIT))
}

/// Meanings that only the answer's words tell.
fn by_words(verb: Verb, code: u16, status: &Status) -> Option<(ClusterErrorKind, Certainty)> {
    use ClusterErrorKind as F;
    let message = status.message.as_str();
    let says = |words: &str| message.contains(words);
    let cause =
        |reason: &str| status.details.iter().flat_map(|d| &d.causes).any(|cause| cause.reason == reason);
    let kind = match code {
        // A full range is a 500; other versions wrap it into a 422 on the field.
        _ if says("range is full") && says("nodePort") => F::NodePortsExhausted,
        // Cluster addresses are used up: no port, but as much the end of what the cluster has to give.
        _ if says("range is full") => F::QuotaExceeded,
        // A webhook chooses its own code.
        _ if says("admission webhook") && says("denied the request") => F::Denied,
        // The webhook could not be asked, or the quota not be computed: the object was not stored.
        500 if says("failed calling webhook") || says("quota evaluation timed out") => F::Unreachable,
        403 if cause("NamespaceTerminating") || says("because it is being terminated") => {
            F::NamespaceTerminating
        }
        403 if says("exceeded quota") => F::QuotaExceeded,
        // The first moments of a namespace, until the controllers have furnished it.
        403 if verb == Verb::Create && says("error looking up service account") => F::NamespaceMissing,
        // The authorizer's sentence. Any other is an admission plug-in's (limit range, Pod security, …).
        403 if says("forbidden: User ") => F::Forbidden,
        403 if says("is forbidden: ") => F::Denied,
        // Releases that know no precondition of a patch refuse the change of a uid instead.
        422 if verb == Verb::Patch && concerns_uid(status) => F::Conflict,
        409 if says("object is being deleted") => F::Terminating,
        409 if status.reason == "AlreadyExists" => F::AlreadyExists,
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
        // On a create it is the path that is missing, which no retry mends.
        404 if verb != Verb::Create => (ClusterErrorKind::NotFound, NotDone),
        409 => (ClusterErrorKind::Conflict, NotDone),
        429 => (ClusterErrorKind::TooManyRequests, NotDone),
        // "Not able to serve": said before the work, by the server or by what stands before it.
        503 => (ClusterErrorKind::Unreachable, NotDone),
        408 | 504 => (ClusterErrorKind::TimedOut, Unknown),
        // 500 is also what etcd's time-outs come as: what was asked for may be stored all the same.
        500.. => (ClusterErrorKind::ServerError, Unknown),
        _ => (ClusterErrorKind::Other, NotDone),
    }
}

// === no answer ===

fn transport(error: &kube::Error, server: Option<&str>) -> ClassifiedError {
    let at = server.map_or_else(String::new, |server| format!(", at {server}"));
    match error {
        // An exec plug-in's output, a token file's path: not passed on.
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

/// Whether no connection came about, so that nothing was sent. A service that is no socket, such as an
/// embedded cluster, may say so in words only.
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

/// The innermost words: "Connection refused" says more than the four layers around it.
fn root_cause(error: &kube::Error) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}

fn chain(error: &kube::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |&e| e.source())
}

// === impl CallError ===

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        Self::Transport { error, server: None }
    }
}

// === impl Failed ===

impl ClassifiedError {
    fn new(kind: ClusterErrorKind, message: &str, certainty: Certainty) -> Self {
        Self { fault: ClusterError::new(kind, message), certainty }
    }

    /// Whether a delete failed because the name has a new life, of another uid than was decided on. Unlike the
    /// other conflicts this one does not pass.
    #[must_use]
    pub fn is_another_life(&self) -> bool {
        self.fault.kind == ClusterErrorKind::Conflict && self.fault.message.contains("UID in")
    }

    /// Whether a delete failed because the object is no longer in the state that was decided on. This does not
    /// pass either: the decision has to be made anew.
    #[must_use]
    pub fn is_another_state(&self) -> bool {
        self.fault.kind == ClusterErrorKind::Conflict && self.fault.message.contains("ResourceVersion in")
    }

    fn after(mut self, wait: Option<Duration>) -> Self {
        self.fault = self.fault.with_retry_after(wait);
        self
    }
}

#[cfg(test)]
mod tests;
