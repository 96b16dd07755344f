//! The parameters of a list, valid and invalid ones.

use std::sync::Arc;

use lifecycle::{
    ids::ClusterName,
    labels::Labels,
    observed::Uid,
    phase::Reason,
    spec::{ObservedSpec, Origin},
};
use serde_json::json;

use super::*;

/// Parses a query for a daemon with two clusters.
fn parse(query: &str) -> Result<Parameters, ApiError> {
    Parameters::parse(query, &[ClusterName::DEFAULT, ClusterName::parse("west").unwrap()])
}

fn sandbox() -> Status {
    let origin = Origin {
        thread_id: ThreadId::parse("t-1"),
        user_id: UserId::parse("alice"),
        labels: Labels::new([("tier", "large")]),
        replaces: None,
        first_created: None,
    };
    Status {
        cluster: ClusterName::DEFAULT,
        url: "http://n:1".into(),
        phase: Phase::Pending,
        ready: false,
        reason: Some(Reason::new("Unschedulable", None).into()),
        pod: Uid("u-1".into()),
        created: None,
        spec: ObservedSpec {
            origin: Arc::new(origin),
            profile: ProfileName::parse("large"),
            ..ObservedSpec::default()
        },
        expiry: None,
    }
}

/// Guards that each parameter selects by its field, that several values select any of them, and that all parameters must
/// match.
#[test]
fn each_parameter_selects_by_its_field() {
    let bare = Status { reason: None, spec: ObservedSpec::default(), ..sandbox() };
    for (query, full, without) in [
        ("limit=5", true, true),
        ("status=Pending", true, true),
        ("status=Running", false, false),
        ("status=Running,Pending", true, true),
        ("status=Running&status=Pending", true, true),
        ("status=Running%2CPending", true, true),
        ("reason=Unschedulable", true, false),
        ("reason=ImagePullBackOff", false, false),
        ("reason=unschedulable", false, false),
        ("user_id=alice", true, false),
        ("user_id=bob,alice", true, false),
        ("user_id=bob", false, false),
        ("thread_id=t-1", true, false),
        ("thread_id=t", false, false),
        ("profile=large", true, false),
        ("profile=small", false, false),
        ("cluster=default", true, true),
        ("cluster=west", false, false),
        ("cluster=west,default", true, true),
        ("label=tier=large", true, false),
        ("label=tier%3Dlarge", true, false),
        ("label=tier+in+(small,%20large)", true, false),
        ("label=!tier", false, true),
        ("label=tier&label=tier!=small", true, false),
        ("label=tier&label=owner", false, false),
        ("label=", true, true),
        ("user_id=alice&status=Pending&label=tier", true, false),
        ("user_id=alice&status=Running", false, false),
        ("unknown=x&user_id=alice", true, false),
    ] {
        assert!(Parameters::are_in(query), "{query}");
        let parameters = parse(query).unwrap_or_else(|error| panic!("{query}: {error:?}"));
        assert_eq!(parameters.match_sandbox(&sandbox()), full, "{query}");
        assert_eq!(parameters.match_sandbox(&bare), without, "{query}, without fields");
    }
}

/// Guards that other parameters leave the list as it is.
#[test]
fn other_parameters_are_ignored() {
    for query in ["", "x=1", "Status=Running", "wait=ready&timeout=x", "statuses=x", "x=status=Running"] {
        assert!(!Parameters::are_in(query), "{query}");
    }
}

/// Guards that the limit and the token are read, and that the last of several counts.
#[test]
fn pages_are_read() {
    let read = |query: &str| {
        let Parameters { limit, after, .. } = parse(query).unwrap();
        (limit, after.map(|id| id.to_string()))
    };
    assert_eq!(read("limit=1"), (Some(1), None));
    assert_eq!(read("limit=7&limit=500&continue=MS9h"), (Some(500), Some("a".to_owned())));
    assert_eq!(read("limit=99999999999999999999999"), (Some(usize::MAX), None));
}

/// Guards that an invalid value of a known parameter is refused, and that the error names the parameter and the value.
#[test]
fn invalid_values_are_named() {
    let errors = |query: &str| match parse(query) {
        Ok(parameters) => panic!("{query}: {parameters:?}"),
        Err(error) => {
            let errors = error.detail().as_array().unwrap().clone();
            errors
                .into_iter()
                .map(|error| json!([error["loc"][1], error["type"], error["input"]]))
                .collect::<Vec<_>>()
        }
    };
    let token = |name: &str, kind: &str, input: &str| json!([name, kind, input]);
    for (query, name, kind, input) in [
        ("status=running", "status", "literal_error", "running"),
        ("status=", "status", "literal_error", ""),
        ("status=Running,,Failed", "status", "literal_error", ""),
        ("status=Running, Failed", "status", "literal_error", " Failed"),
        ("reason=", "reason", "string_too_short", ""),
        ("user_id=", "user_id", "string_pattern_mismatch", ""),
        ("user_id=a/b", "user_id", "string_pattern_mismatch", "a/b"),
        ("user_id=alice,a%20b", "user_id", "string_pattern_mismatch", "a b"),
        ("thread_id=%F0%9F%98%80", "thread_id", "string_pattern_mismatch", "😀"),
        ("profile=Large", "profile", "string_pattern_mismatch", "Large"),
        ("cluster=", "cluster", "literal_error", ""),
        ("cluster=West", "cluster", "literal_error", "West"),
        ("cluster=west,east", "cluster", "literal_error", "east"),
        ("label=tier=a=b", "label", "value_error", "tier=a=b"),
        ("label=a&label=,", "label", "value_error", ","),
        ("limit=0", "limit", "greater_than", "0"),
        ("limit=-5", "limit", "greater_than", "-5"),
        ("limit=-99999999999999999999999", "limit", "greater_than", "-99999999999999999999999"),
        ("limit=", "limit", "int_parsing", ""),
        ("limit=ten", "limit", "int_parsing", "ten"),
        ("limit=5.0", "limit", "int_parsing", "5.0"),
        ("continue=", "continue", "value_error", ""),
        ("continue=abc", "continue", "value_error", "abc"),
    ] {
        assert_eq!(errors(query), [token(name, kind, input)], "{query}");
    }
    assert_eq!(
        errors("limit=x&status=y&label=("),
        [
            token("status", "literal_error", "y"),
            token("label", "value_error", "("),
            token("limit", "int_parsing", "x")
        ]
    );
}
