//! Why a command fails, and its exit status.

use std::{fmt, io, process::ExitCode, time::Duration};

use http::StatusCode;
use serde_json::Value;

use crate::{text::printable, url::BaseUrl};

/// The exit status of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done.
    Success = 0,
    /// The daemon has refused something, or the output cannot be written.
    Failed = 1,
    /// The flags, the URL or the key file are invalid.
    Usage = 2,
    /// Something does not exist.
    NotFound = 3,
    /// The API key is missing or wrong.
    Unauthorized = 4,
    /// The daemon cannot be reached, or cannot answer now. The same command may succeed later.
    Unavailable = 5,
    /// The time of a wait was up.
    TimedOut = 6,
}

/// Why a command has failed.
#[derive(Debug)]
pub enum Failure {
    /// The reader of the output has closed it, for example `head`. The command ends without a message.
    OutputClosed,
    /// The output cannot be written.
    Output(io::Error),
    /// A call has failed.
    Call(Box<CallError>),
    /// Something else, in a sentence.
    Other(Exit, String),
    /// The messages are printed already.
    Reported(Exit),
}

/// Why a call has failed.
#[derive(Debug)]
pub struct CallError {
    /// The daemon.
    pub url: Box<BaseUrl>,
    /// The cause.
    pub cause: Cause,
}

/// The cause of a [`CallError`].
#[derive(Debug)]
pub enum Cause {
    /// The certificates to trust cannot be read.
    Certificates(String),
    /// There is no connection.
    Unreachable(io::Error),
    /// There is no encrypted connection.
    Tls(io::Error),
    /// The connection ended without an answer.
    Cut(String),
    /// The response is not HTTP.
    NotHttp,
    /// Nothing came in time.
    TimedOut {
        /// The limit.
        after: Duration,
        /// Whether `--request-timeout` sets it.
        is_request_timeout: bool,
    },
    /// The answer is longer than this many bytes.
    TooLarge(usize),
    /// The response is not this API's.
    Foreign {
        /// The status.
        status: StatusCode,
        /// The media type.
        content_type: Option<String>,
        /// Where a redirect leads.
        location: Option<String>,
    },
    /// The daemon has refused the call.
    Refused(Box<Refusal>),
}

/// An error of the API.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// The whole body.
    pub body: Value,
    /// After how long the call may be repeated.
    pub retry_after: Option<Duration>,
    /// The id of the request, which the daemon's log has.
    pub request_id: Option<String>,
    /// Where the key came from; `None` without a key.
    pub key_origin: Option<String>,
}

// === impl Exit ===

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

// === impl Failure ===

impl Failure {
    /// Returns a failure because of the command line.
    #[must_use]
    pub fn usage(text: String) -> Self {
        Self::Other(Exit::Usage, text)
    }

    /// Returns the exit status.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::OutputClosed => Exit::Success,
            Self::Output(_) => Exit::Failed,
            Self::Call(error) => error.exit(),
            Self::Other(exit, _) | Self::Reported(exit) => *exit,
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(Box::new(error))
    }
}

impl From<io::Error> for Failure {
    /// The error of a write to the output.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::OutputClosed } else { Self::Output(error) }
    }
}

impl fmt::Display for Failure {
    /// Formats nothing if there is nothing left to say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutputClosed | Self::Reported(_) => Ok(()),
            Self::Output(error) => write!(f, "standard output cannot be written: {error}"),
            Self::Call(error) => error.fmt(f),
            Self::Other(_, text) => f.write_str(text),
        }
    }
}

// === impl CallError ===

impl CallError {
    /// Returns the exit status.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match &self.cause {
            Cause::Certificates(_) => Exit::Usage,
            Cause::Refused(refusal) => match refusal.status {
                StatusCode::NOT_FOUND => Exit::NotFound,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Unauthorized,
                status if is_temporary(status) => Exit::Unavailable,
                _ => Exit::Failed,
            },
            _ => Exit::Unavailable,
        }
    }

    /// Returns whether the same call may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match &self.cause {
            Cause::Unreachable(_) | Cause::Cut(_) | Cause::TimedOut { .. } => true,
            // A 503 without `Retry-After` is about a setting that is missing.
            Cause::Refused(refusal) => is_temporary(refusal.status) && refusal.retry_after.is_some(),
            Cause::Foreign { status, .. } => is_temporary(*status),
            Cause::Certificates(_) | Cause::Tls(_) | Cause::NotHttp | Cause::TooLarge(_) => false,
        }
    }

    /// Returns whether the sandbox or workspace does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.status == StatusCode::NOT_FOUND)
    }

    /// Returns the error of the API, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        if let Cause::Refused(refusal) = &self.cause { Some(refusal) } else { None }
    }
}

/// Proxies send a 502 while the daemon is away.
fn is_temporary(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
            | StatusCode::BAD_GATEWAY
            | StatusCode::TOO_MANY_REQUESTS
    )
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, cause } = self;
        match cause {
            Cause::Certificates(why) => write!(f, "cannot read the certificates to trust: {why}"),
            Cause::Unreachable(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                write!(
                    f,
                    "nothing listens at {url}: is the daemon running, and is PROVISIONER_URL its address? \
                     (start one with 'sandbox-provisioner serve')"
                )
            }
            Cause::Unreachable(error) => write!(f, "cannot connect to {url}: {error}"),
            Cause::Tls(error) => {
                write!(f, "no encrypted connection to {url}: {error}")?;
                f.write_str(
                    "; the daemon itself speaks http:// only; --ca-file trusts a private certificate authority",
                )
            }
            Cause::Cut(why) => write!(f, "{url} closed the connection before its answer was complete: {why}"),
            Cause::NotHttp if url.is_tls => write!(f, "{url} did not answer in HTTP"),
            Cause::NotHttp => write!(f, "{url} did not answer in HTTP; perhaps it needs https://"),
            Cause::TimedOut { after, is_request_timeout } => {
                write!(f, "{url} did not answer within {}", humantime::format_duration(*after))?;
                f.write_str(if *is_request_timeout { "; --request-timeout allows more" } else { "" })
            }
            Cause::TooLarge(limit) => write!(
                f,
                "the answer of {url} has more than {} MiB; select fewer sandboxes, for example with --status",
                limit >> 20
            ),
            Cause::Foreign { status, content_type, location } => {
                write!(
                    f,
                    "{url} is not a sandbox provisioner, or a proxy answered in its place: status {status}"
                )?;
                if let Some(content_type) = content_type {
                    write!(f, " with {}", printable(content_type))?;
                }
                location.as_ref().map_or(Ok(()), |location| write!(f, ", to {}", printable(location)))
            }
            Cause::Refused(refusal) => refusal.fmt(f),
        }
    }
}

// === impl Refusal ===

impl Refusal {
    /// Returns a field of the body that is a text.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.body[field].as_str()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.status == StatusCode::UNAUTHORIZED {
            return match &self.key_origin {
                Some(origin) => write!(f, "the daemon does not accept the API key from {origin}"),
                None => f.write_str(
                    "the daemon requires an API key: set PROVISIONER_API_KEY, or PROVISIONER_API_KEY_FILE or \
                     --api-key-file to a file that holds it",
                ),
            };
        }
        let detail =
            self.text("detail").unwrap_or_else(|| self.status.canonical_reason().unwrap_or("refused"));
        // The text of a path that the daemon does not have. That of a sandbox has its name.
        if self.status == StatusCode::NOT_FOUND && detail == "Not Found" {
            return f.write_str("the daemon does not have this call; it may be older than this program");
        }
        // The sentence has the retry delay, if there is one.
        f.write_str(&printable(detail))?;
        let reaped = &self.body["reaped"];
        if let (Some(reason), Some(message)) = (reaped["reason"].as_str(), reaped["message"].as_str()) {
            write!(f, "; it was reaped: {} ({})", printable(message), printable(reason))?;
        }
        if let Some(reason) = self.text("reason") {
            write!(f, " ({})", printable(reason))?;
        }
        if let Some(hint) = self.text("hint") {
            write!(f, "; {}", printable(hint))?;
        }
        match &self.request_id {
            Some(id) if self.status.is_server_error() && self.retry_after.is_none() => {
                write!(f, "; the daemon's log has more under the request id {}", printable(id))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(status: u16, body: Value) -> Refusal {
        Refusal {
            status: StatusCode::from_u16(status).unwrap(),
            body,
            retry_after: None,
            request_id: Some("r-1".to_owned()),
            key_origin: None,
        }
    }

    fn error(cause: Cause) -> CallError {
        CallError { url: Box::new("http://h:1".parse().unwrap()), cause }
    }

    /// Guards the sentence, the exit status and whether a retry helps, of every cause.
    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn every_cause_has_a_sentence() {
        let io = |kind: io::ErrorKind| io::Error::new(kind, "why");
        let refuse = |refusal| Cause::Refused(Box::new(refusal));
        let later = Refusal {
            retry_after: Some(Duration::from_secs(2)),
            ..refused(503, json!({"detail": "stale; try again in 2 s", "reason": "Stale"}))
        };
        let keyed = Refusal { key_origin: Some("/key".to_owned()), ..refused(401, json!({})) };
        let foreign = |status, content_type: Option<&str>| Cause::Foreign {
            status,
            content_type: content_type.map(str::to_owned),
            location: None,
        };
        for (cause, exit, is_temporary, sentence) in [
            (Cause::Certificates("why".to_owned()), Exit::Usage, false, "cannot read the certificates"),
            (
                Cause::Unreachable(io(io::ErrorKind::ConnectionRefused)),
                Exit::Unavailable,
                true,
                "nothing listens at http://h:1: ",
            ),
            (
                Cause::Unreachable(io(io::ErrorKind::Other)),
                Exit::Unavailable,
                true,
                "cannot connect to http://h:1: why",
            ),
            (
                Cause::Tls(io(io::ErrorKind::InvalidData)),
                Exit::Unavailable,
                false,
                "no encrypted connection to http://h:1: why",
            ),
            (
                Cause::Cut("why".to_owned()),
                Exit::Unavailable,
                true,
                "http://h:1 closed the connection before",
            ),
            (
                Cause::NotHttp,
                Exit::Unavailable,
                false,
                "http://h:1 did not answer in HTTP; perhaps it needs https://",
            ),
            (
                Cause::TimedOut { after: Duration::from_secs(30), is_request_timeout: true },
                Exit::Unavailable,
                true,
                "http://h:1 did not answer within 30s; --request-timeout allows more",
            ),
            (
                Cause::TimedOut { after: Duration::from_secs(29), is_request_timeout: false },
                Exit::Unavailable,
                true,
                "http://h:1 did not answer within 29s",
            ),
            (
                Cause::TooLarge(256 << 20),
                Exit::Unavailable,
                false,
                "the answer of http://h:1 has more than 256 MiB; select fewer sandboxes, for example with --status",
            ),
            (
                foreign(StatusCode::OK, Some("text/html")),
                Exit::Unavailable,
                false,
                "http://h:1 is not a sandbox provisioner, or a proxy answered in its place: status 200 OK with text/html",
            ),
            (
                foreign(StatusCode::BAD_GATEWAY, None),
                Exit::Unavailable,
                true,
                "http://h:1 is not a sandbox provisioner",
            ),
            (
                refuse(refused(401, json!({}))),
                Exit::Unauthorized,
                false,
                "the daemon requires an API key: set PROVISIONER_API_KEY",
            ),
            (refuse(keyed), Exit::Unauthorized, false, "the daemon does not accept the API key from /key"),
            (
                refuse(refused(404, json!({"detail": "Sandbox 'a' not found"}))),
                Exit::NotFound,
                false,
                "Sandbox 'a' not found",
            ),
            (
                refuse(refused(
                    404,
                    json!({"detail": "Sandbox 'a' not found", "reaped": {"reason": "IdleTimeout", "message": "it was idle"}}),
                )),
                Exit::NotFound,
                false,
                "Sandbox 'a' not found; it was reaped: it was idle (IdleTimeout)",
            ),
            (
                refuse(refused(404, json!({"detail": "Not Found"}))),
                Exit::NotFound,
                false,
                "the daemon does not have this call",
            ),
            (refuse(later), Exit::Unavailable, true, "stale; try again in 2 s (Stale)"),
            (
                refuse(refused(503, json!({"detail": "no image", "hint": "set X"}))),
                Exit::Unavailable,
                false,
                "no image; set X; the daemon's log has more under the request id r-1",
            ),
            (
                refuse(refused(409, json!({"detail": "Sandbox\u{1b}[2J is in use", "reason": "Owned"}))),
                Exit::Failed,
                false,
                "Sandbox\\u{1b}[2J is in use (Owned)",
            ),
            (
                refuse(refused(422, json!({"detail": "body.ttl: wrong"}))),
                Exit::Failed,
                false,
                "body.ttl: wrong",
            ),
        ] {
            let error = error(cause);
            let shown = error.to_string();
            assert!(shown.starts_with(sentence), "{shown}");
            assert_eq!((error.exit(), error.is_temporary()), (exit, is_temporary), "{shown}");
        }
    }

    /// Guards that the retry delay is said once, whatever words the daemon has for it.
    #[test]
    fn the_retry_delay_is_said_once() {
        for detail in ["cluster state is stale (x); try again in 5 s", "repeat it after 5 s"] {
            let body = json!({"detail": detail, "reason": "Stale"});
            let refusal = Refusal { retry_after: Some(Duration::from_secs(5)), ..refused(503, body) };
            assert_eq!(refusal.to_string(), format!("{detail} (Stale)"));
        }
    }

    /// Guards that a closed pipe is a success without a message.
    #[test]
    fn a_closed_output_is_not_an_error() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit(), failure.to_string().as_str()), (Exit::Success, ""));
        let failure = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(failure.exit(), Exit::Failed);
    }
}
