//! Parsing of request bodies: of `POST /api/sandboxes`, and of a PATCH of a sandbox's limits.

mod body;
mod field_error;
mod integer;
mod json_fault;
mod limits;
mod object;

use serde_json::Value;

pub use self::field_error::{ECHO_MAX, FieldError, Loc, Problem, echo};
use self::object::{Object, Report};
use crate::ids::{
    InvalidSandboxId, SANDBOX_ID_PATTERN, SandboxId, THREAD_ID_PATTERN, ThreadId, USER_ID_PATTERN, UserId,
};
use crate::{
    lifetime::{Limits, Owner},
    spec::ShellSessions,
};

/// A create request whose fields are all well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateRequest {
    /// The id of the requested sandbox.
    pub sandbox_id: SandboxId,
    /// The conversation that the sandbox serves; without one, the sandbox's own id is used.
    pub thread_id: Option<ThreadId>,
    /// The user whose data is mounted.
    pub user_id: UserId,
    /// Additional mounts, in the caller's order. They are checked against the settings when the Pod is built.
    pub extra_mounts: Vec<ExtraMount>,
    /// Whether skills of the old layout are mounted too. Accepted for older clients; they are always mounted.
    pub include_legacy_skills: bool,
    /// The skills root, as the caller wrote it. It is checked when the Pod is built. `None` is the default path.
    pub skills_container_path: Option<String>,
    /// Whether an init container installs the Lark command line in the Pod.
    pub provision_lark_cli_runtime: bool,
    /// Whether the Lark broker runs beside the sandbox.
    pub provision_lark_cli_broker: bool,
    /// The number of concurrent shell sessions; `None` leaves it to the image.
    pub max_shell_sessions: Option<ShellSessions>,
    /// The requested limits. The defaults of the settings apply to absent ones.
    pub limits: Limits,
    /// The owner. It comes from a header, not from the body.
    pub owner: Option<Owner>,
}

/// A host directory to mount in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraMount {
    /// The path on the host, as the caller wrote it.
    pub host_path: String,
    /// The path in the sandbox, as the caller wrote it.
    pub container_path: String,
    /// Whether the mount is read-only.
    pub read_only: bool,
}

/// The maximum number of entries of one 422. It bounds the response to a body with many invalid mounts.
pub const ERRORS_MAX: usize = 64;

// === impl CreateRequest ===

impl CreateRequest {
    /// Creates a request with the default of every field except the id.
    #[must_use]
    pub fn new(sandbox_id: SandboxId) -> Self {
        Self {
            sandbox_id,
            thread_id: None,
            user_id: UserId::default(),
            extra_mounts: Vec::new(),
            include_legacy_skills: false,
            skills_container_path: None,
            provision_lark_cli_runtime: false,
            provision_lark_cli_broker: false,
            max_shell_sessions: None,
            limits: Limits::default(),
            owner: None,
        }
    }

    /// Parses a JSON body as FastAPI does: unknown fields are ignored, absent fields have their defaults, and
    /// booleans may be written as words or numbers.
    ///
    /// ```
    /// use lifecycle::request::CreateRequest;
    /// let request = CreateRequest::parse(&serde_json::json!({"sandbox_id": "abc-123"})).unwrap();
    /// assert_eq!(request.thread(), "abc-123");
    /// assert_eq!(request.user_id.as_str(), "default");
    /// ```
    ///
    /// # Errors
    /// All errors, in the order of the fields, at most [`ERRORS_MAX`]. They are the entries of a 422.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut report = Report::new(ERRORS_MAX);
        let request = report.object(body, vec![Loc::Field("body")]).and_then(|body| {
            let sandbox_id = body.required("sandbox_id", sandbox_id, &mut report);
            let thread_id = body.optional("thread_id", None, thread_id, &mut report);
            let user_id = body.optional("user_id", UserId::default(), user_id, &mut report);
            let extra_mounts = extra_mounts(&body, &mut report);
            let include_legacy_skills =
                body.optional("include_legacy_skills", false, object::boolean, &mut report);
            let skills_container_path = body.optional("skills_container_path", None, path, &mut report);
            let mut flag = |name| body.optional(name, false, object::boolean, &mut report);
            let provision_lark_cli_runtime = flag("provision_lark_cli_runtime");
            let provision_lark_cli_broker = flag("provision_lark_cli_broker");
            let max_shell_sessions = body.optional("max_shell_sessions", None, shell_sessions, &mut report);
            let limits = limits::limits(&body, &mut report);
            Some(Self {
                sandbox_id: sandbox_id?,
                thread_id: thread_id?,
                user_id: user_id?,
                extra_mounts: extra_mounts?,
                include_legacy_skills: include_legacy_skills?,
                skills_container_path: skills_container_path?,
                provision_lark_cli_runtime: provision_lark_cli_runtime?,
                provision_lark_cli_broker: provision_lark_cli_broker?,
                max_shell_sessions: max_shell_sessions?,
                limits: limits?,
                owner: None,
            })
        });
        request.ok_or_else(|| report.into_errors())
    }

    /// Returns the thread whose data is mounted: the sandbox's own id if the request contains no thread.
    #[must_use]
    pub fn thread(&self) -> &str {
        self.thread_id.as_ref().map_or(self.sandbox_id.as_str(), ThreadId::as_str)
    }
}

fn extra_mounts(body: &Object<'_>, report: &mut Report) -> Option<Vec<ExtraMount>> {
    let list = body.optional("extra_mounts", &[][..], object::list, report)?;
    // Parse all mounts first, so that an error in one does not hide an error in the next.
    let mounts = list.iter().enumerate().map(|(index, mount)| {
        let mount = report.object(mount, body.at("extra_mounts", index))?;
        let host_path = mount.required("host_path", object::text, report);
        let container_path = mount.required("container_path", object::text, report);
        let read_only = mount.optional("read_only", false, object::boolean, report);
        Some(ExtraMount {
            host_path: host_path?.to_owned(),
            container_path: container_path?.to_owned(),
            read_only: read_only?,
        })
    });
    let mounts: Vec<Option<ExtraMount>> = mounts.collect();
    mounts.into_iter().collect()
}

fn sandbox_id(value: &Value) -> Result<SandboxId, Problem> {
    SandboxId::parse(object::text(value)?).map_err(|error: InvalidSandboxId| Problem::StringPatternMismatch {
        pattern: SANDBOX_ID_PATTERN,
        rule: Some(error.to_string()),
    })
}

fn thread_id(value: &Value) -> Result<Option<ThreadId>, Problem> {
    if value.is_null() {
        return Ok(None);
    }
    ThreadId::parse(object::text(value)?).map(Some).ok_or(mismatch(THREAD_ID_PATTERN))
}

fn user_id(value: &Value) -> Result<UserId, Problem> {
    UserId::parse(object::text(value)?).ok_or(mismatch(USER_ID_PATTERN))
}

fn path(value: &Value) -> Result<Option<String>, Problem> {
    object::text(value).map(|text| Some(text.to_owned()))
}

fn shell_sessions(value: &Value) -> Result<Option<ShellSessions>, Problem> {
    if value.is_null() { Ok(None) } else { integer::shell_sessions(value).map(Some) }
}

const fn mismatch(pattern: &'static str) -> Problem {
    Problem::StringPatternMismatch { pattern, rule: None }
}
