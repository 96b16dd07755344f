//! `?wait=ready&timeout=25s`: the answer comes once the sandbox is ready or has failed for good.

use std::time::Duration;

use http::Uri;
use lifecycle::{budget, operation::Operation, text::whole_seconds};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    errors::ApiError,
    query::Query,
    request::{FieldError, Loc, Problem},
    route::Route,
};

/// The parameters of a request that waits, as the caller wrote them. The front end puts them into the extensions of
/// the request, because most requests have no query, and a filter for it would cost each of them time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wait {
    /// The awaited state.
    state: String,
    timeout: Option<String>,
    /// When the request arrived.
    start: Instant,
}

// === impl Wait ===

impl Wait {
    /// Returns the parameters of a POST or a GET of one sandbox; `None` if it does not wait. If a parameter is sent twice,
    /// the last one counts, as with FastAPI.
    pub(super) fn of(operation: Operation, route: Route, uri: &Uri) -> Option<Self> {
        let query = uri.query()?;
        if operation != Operation::CreateSandbox && (operation, route) != (Operation::Read, Route::Sandbox) {
            return None;
        }
        let query = Query(query);
        Some(Self { state: query.last("wait")?, timeout: query.last("timeout"), start: Instant::now() })
    }

    /// Returns when the wait ends.
    ///
    /// # Errors
    /// A 422 with each invalid parameter.
    pub(super) fn end(&self) -> Result<Instant, ApiError> {
        let mut errors = Vec::new();
        let at = |name, problem, input: &str| {
            FieldError::new(problem, vec![Loc::Field("query"), Loc::Field(name)], &Value::from(input))
        };
        if self.state != "ready" {
            errors.push(at("wait", Problem::literal("ready"), &self.state));
        }
        let timeout = self.timeout.as_deref().map_or(Some(budget::WAIT), duration);
        match timeout {
            Some(timeout) if errors.is_empty() => return Ok(self.start + timeout),
            Some(_) => {}
            None => {
                let rule = format!(
                    r#"a duration such as "10s" or "500ms", at most {}s"#,
                    whole_seconds(budget::WAIT)
                );
                let input = self.timeout.as_deref().unwrap_or_default();
                errors.push(at("timeout", Problem::time_delta_parsing(&rule), input));
            }
        }
        Err(errors.into())
    }
}

/// Returns when the wait of a request ends; `None` if it does not wait.
///
/// # Errors
/// As from [`Wait::end`].
pub(super) fn end(wait: Option<&Wait>) -> Result<Option<Instant>, ApiError> {
    wait.map(Wait::end).transpose()
}

fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok().filter(|duration| *duration <= budget::WAIT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn timeout(operation: Operation, uri: &str) -> Option<Result<Duration, Value>> {
        let uri: Uri = uri.parse().unwrap();
        let wait = Wait::of(operation, Route::of(uri.path()), &uri)?;
        Some(wait.end().map(|end| end.duration_since(wait.start)).map_err(|error| error.detail()))
    }

    /// Guards which requests wait and for how long, and that other queries have no effect.
    #[test]
    fn only_requests_that_ask_for_it_wait() {
        let seconds = |seconds| Some(Ok(Duration::from_secs(seconds)));
        for (uri, wanted) in [
            ("/api/sandboxes/a", None),
            ("/api/sandboxes/a?x=wait=ready", None),
            ("/api/sandboxes/a?timeout=5s", None),
            ("/other?wait=ready", None),
            ("/api/sandboxes/a?wait=ready", seconds(25)),
            ("/api/sandboxes/a?wait=ready&timeout=25s", seconds(25)),
            ("/api/sandboxes/a?timeout=1s+500ms&wait=%72eady", Some(Ok(Duration::from_millis(1500)))),
            ("/api/sandboxes/a?wait=ready&timeout=0s", seconds(0)),
            ("/api/sandboxes/a?wait=x&wait=ready&timeout=x&timeout=3s", seconds(3)),
        ] {
            assert_eq!(timeout(Operation::Read, uri), wanted, "{uri}");
        }
        let (post, list) = (Operation::CreateSandbox, "/api/sandboxes?wait=ready");
        assert_eq!(timeout(post, list), seconds(25));
        for (operation, uri) in [
            (Operation::Read, list),
            (Operation::Read, "/api/sandboxes/?wait=ready"),
            (Operation::Read, "/api/sandboxes/a/presence?wait=ready"),
            (Operation::Touch, "/api/sandboxes/a/touch?wait=ready"),
            (Operation::ChangeLimits, "/api/sandboxes/a?wait=ready"),
        ] {
            assert_eq!(timeout(operation, uri), None, "{uri}");
        }
    }

    /// Guards that each invalid parameter is named, in the format of FastAPI.
    #[test]
    fn invalid_parameters_are_refused() {
        let refused = |uri: &str| {
            let errors = timeout(Operation::Read, uri).unwrap().unwrap_err();
            let errors = errors.as_array().unwrap().clone();
            errors
                .into_iter()
                .map(|error| json!([error["type"], error["loc"], error["input"]]))
                .collect::<Vec<_>>()
        };
        let wait = |input| json!(["literal_error", ["query", "wait"], input]);
        let timeout = |input| json!(["time_delta_parsing", ["query", "timeout"], input]);
        for value in ["", "running", "Ready"] {
            assert_eq!(refused(&format!("/api/sandboxes/a?wait={value}")), [wait(value)]);
        }
        for value in ["", "5", "26s", "25s1ns", "-1s", "99999999999999999999y"] {
            assert_eq!(refused(&format!("/api/sandboxes/a?wait=ready&timeout={value}")), [timeout(value)]);
        }
        assert_eq!(refused("/api/sandboxes/a?timeout=1d&wait=no"), [wait("no"), timeout("1d")]);
    }
}
