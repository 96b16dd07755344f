//! The bodies of POST and PATCH. The first byte chooses the content type.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use http::StatusCode;
use kubernetes::manifest::{self, Template};
use lifecycle::{
    lifetime::{LIMIT_MAX, LIMIT_MIN},
    request::{Change, CreateRequest, RequestedOverrides},
    text::Hidden,
};
use sandbox_provisioner::http::{
    errors::ApiError,
    request::{self, ECHO_MAX, ERRORS_MAX},
};
use serde_json::{Value, json};

use super::validation;

const CONTENT_TYPES: [Option<&str>; 4] =
    [Some("application/json"), Some("application/merge-patch+json; charset=utf-8"), Some("text/plain"), None];

/// Checks that any body gives a request or an error, and that a request is within the documented limits, is the same
/// after a round trip through JSON, and gives objects that Kubernetes accepts.
pub fn check(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let content_type = CONTENT_TYPES[usize::from(*choice) % CONTENT_TYPES.len()];
    let is_json = content_type.is_some_and(|it| it.contains("json"));

    match request::create(content_type, body) {
        Ok(request) => {
            assert!(is_json);
            is_within_the_limits(&request);
            let named = request.skills_container_path.as_deref().unwrap_or("/mnt/skills").to_owned();
            let again = CreateRequest { skills_container_path: Some(named), ..request.clone() };
            assert_eq!(
                request::create(CONTENT_TYPES[0], to_json(&request).to_string().as_bytes()),
                Ok(again),
                "a round trip changes the request"
            );
            if str::from_utf8(body).is_ok() && !body.contains(&0) {
                ignores_unknown_fields(content_type, body, &request);
            }
            builds_valid_objects(&request);
        }
        Err(error) => is_well_formed(&error, body),
    }
    match request::change(content_type, body) {
        Ok(change) => {
            assert!(is_json);
            assert_ne!(change, Change::default(), "an accepted change changes something");
            let limits = [change.limits.ttl.flatten(), change.limits.idle_timeout.flatten()];
            limits.into_iter().flatten().for_each(within_bounds);
        }
        Err(error) => is_well_formed(&error, body),
    }
}

fn is_within_the_limits(request: &CreateRequest) {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let id = request.sandbox_id.as_str();
    assert!((1..=51).contains(&id.len()), "{id:?}");
    assert!((1..=64).contains(&request.thread().len()) && request.thread().bytes().all(word));
    let user = request.user_id.as_str();
    assert!(!user.is_empty() && user.bytes().all(word), "{user:?}");
    [request.limits.ttl, request.limits.idle_timeout].into_iter().flatten().for_each(within_bounds);
    assert_eq!(request.owner, None, "the owner comes from a header");
}

fn within_bounds(limit: Duration) {
    assert!((LIMIT_MIN..=LIMIT_MAX).contains(&limit), "{limit:?}");
}

/// Returns the request as JSON.
fn to_json(request: &CreateRequest) -> Value {
    let duration = |limit: Option<Duration>| limit.map(|limit| humantime::format_duration(limit).to_string());
    let mounts: Vec<Value> = request
        .extra_mounts
        .iter()
        .map(|m| json!({"host_path": m.host_path, "container_path": m.container_path, "read_only": m.read_only}))
        .collect();
    let RequestedOverrides { resources, env, labels, image, network } = &request.overrides;
    let env: BTreeMap<_, _> = env.iter().map(|(name, Hidden(value))| (name, value)).collect();
    let workspace = request
        .workspace
        .as_ref()
        .map(|workspace| json!({"size": workspace.size, "when_deleted": workspace.when_deleted}));
    json!({
        "resources": resources,
        "env": env,
        "labels": labels,
        "image": image,
        "network": network,
        "workspace": workspace,
        "sandbox_id": request.sandbox_id,
        "thread_id": request.thread_id,
        "user_id": request.user_id,
        "extra_mounts": mounts,
        "include_legacy_skills": request.include_legacy_skills,
        "skills_container_path": request.skills_container_path.as_deref().unwrap_or("/mnt/skills"),
        "max_shell_sessions": request.max_shell_sessions.map(|limit| limit.to_string()),
        "provision_lark_cli_runtime": request.provision_lark_cli_runtime,
        "provision_lark_cli_broker": request.provision_lark_cli_broker,
        "profile": request.profile,
        "ttl": duration(request.limits.ttl),
        "idle_timeout": duration(request.limits.idle_timeout),
    })
}

/// Checks that an additional field changes nothing, whatever is in it. The body is in UTF-8, without zeros. It is inserted into the text, because a `Value` would change
/// integers beyond 64 bits.
fn ignores_unknown_fields(content_type: Option<&str>, body: &[u8], request: &CreateRequest) {
    let end = body.iter().rposition(|byte| *byte == b'}').expect("an accepted body is an object");
    let more = br#", "a_later_field": {"x": [null, NaN, -Infinity, 1e400, "\ud83d"]}"#;
    let body = [&body[..end], more, &body[end..]].concat();
    assert_eq!(request::create(content_type, &body).as_ref(), Ok(request));
}

fn builds_valid_objects(request: &CreateRequest) {
    static TEMPLATES: LazyLock<[Template; 2]> = LazyLock::new(|| {
        let claims = Template {
            skills_pvc: Some("skills".to_owned()),
            userdata_pvc: Some("userdata".to_owned()),
            lark_init_image: Some("lark-init:1".to_owned()),
            lark_broker_image: Some("lark-broker:1".to_owned()),
            ..Template::default()
        };
        [Template::default(), claims]
    });
    for template in &*TEMPLATES {
        match manifest::build(template, request) {
            Ok(manifests) => validation::check(&manifests, request.user_id.as_str().len()),
            Err(error) => {
                let has_optional_parts = request.profile.is_some()
                    || request.overrides != RequestedOverrides::default()
                    || request.workspace.is_some()
                    || !request.extra_mounts.is_empty()
                    || request.skills_container_path.is_some()
                    || request.provision_lark_cli_runtime
                    || request.provision_lark_cli_broker;
                assert!(
                    has_optional_parts,
                    "only mounts, profiles, the skills root and Lark are rejected: {error}"
                );
                assert!(error.to_string().len() < 5_000, "{error}");
            }
        }
    }
}

/// Every error has FastAPI's format, and none returns more than a small part of the body.
fn is_well_formed(error: &ApiError, body: &[u8]) {
    assert!(!error.to_string().is_empty());
    let detail = error.detail();
    if error.status() == StatusCode::BAD_REQUEST {
        let is_other_encoding = body.contains(&0);
        assert!(detail.is_string() && (is_other_encoding || str::from_utf8(body).is_err()), "{detail}");
        return;
    }
    let entries = detail.as_array().expect("a list of fields");
    assert!((1..=ERRORS_MAX).contains(&entries.len()), "{} errors", entries.len());
    for entry in entries {
        for field in ["type", "msg"] {
            assert!(entry[field].is_string(), "{entry}");
        }
        assert_eq!(entry["loc"][0], "body", "{entry}");
        if let Some(at) = entry["loc"][1].as_u64() {
            // Half a surrogate pair of two bytes becomes an escape sequence of six.
            assert!(at <= body.len() as u64 * 3, "{entry} is about a position in the body");
        }
        let length = entry.to_string().len();
        assert!(length <= ECHO_MAX + 1024, "{length} bytes for one error: {entry}");
    }
}
