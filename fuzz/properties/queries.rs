//! Queries and headers of reads, through the whole HTTP API except its sockets, and label selectors.
//!
//! The first byte chooses the path. The rest of the first line is the query. Each further line is a header `name: value`.

use std::{cell::RefCell, collections::BTreeSet};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Request, Uri,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, IF_NONE_MATCH},
};
use http_body_util::Full;
use lifecycle::{
    ids::{ClusterName, ProfileName, SandboxId, ThreadId, UserId},
    labels::Labels,
    observed::Status,
    phase::{Container, Phase, Reason},
    selector::Selector,
    spec::{ObservedSpec, Origin},
};
use serde_json::Value;

use super::daemon::{Answer, Daemon, KEY, Recorder, percent_decoded, running};

const PATHS: [&str; 8] = [
    "/api/sandboxes",
    "/api/sandboxes/s-1",
    "/api/sandboxes/s-1/logs",
    "/api/sandboxes/s-1/events",
    "/api/sandboxes/s-1/timeline",
    "/api/events",
    "/api/clusters",
    "/api/workspaces",
];
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The headers that reads look at.
const HEADERS: [HeaderName; 4] = [TRACEPARENT, LAST_EVENT_ID, ACCEPT_ENCODING, IF_NONE_MATCH];

/// Checks that a read changes nothing, that its answer is well-formed, that an invalid query is a 422 that names
/// parameters, that the pages of a list together are the whole list and have exactly what the filters select, and that
/// selectors mean the same in all spellings.
pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    selectors(text);
    let Some((choice, rest)) = data.split_first() else { return };
    let rest = str::from_utf8(rest).unwrap_or_default();
    let (query, headers) = rest.split_once('\n').unwrap_or((rest, ""));
    let path = PATHS[usize::from(choice % 8)];
    let Ok(uri) = Uri::try_from(format!("{path}?{query}")) else { return };
    let headers: Vec<_> = headers.lines().filter_map(header).collect();
    DAEMON.with_borrow(|daemon| {
        let answer = get(daemon, &uri, &headers);
        is_well_formed(&uri, &answer);
        if path == PATHS[0] && headers.is_empty() && answer.status == 200 {
            // Not the input's text: a `#` ends the query of a URI.
            is_the_list(daemon, uri.query().unwrap_or_default(), &answer);
        }
    });
}

fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(": ")?;
    let name = HEADERS.into_iter().find(|header| header.as_str() == name)?;
    Some((name, HeaderValue::from_str(value).ok()?))
}

fn get(daemon: &Daemon, uri: &Uri, headers: &[(HeaderName, HeaderValue)]) -> Answer {
    let mut request = Request::get(uri).header("x-api-key", KEY);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    daemon.answer(request.body(Full::<Bytes>::default()).unwrap())
}

// === every answer ===

fn is_well_formed(uri: &Uri, answer: &Answer) {
    let Answer { status, body, calls, .. } = answer;
    for call in calls {
        let reads = ["get", "list", "changes", "timeline", "log"];
        assert!(reads.contains(&call.what), "{uri} made a {}", call.what);
        assert!(call.id.as_deref().is_none_or(|id| id == "s-1"), "{uri} is about {call:?}");
    }
    assert!(matches!(status.as_u16(), 200 | 304 | 404 | 422), "{uri}: {status}");
    assert!(answer.headers.contains_key("x-request-id"), "{uri}");
    if *status == 304 {
        assert!(body.is_empty(), "{uri}");
    } else if answer.header(&CONTENT_TYPE) == Some("text/event-stream") {
        assert!(*status == 200, "{uri}: {status}");
    } else if answer.header(&CONTENT_ENCODING).is_none() {
        let body: Value = serde_json::from_slice(body).expect("the body is JSON");
        match status.as_u16() {
            422 => are_errors_of_the_query(uri, &body),
            404 => assert!(body["detail"].is_string(), "{uri}: {body}"),
            _ => assert!(body.is_object(), "{uri}: {body}"),
        }
    }
}

fn are_errors_of_the_query(uri: &Uri, body: &Value) {
    let errors = body["detail"].as_array().expect("the errors");
    assert!((1..=64).contains(&errors.len()), "{uri}: {} errors", errors.len());
    for error in errors {
        assert_eq!(error["loc"][0], "query", "{uri}: {error}");
        let name = error["loc"][1].as_str().expect("a parameter");
        assert!(uri.query().is_some_and(|query| query.contains(name)), "{uri} does not have {name}");
        assert!(error["msg"].as_str().is_some_and(|text| !text.is_empty()), "{uri}: {error}");
        assert!(error.to_string().len() <= 4 << 10, "{uri}: {} bytes", error.to_string().len());
    }
}

// === lists ===

thread_local! {
    static DAEMON: RefCell<Daemon> = RefCell::new(Daemon::new(Recorder::listing(sandboxes())));
}

/// Sandboxes that differ in all that a filter can ask for.
fn sandboxes() -> Vec<(SandboxId, Status)> {
    let sandbox = |n: usize| {
        let origin = Origin {
            thread_id: ThreadId::parse(["t1", "t2"][n % 2]),
            user_id: if n == 4 { None } else { UserId::parse(["alice", "bob"][n / 2 % 2]) },
            labels: Labels::new([("tier", ["large", "small"][n % 2]), ("cpus", ["2", "8", "x"][n % 3])]),
            replaces: None,
            first_created: None,
        };
        let status = Status {
            cluster: ClusterName::parse(["east", "west"][n / 3]).expect("a name"),
            phase: if n.is_multiple_of(2) { Phase::Running } else { Phase::Pending },
            reason: (n % 2 == 1).then(|| {
                let name = ["Unschedulable", "ImagePullBackOff"][n / 2 % 2].into();
                Reason { name, message: None, container: Container::Sandbox, exit: None }.into()
            }),
            spec: ObservedSpec {
                origin: origin.into(),
                profile: (n > 2).then(|| ProfileName::parse("gpu").expect("a name")),
                ..ObservedSpec::default()
            },
            ..running()
        };
        (SandboxId::parse(&format!("s-{n}")).expect("an id"), status)
    };
    (0..6).map(sandbox).collect()
}

fn is_the_list(daemon: &Daemon, query: &str, first: &Answer) {
    let pairs: Vec<(&str, String)> = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name, decoded(value)))
        .collect();
    let last = |wanted: &str| pairs.iter().rev().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    let limit = last("limit").map(|limit| limit.parse().unwrap_or(usize::MAX));
    let mut page: Value = serde_json::from_slice(&first.body).expect("JSON");
    let mut shown = ids(&page);
    // The token holds an id, with which the model has nothing to do: it begins where the first page does.
    if last("continue").is_none() {
        let wanted: Vec<String> = sandboxes()
            .iter()
            .filter(|(_, status)| is_selected(&pairs, status))
            .map(|(id, _)| id.to_string())
            .collect();
        assert!(limit.is_none_or(|limit| shown.len() <= limit), "{query}: {page}");
        while let Some(token) = page["continue"].as_str() {
            assert!(!ids(&page).is_empty(), "{query}: an empty page continues");
            let uri =
                Uri::try_from(format!("{PATH}?{query}&continue={token}", PATH = PATHS[0])).expect("a URI");
            page = serde_json::from_slice(&get(daemon, &uri, &[]).body).expect("JSON");
            shown.extend(ids(&page));
        }
        assert_eq!(shown, wanted, "{query}");
    }
}

fn ids(page: &Value) -> Vec<String> {
    let sandboxes = page["sandboxes"].as_array().expect("sandboxes");
    sandboxes.iter().map(|sandbox| sandbox["sandbox_id"].as_str().expect("an id").to_owned()).collect()
}

/// Returns whether a sandbox has one of the values of each parameter.
fn is_selected(pairs: &[(&str, String)], status: &Status) -> bool {
    let origin = &status.spec.origin;
    let fields = [
        ("status", Some(status.phase.name())),
        ("reason", status.reason.as_ref().map(|reason| &*reason.name)),
        ("user_id", origin.user_id.as_ref().map(UserId::as_str)),
        ("thread_id", origin.thread_id.as_ref().map(ThreadId::as_str)),
        ("profile", status.spec.profile.as_ref().map(ProfileName::as_str)),
        ("cluster", Some(status.cluster.as_str())),
    ];
    let has_fields = fields.iter().all(|(name, has)| {
        let wanted: BTreeSet<&str> =
            pairs.iter().filter(|(key, _)| key == name).flat_map(|(_, value)| value.split(',')).collect();
        wanted.is_empty() || has.is_some_and(|has| wanted.contains(has))
    });
    let selectors = pairs.iter().filter(|(name, _)| *name == "label");
    has_fields
        && selectors
            .map(|(_, text)| Selector::parse(text).expect("the list accepted it"))
            .all(|selector| selector.matches(&origin.labels))
}

fn decoded(value: &str) -> String {
    String::from_utf8_lossy(&percent_decoded(&value.replace('+', " "))).into_owned()
}

// === selectors ===

fn selectors(text: &str) {
    let Ok(selector) = Selector::parse(text) else { return };
    let objects: Vec<Labels> = sandboxes()
        .iter()
        .map(|(_, status)| status.spec.origin.labels.clone())
        .chain([Labels::default()])
        .collect();
    let matched =
        |selector: &Selector| objects.iter().map(|labels| selector.matches(labels)).collect::<Vec<_>>();
    let same = |other: &str| {
        let other = Selector::parse(other).unwrap_or_else(|error| panic!("{other:?}: {error}"));
        assert_eq!(matched(&other), matched(&selector), "{text:?}");
    };
    same(&format!("  {text} "));
    if let Ok(twice) = selector.clone().and(selector.clone()) {
        assert_eq!(matched(&twice), matched(&selector), "{text:?}");
    }
    // A value matches one requirement or its opposite.
    let is_name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b" -_./".contains(&b));
    for (operator, opposite) in [("==", "!="), ("!=", "="), (" in ", " notin "), (" notin ", " in ")] {
        let Some((key, values)) = text.split_once(operator) else { continue };
        let list = values.trim().strip_prefix('(').and_then(|values| values.strip_suffix(')'));
        // Outside parentheses a comma begins another requirement.
        let has_key = is_name(key) && !key.trim().is_empty();
        if has_key && list.map_or_else(|| is_name(values), |list| list.split(',').all(is_name)) {
            let other = Selector::parse(&format!("{key}{opposite}{values}")).expect("the same names");
            let inverted: Vec<bool> = matched(&other).iter().map(|is_matched| !is_matched).collect();
            assert_eq!(inverted, matched(&selector), "{text:?}");
        }
    }
}
