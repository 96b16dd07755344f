//! Request bodies, compared with FastAPI's answers.
//!
//! `tests/recordings/validation.json` contains bodies with the `detail` of the answer (null for an accepted body).
//! They were recorded from `FastAPI` 0.165 with pydantic 2.13.4 on `CPython` 3.11, with the request model of
//! DeerFlow's provisioner.

use std::time::Duration;

use http::StatusCode;
use lifecycle::{
    ids::{SANDBOX_ID_PATTERN, SandboxId},
    lifetime::{LIMIT_MAX, LIMIT_MIN, Limits, LimitsPatch},
    request::{CreateRequest, ExtraMount},
};
use proptest::prelude::*;
use sandbox_provisioner::http::{
    errors::ApiError,
    request::{self, ECHO_MAX, ERRORS_MAX},
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Case {
    content_type: String,
    body: String,
    detail: Value,
}

const JSON: Option<&str> = Some("application/json");

/// Returns the `detail` of the error; null without an error.
fn detail_of<T>(outcome: Result<T, ApiError>) -> Value {
    outcome.err().map_or(Value::Null, |error| error.detail())
}

fn detail(content_type: Option<&str>, body: &[u8]) -> Value {
    detail_of(request::create(content_type, body))
}

fn create(body: &Value) -> Result<CreateRequest, ApiError> {
    request::create(JSON, body.to_string().as_bytes())
}

fn limits(body: &Value) -> Result<LimitsPatch, ApiError> {
    request::change(JSON, body.to_string().as_bytes()).map(|change| change.limits)
}

fn json_detail(body: &[u8]) -> Value {
    detail(JSON, body)
}

/// Guards that only a body with a JSON content type is parsed: a web page can send others without a CORS preflight.
#[test]
fn a_body_needs_a_json_content_type() {
    let body = br#"{"sandbox_id":"a1"}"#;
    assert!(request::create(JSON, body).is_ok());
    for other in [None, Some("text/plain"), Some("")] {
        assert_eq!(detail(other, body)[0]["type"], "model_attributes_type", "{other:?}");
    }
}

/// Returns whether two errors are the same, apart from the parser's message about invalid JSON, which is that of
/// `serde_json` instead of Python's.
///
/// Both stop at the same character, except within a string, a number or a literal, where Python returns the start of
/// the invalid part. `NaN` is valid for Python, so it stops later.
///
/// A user id over 255 characters is an error here, because it cannot be mounted.
fn is_same(body: &str, ours: &Value, theirs: &Value) -> bool {
    if theirs.is_null() && body.contains(&"u".repeat(256)) {
        return ours[0]["type"] == "string_too_long";
    }
    if theirs[0]["type"] != "json_invalid" {
        return ours == theirs;
    }
    let position = |detail: &Value| usize::try_from(detail[0]["loc"][1].as_u64().unwrap()).unwrap();
    let (ours_at, theirs_at) = (position(ours), position(theirs));
    let between: String =
        body.chars().skip(ours_at.min(theirs_at)).take(ours_at.abs_diff(theirs_at)).collect();
    let is_one_token =
        between.starts_with("NaN") || !between.contains([',', ':', '[', ']', '{', '}', ' ', '\n']);
    let mut expected = theirs.clone();
    expected[0]["loc"][1] = ours[0]["loc"][1].clone();
    expected[0]["ctx"]["error"] = ours[0]["ctx"]["error"].clone();
    is_one_token && ours[0]["ctx"]["error"].is_string() && *ours == expected
}

/// Guards that every entry is identical to FastAPI's: type, path, message, input and context.
#[test]
fn errors_are_those_of_fastapi() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/validation.json");
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(cases.len() > 200, "the recording is whole");
    let differences: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let ours = detail(Some(&case.content_type), case.body.as_bytes());
            (!is_same(&case.body, &ours, &case.detail)).then(|| {
                format!(
                    "{:?} as {}\n  ours    {ours}\n  FastAPI {}",
                    case.body, case.content_type, case.detail
                )
            })
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Guards the one rule that FastAPI does not have: an id that cannot name a Service is rejected before any call is
/// made.
#[test]
fn invalid_sandbox_ids_are_rejected_with_the_rule() {
    let too_long = "a".repeat(52);
    for id in ["", "Upper", "a_b", "a/b", "a.b", "a b", "沙箱", "abc-", "-abc", "a\n", "a\0", &too_long] {
        let body = json!({"sandbox_id": id});
        let entries = json_detail(body.to_string().as_bytes());
        let entry = &entries[0];
        assert_eq!(entries.as_array().map(Vec::len), Some(1), "{id:?}");
        assert_eq!(entry["type"], "string_pattern_mismatch", "{id:?}");
        assert_eq!(entry["loc"], json!(["body", "sandbox_id"]));
        assert_eq!(entry["ctx"], json!({"pattern": SANDBOX_ID_PATTERN}));
        assert_eq!(entry["input"], id);
        assert!(entry["msg"].as_str().unwrap().contains("1 to 51 lower-case letters"), "{entry}");
    }
}

/// Guards that absent fields have the defaults of DeerFlow's provisioner, and that present fields are kept.
#[test]
fn fields_are_parsed_and_have_defaults() {
    let minimal = request::create(JSON, br#"{"sandbox_id":"a1"}"#).unwrap();
    assert_eq!(minimal.sandbox_id.as_str(), "a1");
    assert_eq!((minimal.thread_id.as_ref(), minimal.thread()), (None, "a1"));
    assert_eq!(minimal.user_id.as_str(), "default");
    assert!(minimal.extra_mounts.is_empty());
    assert!(!minimal.include_legacy_skills);
    assert!(!minimal.provision_lark_cli_runtime);
    assert!(!minimal.provision_lark_cli_broker);
    assert_eq!((minimal.limits, minimal.owner), (Limits::default(), None));

    let full = create(&json!({
        "sandbox_id": "a1", "thread_id": "T_1", "user_id": "U-1",
        "extra_mounts": [
            {"host_path": "/x/../y", "container_path": "z/"},
            {"host_path": "", "container_path": "", "read_only": "on"},
        ],
        "include_legacy_skills": 1, "provision_lark_cli_runtime": "t", "provision_lark_cli_broker": true,
        "ttl": "2h 30m", "idle_timeout": "90s",
    }))
    .unwrap();
    assert_eq!(full.thread(), "T_1");
    assert_eq!(full.user_id.as_str(), "U-1");
    let mount = |host: &str, container: &str, read_only| ExtraMount {
        host_path: host.to_owned(),
        container_path: container.to_owned(),
        read_only,
    };
    assert_eq!(full.extra_mounts, [mount("/x/../y", "z/", false), mount("", "", true)]);
    let limits = Limits { ttl: Some(seconds(9000)), idle_timeout: Some(seconds(90)) };
    assert_eq!(full.limits, limits);
    assert!(full.include_legacy_skills && full.provision_lark_cli_runtime && full.provision_lark_cli_broker);
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Guards that a name or a path that cannot be mounted is rejected before it ends up in an object. An object with a user id
/// of 250 kB made every list fail.
#[test]
fn what_cannot_be_mounted_is_rejected() {
    let (name, long_name) = ("n".repeat(255), "n".repeat(256));
    let long_path = format!("/{}", "n/".repeat(2048));
    let mount = |host: &str, container: &str| json!({"sandbox_id": "a", "extra_mounts": [{"host_path": host, "container_path": container}]});
    create(&json!({"sandbox_id": "a", "user_id": name, "skills_container_path": format!("/{name}")}))
        .unwrap();
    create(&mount(&format!("/{name}/{name}"), &format!("/mnt/{name}"))).unwrap();
    let segment = "Value error, a segment of a path has at most 255 bytes";
    for (body, loc, msg) in [
        (
            json!({"sandbox_id": "a", "user_id": long_name}),
            json!(["body", "user_id"]),
            "String should have at most 255 characters",
        ),
        (
            json!({"sandbox_id": "a", "user_id": "u".repeat(250_000)}),
            json!(["body", "user_id"]),
            "String should have at most 255 characters",
        ),
        (
            json!({"sandbox_id": "a", "skills_container_path": format!("/{long_name}")}),
            json!(["body", "skills_container_path"]),
            segment,
        ),
        (mount(&format!("/x/{long_name}"), "/mnt"), json!(["body", "extra_mounts", 0, "host_path"]), segment),
        (
            mount("/x", &format!("/mnt/{long_name}/y")),
            json!(["body", "extra_mounts", 0, "container_path"]),
            segment,
        ),
        (
            mount(&long_path, "/mnt"),
            json!(["body", "extra_mounts", 0, "host_path"]),
            "String should have at most 4095 characters",
        ),
        (
            mount("/x", &format!("/{}", "é".repeat(128))),
            json!(["body", "extra_mounts", 0, "container_path"]),
            segment,
        ),
    ] {
        let detail = detail_of(create(&body));
        assert_eq!((&detail[0]["loc"], detail[0]["msg"].as_str()), (&loc, Some(msg)));
        assert!(detail.to_string().len() < 2048, "the value is not repeated in full");
    }
}

/// Guards that a limit is a duration within inclusive bounds, and that null leaves it to the settings.
#[test]
fn limits_are_durations() {
    for (value, wanted) in [
        (json!("1s"), Some(LIMIT_MIN)),
        (json!("1000ms"), Some(LIMIT_MIN)),
        (json!("15m"), Some(seconds(900))),
        (json!("2h 30m"), Some(seconds(9000))),
        (json!("365d"), Some(LIMIT_MAX)),
        (Value::Null, None),
    ] {
        let create = create(&json!({"sandbox_id": "a", "ttl": value, "idle_timeout": value}));
        assert_eq!(create.unwrap().limits, Limits { ttl: wanted, idle_timeout: wanted }, "{value}");
        let change = limits(&json!({"ttl": value}));
        assert_eq!(change, Ok(LimitsPatch { ttl: Some(wanted), idle_timeout: None }), "{value}");
        let change = limits(&json!({"idle_timeout": value, "else": 1}));
        assert_eq!(change, Ok(LimitsPatch { ttl: None, idle_timeout: Some(wanted) }), "{value}");
    }
}

/// Guards that anything else is rejected with the rule and its bounds, in a create and in a change. A number is
/// rejected because it has no unit.
#[test]
fn invalid_limits_are_rejected_with_the_rule() {
    for (value, kind) in [
        (json!(90), "time_delta_type"),
        (json!(1.5), "time_delta_type"),
        (json!(true), "time_delta_type"),
        (json!(["90s"]), "time_delta_type"),
        (json!({}), "time_delta_type"),
        (json!(""), "time_delta_parsing"),
        (json!("90"), "time_delta_parsing"),
        (json!("0s"), "time_delta_parsing"),
        (json!("999ms"), "time_delta_parsing"),
        (json!("-1s"), "time_delta_parsing"),
        (json!("soon"), "time_delta_parsing"),
        (json!("365d 1s"), "time_delta_parsing"),
        (json!("99999999999999999999years"), "time_delta_parsing"),
    ] {
        let bodies = [
            detail_of(create(&json!({"sandbox_id": "a", "idle_timeout": value}))),
            detail_of(limits(&json!({"idle_timeout": value}))),
        ];
        for entries in bodies {
            let entry = &entries[0];
            assert_eq!(entries.as_array().map(Vec::len), Some(1), "{value}");
            assert_eq!((&entry["type"], &entry["input"]), (&json!(kind), &value));
            assert_eq!(entry["loc"], json!(["body", "idle_timeout"]));
            assert!(entry["msg"].as_str().unwrap().ends_with(r#""2h 30m", between 1s and 365d"#), "{entry}");
        }
    }
}

/// Guards that errors of limits come last, so that the entries which DeerFlow's clients know keep their positions.
#[test]
fn errors_of_limits_come_last() {
    let body = json!({"idle_timeout": 1, "ttl": 1, "provision_lark_cli_broker": 7, "sandbox_id": 1});
    let entries = detail_of(create(&body));
    let fields: Vec<&Value> = entries.as_array().unwrap().iter().map(|entry| &entry["loc"][1]).collect();
    assert_eq!(fields, ["sandbox_id", "provision_lark_cli_broker", "ttl", "idle_timeout"]);
}

/// Guards that a change is a JSON object that changes something, with the content-type rules of a create.
#[test]
fn a_change_changes_something() {
    let change = |content_type, body: &str| detail_of(request::change(content_type, body.as_bytes()));
    for (content_type, body, kind, path) in [
        (JSON, "{}", "value_error", json!(["body"])),
        (JSON, r#"{"TTL":"1h"}"#, "value_error", json!(["body"])),
        (JSON, "", "missing", json!(["body"])),
        (JSON, "[]", "model_attributes_type", json!(["body"])),
        (JSON, "null", "model_attributes_type", json!(["body"])),
        (JSON, "{", "json_invalid", json!(["body", 1])),
        (None, r#"{"ttl":"1h"}"#, "model_attributes_type", json!(["body"])),
        (Some("text/plain"), r#"{"ttl":"1h"}"#, "model_attributes_type", json!(["body"])),
    ] {
        let entries = change(content_type, body);
        assert_eq!(entries.as_array().map(Vec::len), Some(1), "{body}");
        assert_eq!((&entries[0]["type"], &entries[0]["loc"]), (&json!(kind), &path), "{body}");
    }
    let entry = &change(JSON, "{}")[0];
    assert_eq!(entry["msg"], "Value error, at least one of ttl, idle_timeout and resources is needed");
    assert_eq!(change(Some("application/merge-patch+json"), r#"{"ttl":null}"#), Value::Null);
}

/// Guards that texts which only Python accepts are rejected as invalid JSON in a value that is used, at the position
/// where `serde_json` stops.
#[test]
fn used_values_that_only_python_accepts_are_rejected() {
    let deep = "[".repeat(500) + &"]".repeat(500);
    for (body, at, error) in [
        (r#"{"sandbox_id":NaN}"#, 14, "expected value at line 1 column 15"),
        ("[\n\"\u{e9}\", Infinity]", 7, "expected value at line 2 column 7"),
        (r#"{"sandbox_id":"\ud800"}"#, 21, "unexpected end of hex escape at line 1 column 22"),
        ("1e400", 4, "number out of range at line 1 column 5"),
        (deep.as_str(), 127, "recursion limit exceeded at line 1 column 128"),
    ] {
        let entry = &json_detail(body.as_bytes())[0];
        assert_eq!(entry["type"], "json_invalid", "{body:.30}");
        assert_eq!(entry["ctx"]["error"], error, "{body:.30}");
        assert_eq!(entry["loc"], json!(["body", at]), "{body:.30}");
    }
    let error = request::create(JSON, b"{\"\xc3\xa9\":\"\xff\"}").unwrap_err();
    assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    let entry = &json_detail("{\"\u{e9}\":x}".as_bytes())[0];
    assert_eq!(entry["loc"], json!(["body", 5]), "characters are counted, not bytes");
}

/// Guards that the answer to a large body is small, for any size and any number of errors.
#[test]
fn errors_of_large_bodies_are_small() {
    let size = |entries: &Value| entries.to_string().len();
    let long = json!({"thread_id": "x".repeat(1_000_000)}).to_string();
    let entries = json_detail(long.as_bytes());
    assert_eq!(entries.as_array().map(Vec::len), Some(2));
    assert!(size(&entries) < 4 * ECHO_MAX, "{}", size(&entries));

    let many = json!({"sandbox_id": "a", "extra_mounts": vec![json!({}); 100_000]}).to_string();
    let entries = json_detail(many.as_bytes());
    assert_eq!(entries.as_array().map(Vec::len), Some(ERRORS_MAX));

    let text = detail(Some("text/plain"), &vec![b'\xff'; 1_000_000]);
    assert!(size(&text) < 4 * ECHO_MAX, "{}", size(&text));
}

/// Generates JSON values that are similar to requests, to reach the rules of the fields.
fn near_requests() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z0-9/._-]{0,8}|yes|0|[0-9]{1,25} ?[smhdwy]|\\PC{0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("sandbox_id".to_owned()),
        Just("thread_id".to_owned()),
        Just("user_id".to_owned()),
        Just("extra_mounts".to_owned()),
        Just("include_legacy_skills".to_owned()),
        Just("host_path".to_owned()),
        Just("container_path".to_owned()),
        Just("read_only".to_owned()),
        Just("ttl".to_owned()),
        Just("idle_timeout".to_owned()),
        "\\PC{0,4}",
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn well_formed(result: Result<CreateRequest, ApiError>) -> Result<(), TestCaseError> {
    match result {
        Ok(request) => {
            prop_assert!(SandboxId::parse(request.sandbox_id.as_str()).is_ok());
            let limits = [request.limits.ttl, request.limits.idle_timeout];
            prop_assert!(limits.into_iter().flatten().all(|limit| (LIMIT_MIN..=LIMIT_MAX).contains(&limit)));
        }
        Err(error) => has_well_formed_errors(&error)?,
    }
    Ok(())
}

fn has_well_formed_errors(error: &ApiError) -> Result<(), TestCaseError> {
    let detail = error.detail();
    if error.status() == StatusCode::BAD_REQUEST {
        prop_assert_eq!(detail, "There was an error parsing the body");
        return Ok(());
    }
    let entries = detail.as_array().unwrap();
    prop_assert!(!entries.is_empty(), "a rejection has a reason");
    for entry in entries {
        prop_assert!(entry["type"].is_string() && entry["msg"].is_string());
        prop_assert_eq!(&entry["loc"][0], "body");
        prop_assert!(entry.get("input").is_some());
    }
    Ok(())
}

proptest! {
    /// Guards that any bytes with any content type give a request or an error.
    #[test]
    fn any_bytes_are_answered(
        content_type in prop::option::of("application/json|\\PC{0,20}"),
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        well_formed(request::create(content_type.as_deref(), &body))?;
    }

    /// Guards the same for texts made of JSON tokens, which reach the special cases of the scanner.
    #[test]
    fn any_near_json_is_answered(body in r#"([\[\]{}:,"\\ue0-9a.+-]|null|true|NaN|"a"|\\u[0-9a-f]{2,4}|é| ){0,24}"#) {
        well_formed(request::create(JSON, body.as_bytes()))?;
    }

    /// Guards the same for JSON that is similar to a request.
    #[test]
    fn any_near_request_is_answered(body in near_requests()) {
        well_formed(request::create(JSON, body.to_string().as_bytes()))?;
    }

    /// Guards that an accepted change changes something, and that a rejected one has an error.
    #[test]
    fn any_near_change_is_answered(body in near_requests()) {
        match limits(&body) {
            Ok(change) => prop_assert_ne!(change, LimitsPatch::default()),
            Err(error) => has_well_formed_errors(&error)?,
        }
    }
}
