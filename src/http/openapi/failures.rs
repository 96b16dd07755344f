//! The errors that endpoints can answer with. Each is built as the program builds it, so that its status, its `reason`,
//! its headers and its text are the real ones.

use std::time::Duration;

use actors::sandboxes::Reaped;
use jiff::Timestamp;
use lifecycle::{
    error::{ClusterError, ClusterErrorKind, Refusal, SandboxError},
    ids::{ClusterName, SANDBOX_ID_PATTERN, SandboxId},
    lifetime::ReapReason,
    log,
    network::NetworkMode,
    operation::Operation,
    placement::{
        Terms,
        moving::{self, DataHome},
    },
    spec::Mismatch,
    workspace::WorkspaceId,
};
use serde_json::{Value, json};

use crate::http::{
    body,
    errors::ApiError,
    request::{FieldError, Loc, Problem},
};

/// An error, with a name for its example.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    name: &'static str,
    pub(super) error: ApiError,
}

/// The `Retry-After` of the examples.
const LATER: Duration = Duration::from_secs(2);

// === impl Failure ===

impl Failure {
    fn new(name: &'static str, error: ApiError) -> Self {
        Self { name, error }
    }

    /// The name of the example in an answer: the reason if there is one.
    pub(super) fn name(&self) -> &'static str {
        self.error.reason().unwrap_or(self.name)
    }

    /// The name of the example among those of all answers.
    pub(super) fn key(&self) -> String {
        format!("{}-{}", self.error.status().as_u16(), self.name())
    }

    /// Whether the body is not JSON.
    pub(super) fn is_text(&self) -> bool {
        self.error.status() == http::StatusCode::UNAUTHORIZED
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        Self::new("Refused", error.into())
    }
}

/// Returns the meaning of a status, for all endpoints.
pub(super) const fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request asks for something that the settings do not allow, or its body is incomplete.",
        401 => "The API key is missing or wrong.",
        404 => "It does not exist.",
        408 => "The body did not arrive in time.",
        409 => "The present state does not allow it, and a repetition does not help.",
        413 => "The body is too large.",
        422 => "Fields of the body, parameters or headers are invalid. `detail` names each of them.",
        500 => "Kubernetes refused it for good, or the program has a bug. The logs have more.",
        501 => "The cluster cannot do it.",
        503 => "It cannot be done now. Try again after `Retry-After`, if there is one.",
        504 => "It took too long. Ask again after `Retry-After`.",
        _ => "An error.",
    }
}

pub(super) fn of_every_request() -> Vec<Failure> {
    vec![
        Failure::new("Internal", ApiError::internal()),
        SandboxError::ShuttingDown { retry_after: LATER }.into(),
        SandboxError::TimedOut { operation: Operation::Read, after: Duration::from_secs(8) }.into(),
    ]
}

pub(super) fn without_key() -> Vec<Failure> {
    vec![Failure::new("Unauthorized", ApiError::unauthorized())]
}

/// The errors of a read of the observed state.
pub(in crate::http) fn reads() -> Vec<Failure> {
    let why = "the watch on Pods has been silent for 63 s".to_owned();
    vec![SandboxError::Stale { why, retry_after: LATER }.into()]
}

/// The errors of too many requests.
pub(in crate::http) fn limits() -> Vec<Failure> {
    vec![SandboxError::Busy { retry_after: LATER }.into()]
}

/// The errors of `wait` and `timeout`.
pub(in crate::http) fn waits() -> Vec<Failure> {
    [limits(), vec![invalid_parameter("wait", Problem::literal("ready"), "running")]].concat()
}

/// The error of a parameter in the query.
pub(in crate::http) fn invalid_parameter(name: &'static str, problem: Problem, input: &str) -> Failure {
    Failure::new(
        "InvalidParameter",
        invalid(problem, &[Loc::Field("query"), Loc::Field(name)], &json!(input)),
    )
}

/// The errors of `X-Owner`.
pub(in crate::http) fn owner() -> Vec<Failure> {
    let problem = Problem::pattern("^[!-~]{1,128}$", None);
    let invalid = invalid(problem, &[Loc::Field("header"), Loc::Field("x-owner")], &json!("a b"));
    vec![Failure::new("InvalidOwner", invalid)]
}

/// The errors of a JSON body.
pub(in crate::http) fn body() -> Vec<Failure> {
    let limits = body::Limits::default();
    let json = serde_json::from_str::<Value>("{\"sandbox_id\": abc}");
    let not_json = json.err().map(|error| {
        invalid(Problem::json_invalid(&error), &[Loc::Field("body"), Loc::Index(15)], &json!({}))
    });
    let not_json = not_json.map(|error| Failure::new("NotJson", error));
    [
        Failure::new("UnreadableBody", ApiError::unreadable_body()),
        Failure::new("BodyTooSlow", ApiError::body_too_slow(limits.time)),
        Failure::new("BodyTooLarge", ApiError::body_too_large(limits.bytes)),
    ]
    .into_iter()
    .chain(not_json)
    .chain(self::limits())
    .collect()
}

/// The error of a field of the body.
pub(in crate::http) fn field(name: &'static str) -> Vec<Failure> {
    let loc = [Loc::Field("body"), Loc::Field(name)];
    vec![Failure::new("MissingField", invalid(Problem::MISSING, &loc, &json!({})))]
}

/// The error of a field of the body that does not match its pattern.
pub(in crate::http) fn pattern() -> Vec<Failure> {
    let loc = [Loc::Field("body"), Loc::Field("sandbox_id")];
    let error = invalid(Problem::pattern(SANDBOX_ID_PATTERN, None), &loc, &json!("Upper"));
    vec![Failure::new("InvalidField", error)]
}

fn invalid(problem: Problem, loc: &[Loc], input: &Value) -> ApiError {
    FieldError::new(problem, loc.to_vec(), input).into()
}

/// The errors of a sandbox that does not exist.
pub(in crate::http) fn no_sandbox() -> Vec<Failure> {
    let missing = ApiError::no_sandbox("abc-123");
    let reaped = Reaped { reason: ReapReason::Idle, at: Timestamp::UNIX_EPOCH };
    vec![Failure::new("NotFound", missing.clone()), Failure::new("Reaped", missing.after_reap(Some(reaped)))]
}

/// The error of a path that these settings turn off.
pub(crate) fn not_found() -> Vec<Failure> {
    vec![Failure::new("Off", ApiError::not_found())]
}

/// The error of a workspace that does not exist.
pub(in crate::http) fn no_workspace() -> Vec<Failure> {
    vec![Failure::new("NoWorkspace", ApiError::no_workspace("0123456789abcdef0123456789abcdef"))]
}

/// The error of a cluster that does not exist.
pub(in crate::http) fn unknown_cluster() -> Vec<Failure> {
    vec![Failure::new("UnknownCluster", ApiError::unknown_cluster("west"))]
}

/// The error of a request that the settings do not allow.
pub(in crate::http) fn settings(text: &'static str) -> Vec<Failure> {
    vec![Failure::new("NotAllowed", SandboxError::BadRequest(text.to_owned()).into())]
}

/// The errors of a create, besides those of [`writes`].
pub(in crate::http) fn create() -> Vec<Failure> {
    use ClusterErrorKind::{
        AlreadyExists, Mutated, NodePortsExhausted, QuotaExceeded, Terminating, WorkspaceInUse,
        WorkspaceLost, WorkspaceMismatch, WorkspaceNotOurs, WorkspaceTerminating,
    };
    let mut failures: Vec<Failure> = [
        SandboxError::MountOutsideState {
            text: "Extra mount host path is outside DeerFlow state: /etc".to_owned(),
            root: "/srv/deer-flow".to_owned(),
        },
        SandboxError::LarkBrokerNotConfigured,
        SandboxError::LarkBrokerRequired,
        SandboxError::NetworkNotEnforced {
            mode: NetworkMode::Isolated,
            why: "the check has not ended yet".to_owned(),
            retry_after: Some(LATER),
        },
        Mismatch::FewerShellSessions.into(),
        Mismatch::UnknownShellSessions.into(),
        Mismatch::LarkBroker.into(),
        SandboxError::Unanswered { operation: Operation::CreatePod, after: Duration::from_secs(22) },
    ]
    .map(Failure::from)
    .into();
    if let Ok(id) = SandboxId::parse("abc-123") {
        let what = "Pod \"sandbox-abc-123\"".to_owned();
        failures.push(SandboxError::NotOurs { id: id.clone(), what }.into());
        failures.push(no_cluster(id).into());
    }
    let kinds = [
        AlreadyExists,
        Terminating,
        QuotaExceeded,
        NodePortsExhausted,
        Mutated,
        WorkspaceInUse,
        WorkspaceLost,
        WorkspaceMismatch,
        WorkspaceNotOurs,
        WorkspaceTerminating,
    ];
    failures.extend(kinds.map(|kind| refused(Operation::CreatePod, kind)));
    failures
}

/// The error of a create that no cluster takes.
fn no_cluster(id: SandboxId) -> SandboxError {
    let what = "has reached its max_sandboxes of 500".to_owned();
    let why = Box::new(SandboxError::Overloaded { what, retry_after: LATER });
    SandboxError::NoCluster { id, refusals: vec![Refusal { cluster: ClusterName::DEFAULT, why }] }
}

/// The error of a sandbox that cannot move.
pub(in crate::http) fn moves() -> Vec<Failure> {
    let workspace = WorkspaceId::parse("0c6b1f6c1d4e8a7b9d2f3e5a4b6c7d8e").map(DataHome::Workspace);
    let (Ok(id), Some(home), Some(west)) =
        (SandboxId::parse("abc-123"), workspace, ClusterName::parse("west"))
    else {
        return Vec::new();
    };
    let terms = Terms::default();
    let refusal = moving::check(&home, (&west, &terms), (&ClusterName::DEFAULT, &terms)).err();
    let refused = |why| SandboxError::MoveRefused { id, cluster: ClusterName::DEFAULT, why }.into();
    refusal.map(refused).into_iter().collect()
}

/// The errors of a write by the actor of a sandbox.
pub(in crate::http) fn writes(operation: Operation) -> Vec<Failure> {
    let mut failures = [reads(), limits()].concat();
    if let Ok(id) = SandboxId::parse("abc-123") {
        failures.push(SandboxError::Restarting { id: id.clone() }.into());
        failures.push(SandboxError::StillTerminating { id, retry_after: LATER }.into());
    }
    failures.extend(cluster(operation));
    failures
}

/// The errors of a call to Kubernetes that any write can have.
pub(in crate::http) fn cluster(operation: Operation) -> Vec<Failure> {
    use ClusterErrorKind::{
        Conflict, Denied, Forbidden, Invalid, NamespaceMissing, NamespaceTerminating, NotFound, NotSupported,
        Other, ServerError, TimedOut, TooManyRequests, Unauthorized, Unreachable,
    };
    [
        Conflict,
        NotFound,
        NamespaceMissing,
        NamespaceTerminating,
        Forbidden,
        Unauthorized,
        Invalid,
        NotSupported,
        Denied,
        TooManyRequests,
        Unreachable,
        ServerError,
        TimedOut,
        Other,
    ]
    .map(|kind| refused(operation, kind))
    .into()
}

/// The error for a caller of a call that failed in this way.
pub(in crate::http) fn refused(operation: Operation, kind: ClusterErrorKind) -> Failure {
    let fault = ClusterError::new(kind, "the message of Kubernetes");
    let error = if kind.is_passing() {
        SandboxError::Unavailable { operation, fault, retry_after: LATER }
    } else {
        SandboxError::Refused { operation, fault }
    };
    error.into()
}

/// The error of a sandbox that another owner uses.
pub(in crate::http) fn owned() -> Vec<Failure> {
    let owned = |id| SandboxError::Owned { id, owner: "gateway-2".to_owned(), retry_after: LATER };
    SandboxId::parse("abc-123").ok().map(|id| owned(id).into()).into_iter().collect()
}

/// The errors of a resize.
pub(in crate::http) fn resize() -> Vec<Failure> {
    let why = "Pod \"sandbox-abc-123\" is invalid: memory limits cannot be decreased".to_owned();
    vec![SandboxError::ResizeNotSupported.into(), SandboxError::ResizeRefused(why).into()]
}

/// The errors of a log.
pub(in crate::http) fn logs() -> Vec<Failure> {
    use ClusterErrorKind::{
        ContainerWaiting, Denied, NamespaceTerminating, NoPreviousContainer, Other, ServerError, TimedOut,
        TooManyRequests, Unauthorized, Unreachable,
    };
    let mut failures = [reads(), limits()].concat();
    let fault = |kind, message| ClusterError::new(kind, message);
    if let Ok(id) = SandboxId::parse("abc-123") {
        let waiting =
            "container \"sandbox\" in pod \"sandbox-abc-123\" is waiting to start: ContainerCreating";
        let refused = [
            fault(ContainerWaiting, waiting),
            fault(NoPreviousContainer, ""),
            fault(ClusterErrorKind::Forbidden, "pods \"sandbox-abc-123\" is forbidden"),
            fault(ClusterErrorKind::Invalid, "container x is not valid for pod sandbox-abc-123"),
        ];
        let others = [
            Denied,
            NamespaceTerminating,
            Unauthorized,
            TooManyRequests,
            Unreachable,
            ServerError,
            TimedOut,
            Other,
        ]
        .map(|kind| fault(kind, "the message of Kubernetes"));
        let errors = refused.into_iter().chain(others).filter_map(|fault| log::failure(&id, fault));
        failures.extend(errors.map(Failure::from));
    }
    failures
}
