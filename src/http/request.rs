//! Parsing of request bodies by the rules of `FastAPI` and pydantic, which DeerFlow's clients know.
//!
//! Unknown fields are ignored, except in the parts that this program added; absent fields have their defaults, and
//! booleans and integers may be written as strings. A body may be in any encoding of Unicode, and an ignored value may be
//! one that only Python reads, such as `NaN`.
//! The test `errors_are_those_of_fastapi` compares the errors with recordings.

mod encoding;
mod field_error;
mod fields;
mod integer;
mod json;
mod overrides;
pub(in crate::http) mod schema;
mod substitutes;

use std::time::Duration;

use fleet::backend::ClusterChange;
use lifecycle::{
    ids::{
        CLUSTER_NAME_PATTERN, ClusterName, PATH_MAX, PATH_SEGMENT_MAX, PROFILE_NAME_PATTERN, ProfileName,
        SANDBOX_ID_PATTERN, SandboxId, SandboxIdError, THREAD_ID_PATTERN, ThreadId, USER_ID_PATTERN, UserId,
    },
    lifetime::{LIMIT_MAX, LIMIT_MIN, Limits, LimitsPatch},
    placement::Terms,
    request::{Change, CreateRequest, ExtraMount},
    selector::Selector,
    workspace::{WhenDeleted, WorkspaceRequest},
};
use serde_json::Value;

pub use self::field_error::ECHO_MAX;
pub(super) use self::field_error::{FieldError, Loc, Problem};
pub use self::fields::ERRORS_MAX;
pub(super) use self::fields::flag;
use self::fields::{Fields, boolean, or_null, text};
use super::errors::ApiError;

/// The longest label selector of a POST, in bytes.
const SELECTOR_MAX: usize = 1024;

/// Parses the body of a create.
///
/// ```
/// use sandbox_provisioner::http::request;
/// let body = br#"{"sandbox_id": "abc-123", "include_legacy_skills": "yes"}"#;
/// assert_eq!(request::create(Some("application/json"), body).unwrap().user_id.as_str(), "default");
/// assert!(request::create(Some("text/plain"), body).is_err());
/// ```
///
/// # Errors
/// A 422 with all errors, in the order of the fields, at most [`ERRORS_MAX`]; a 400 if the body is not valid in its
/// encoding.
pub fn create(content_type: Option<&str>, body: &[u8]) -> Result<CreateRequest, ApiError> {
    json::parse(content_type, body, read_create)
}

fn read_create(body: &Value) -> Result<CreateRequest, ApiError> {
    let mut fields = Fields::of_body(body)?;
    // All fields are parsed, whether or not the id is valid, so that one answer contains every error.
    let sandbox_id = fields.required("sandbox_id", |value| sandbox_id(value).map(Some));
    let thread_id = fields.optional("thread_id", or_null(thread_id));
    let user_id = fields.optional("user_id", user_id);
    let extra_mounts = fields.objects("extra_mounts", |mount| ExtraMount {
        host_path: mount.required("host_path", path).to_owned(),
        container_path: mount.required("container_path", path).to_owned(),
        read_only: mount.optional("read_only", boolean),
    });
    let include_legacy_skills = fields.optional("include_legacy_skills", boolean);
    let skills_container_path = fields.optional("skills_container_path", |value| path(value).map(Some));
    let provision_lark_cli_runtime = fields.optional("provision_lark_cli_runtime", boolean);
    let provision_lark_cli_broker = fields.optional("provision_lark_cli_broker", boolean);
    let max_shell_sessions = fields.optional("max_shell_sessions", or_null(integer::shell_sessions));
    let profile = fields.optional("profile", or_null(profile));
    let cluster = fields.optional("cluster", or_null(cluster));
    let cluster_selector = fields.optional("cluster_selector", or_null(cluster_selector));
    let overrides = overrides::read(&mut fields);
    let workspace = fields.object("workspace", |workspace| {
        workspace.only(&["size", "when_deleted"]);
        Some(WorkspaceRequest {
            size: workspace.optional("size", or_null(overrides::amount)),
            when_deleted: workspace.optional("when_deleted", or_null(when_deleted)),
        })
    });
    let limits =
        Limits { ttl: fields.optional("ttl", limit), idle_timeout: fields.optional("idle_timeout", limit) };
    let request = sandbox_id.map(|sandbox_id| CreateRequest {
        sandbox_id,
        thread_id,
        user_id,
        extra_mounts,
        include_legacy_skills,
        skills_container_path: skills_container_path.map(str::to_owned),
        provision_lark_cli_runtime,
        provision_lark_cli_broker,
        max_shell_sessions,
        profile,
        overrides,
        workspace,
        limits,
        owner: None,
        cluster,
        cluster_selector,
        replaces: None,
        first_created: None,
    });
    Ok(fields.finish(request)?)
}

/// Parses the body of a change. An absent field changes nothing, and null resets a limit to the default in the settings.
///
/// ```
/// use std::time::Duration;
/// use lifecycle::lifetime::LimitsPatch;
/// use sandbox_provisioner::http::request;
/// let change = request::change(Some("application/json"), br#"{"ttl": "2h", "idle_timeout": null}"#);
/// let wanted = LimitsPatch { ttl: Some(Some(Duration::from_secs(7200))), idle_timeout: Some(None) };
/// assert_eq!(change, Ok(wanted.into()));
/// ```
///
/// # Errors
/// As from [`create`]. A body that changes nothing is an error.
pub fn change(content_type: Option<&str>, body: &[u8]) -> Result<Change, ApiError> {
    json::parse(content_type, body, read_change)
}

fn read_change(body: &Value) -> Result<Change, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let ttl = fields.optional("ttl", |value| limit(value).map(Some));
    let idle_timeout = fields.optional("idle_timeout", |value| limit(value).map(Some));
    let resources = overrides::resources(&mut fields);
    let change = fields.finish(Some(Change { limits: LimitsPatch { ttl, idle_timeout }, resources }))?;
    if change == Change::default() {
        let rule = Problem::value_error("at least one of ttl, idle_timeout and resources is needed");
        return Err(FieldError::new(rule, vec![Loc::Field("body")], body).into());
    }
    Ok(change)
}

/// Parses the body of a change of a cluster.
///
/// # Errors
/// As from [`create`]. A body that changes nothing is an error.
pub fn cluster_change(content_type: Option<&str>, body: &[u8]) -> Result<ClusterChange, ApiError> {
    json::parse(content_type, body, |body| {
        let mut fields = Fields::of_body(body)?;
        fields.only(&["weight", "drain"]);
        let weight = fields.optional("weight", |value| weight(value).map(Some));
        let drain = fields.optional("drain", |value| boolean(value).map(Some));
        let change = fields.finish(Some(ClusterChange { weight, drain }))?;
        if change == ClusterChange::default() {
            let rule = Problem::value_error("at least one of weight and drain is needed");
            return Err(FieldError::new(rule, vec![Loc::Field("body")], body).into());
        }
        Ok(change)
    })
}

/// Parses the body of a move: the cluster.
///
/// # Errors
/// As from [`create`].
pub fn move_to(content_type: Option<&str>, body: &[u8]) -> Result<ClusterName, ApiError> {
    json::parse(content_type, body, |body| {
        let mut fields = Fields::of_body(body)?;
        fields.only(&["cluster"]);
        let name = fields.required("cluster", |value| cluster(value).map(Some));
        Ok(fields.finish(name)?)
    })
}

/// Parses the body of a change of a workspace: its new size.
///
/// # Errors
/// As from [`create`].
pub fn workspace_size(content_type: Option<&str>, body: &[u8]) -> Result<String, ApiError> {
    json::parse(content_type, body, |body| {
        let mut fields = Fields::of_body(body)?;
        fields.only(&["size"]);
        let size = fields.required("size", |value| overrides::amount(value).map(Some));
        Ok(fields.finish(size)?)
    })
}

fn sandbox_id(value: &Value) -> Result<SandboxId, Problem> {
    let rule = |error: SandboxIdError| Problem::pattern(SANDBOX_ID_PATTERN, Some(&error.to_string()));
    SandboxId::parse(text(value)?).map_err(rule)
}

fn profile(value: &Value) -> Result<ProfileName, Problem> {
    ProfileName::parse(text(value)?).ok_or_else(|| Problem::pattern(PROFILE_NAME_PATTERN, None))
}

fn cluster(value: &Value) -> Result<ClusterName, Problem> {
    ClusterName::parse(text(value)?).ok_or_else(|| Problem::pattern(CLUSTER_NAME_PATTERN, None))
}

/// Parses a label selector. The empty one selects every cluster.
fn cluster_selector(value: &Value) -> Result<Selector, Problem> {
    let text = text(value)?;
    if text.len() > SELECTOR_MAX {
        return Err(Problem::too_long(SELECTOR_MAX));
    }
    let rule = |error| Problem::value_error(&format!("it is not a label selector: {error}"));
    Selector::parse(text).map_err(rule)
}

fn weight(value: &Value) -> Result<u16, Problem> {
    let weight = value.as_u64().and_then(|weight| u16::try_from(weight).ok());
    weight.filter(|weight| *weight <= Terms::WEIGHT_MAX).ok_or_else(|| {
        Problem::value_error(&format!("it is not a whole number from 0 to {}", Terms::WEIGHT_MAX))
    })
}

fn when_deleted(value: &Value) -> Result<WhenDeleted, Problem> {
    WhenDeleted::parse(text(value)?).ok_or_else(|| Problem::literal("keep' or 'delete"))
}

fn thread_id(value: &Value) -> Result<ThreadId, Problem> {
    ThreadId::parse(text(value)?).ok_or_else(|| Problem::pattern(THREAD_ID_PATTERN, None))
}

fn user_id(value: &Value) -> Result<UserId, Problem> {
    let text = text(value)?;
    if text.len() > PATH_SEGMENT_MAX {
        return Err(Problem::too_long(PATH_SEGMENT_MAX));
    }
    UserId::parse(text).ok_or_else(|| Problem::pattern(USER_ID_PATTERN, None))
}

/// Parses a path that can be mounted, as far as its length tells.
fn path(value: &Value) -> Result<&str, Problem> {
    let text = text(value)?;
    if text.len() > PATH_MAX {
        return Err(Problem::too_long(PATH_MAX));
    }
    if text.split('/').any(|segment| segment.len() > PATH_SEGMENT_MAX) {
        return Err(Problem::value_error("a segment of a path has at most 255 bytes"));
    }
    Ok(text)
}

/// Parses a limit such as `15m` or `2h 30m`, or null.
fn limit(value: &Value) -> Result<Option<Duration>, Problem> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => {
            let limit = humantime::parse_duration(text).ok();
            let limit = limit.filter(|limit| (LIMIT_MIN..=LIMIT_MAX).contains(limit));
            limit.map(Some).ok_or_else(|| Problem::time_delta_parsing(&limit_rule()))
        }
        // A number has no unit.
        _ => Err(Problem::time_delta_type(&limit_rule())),
    }
}

fn limit_rule() -> String {
    let (min, max) = (LIMIT_MIN.as_secs(), LIMIT_MAX.as_secs() / (24 * 60 * 60));
    format!(r#"a duration such as "90s", "15m" or "2h 30m", between {min}s and {max}d"#)
}
