//! Ids, and the paths that contain them, through the whole HTTP API except its sockets.
//!
//! The first byte chooses the method, and whether the rest is a whole path or one segment of a path.

use std::{cell::RefCell, collections::BTreeSet};

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header::CONTENT_TYPE};
use http_body_util::Full;
use kubernetes::names;
use lifecycle::ids::{PATH_SEGMENT_MAX, SandboxId, ThreadId, UserId};
use serde_json::Value;

use super::daemon::{Answer, Daemon, KEY, Recorder, percent_decoded};

const METHODS: [Method; 8] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PATCH,
    Method::DELETE,
    Method::PUT,
    Method::OPTIONS,
    Method::TRACE,
];

/// Checks that an id follows its rule, that a path reaches only the sandbox that its one segment names, decoded once,
/// that a request without the key reaches nothing, and that every response is well-formed.
pub fn check(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        ids(text);
    }
    let Some((choice, rest)) = data.split_first() else { return };
    let method = METHODS[usize::from(choice % 8)].clone();
    let (before, after) = match choice / 8 % 5 {
        0 => ("/api/sandboxes/", ""),
        1 => ("/api/sandboxes/", "/touch"),
        2 => ("/", ""),
        4 => ("/api/sandboxes/", "/presence"),
        _ => ("", ""),
    };
    let target = [before.as_bytes(), rest, after.as_bytes()].concat();
    let Ok(uri) = Uri::try_from(target) else { return };
    FACE.with_borrow(|face| face.is_sound(&method, &uri));
}

// === ids ===

fn ids(text: &str) {
    let lower = |c: char| matches!(c, 'a'..='z' | '0'..='9');
    let word = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let wanted = text.chars().all(|c| lower(c) || c == '-')
        && text.chars().next().is_some_and(lower)
        && text.chars().next_back().is_some_and(lower)
        && text.chars().count() <= 51;
    let id = SandboxId::parse(text);
    assert_eq!(id.is_ok(), wanted, "{text:?}");
    if let Ok(id) = id {
        assert_eq!(id.as_str(), text);
        assert!(names::service(&id).len() <= 63 && names::pod(&id).len() <= 63);
        assert_eq!(names::sandbox_id_of(&names::labels(&id)), Some(id));
    }
    let words = !text.is_empty() && text.chars().all(word);
    assert_eq!(ThreadId::parse(text).is_some(), words && text.len() <= 64, "{text:?}");
    assert_eq!(UserId::parse(text).is_some(), words && text.len() <= PATH_SEGMENT_MAX, "{text:?}");
}

// === paths ===

thread_local! {
    static FACE: RefCell<Face> = RefCell::new(Face(Daemon::new(Recorder::default())));
}

/// The HTTP API with a backend that has every sandbox.
struct Face(Daemon);

impl Face {
    fn is_sound(&self, method: &Method, uri: &Uri) {
        let answer = self.ask(method, uri, true);
        // An invalid query reaches nothing.
        if answer.status == 422 && uri.query().is_some() {
            assert!(answer.calls.is_empty(), "{method} {uri} led to {:?}", answer.calls);
            return;
        }
        Self::is_well_formed(method, uri, &answer);
        let named = named(method, uri.path());
        let touched: BTreeSet<&str> = answer.calls.iter().filter_map(|call| call.id.as_deref()).collect();
        match named.as_deref() {
            Some(id) => assert_eq!(touched, BTreeSet::from([id]), "{method} {uri} is about {id}"),
            None => assert!(touched.is_empty(), "{method} {uri} is about no sandbox, but led to {touched:?}"),
        }

        let stranger = self.ask(method, uri, false);
        assert!(stranger.calls.is_empty(), "{method} {uri} did {:?} for a stranger", stranger.calls);
        if !answer.calls.is_empty() {
            assert_eq!(stranger.status, StatusCode::UNAUTHORIZED, "{method} {uri}");
        }
    }

    fn ask(&self, method: &Method, uri: &Uri, with_key: bool) -> Answer {
        let mut request = Request::builder().method(method).uri(uri).header(CONTENT_TYPE, "application/json");
        if with_key {
            request = request.header("x-api-key", KEY);
        }
        // Each route that reads a body gets one that it accepts.
        let path = uri.path();
        let body = if path.starts_with("/api/workspaces/") {
            r#"{"size": "2Gi"}"#
        } else if path.split('/').nth(4) == Some("move") {
            r#"{"cluster": "west"}"#
        } else {
            r#"{"sandbox_id": "made", "ttl": "1h"}"#
        };
        self.0.answer(request.body(Full::<Bytes>::from(body)).unwrap())
    }

    fn is_well_formed(method: &Method, uri: &Uri, answer: &Answer) {
        let Answer { status, body, .. } = answer;
        let content_type = answer.header(&CONTENT_TYPE);
        if is_page(uri.path()) && matches!(status.as_u16(), 200 | 308) {
            return;
        }
        assert!(matches!(status.as_u16(), 200 | 304 | 404 | 405), "{method} {uri}: {status}");
        assert!(body.len() <= 1024 + 8 * uri.path().len(), "{method} {uri}: {} bytes", body.len());
        if method == Method::HEAD {
            return;
        }
        // The responses of /livez and /readyz are text for operators, and streams of events are not JSON.
        if content_type == Some("application/json") {
            let body: Value = serde_json::from_slice(body).expect("the body is JSON");
            assert!(status.is_success() || body["detail"].is_string(), "{method} {uri}: {body}");
        } else {
            assert!(
                matches!(uri.path().trim_end_matches('/'), "/livez" | "/readyz" | "/api/events"),
                "{method} {uri}: {content_type:?}"
            );
        }
    }
}

/// Returns whether the answer is the same for everyone, in a format and of a size of its own.
fn is_page(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next();
    matches!(first, Some("ui" | "docs" | "openapi.json" | "metrics"))
}

/// Returns the sandbox that a request names.
fn named(method: &Method, path: &str) -> Option<String> {
    let rest = path.strip_prefix("/api/sandboxes")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() {
        return (method == Method::POST).then(|| "made".to_owned());
    }
    let mut names = rest.strip_prefix('/')?.split('/');
    let (segment, operation) = (names.next()?, names.next());
    let is_route = matches!(
        (method.as_str(), operation),
        ("GET" | "DELETE" | "PATCH", None)
            | ("POST", Some("touch" | "move"))
            | ("GET", Some("presence" | "events" | "timeline" | "logs"))
    );
    if !is_route || names.next().is_some() {
        return None;
    }
    let id = String::from_utf8(percent_decoded(segment)).ok()?;
    SandboxId::parse(&id).is_ok().then_some(id)
}
