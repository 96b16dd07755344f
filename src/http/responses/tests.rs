//! Tests of the bodies.

use lifecycle::{
    hold::HoldReason,
    ids::ClusterName,
    lifetime::ReapReason,
    phase::{Phase, Reason},
    spec::ObservedSpec,
};
use serde_json::{Value, json};

use super::*;

fn written(status: &Status) -> Value {
    serde_json::to_value(Sandbox::new(&SandboxId::parse("abc").unwrap(), status)).unwrap()
}

/// Guards that a sandbox without a reason has exactly the fields of the contract and `ready`, and that an unknown value is null
/// and not absent.
#[test]
fn a_sandbox_has_the_fields_of_the_contract() {
    let status = Status {
        cluster: ClusterName::DEFAULT,
        url: "http://n:31234".into(),
        phase: Phase::Running,
        ready: true,
        reason: None,
        pod: Uid("u-1".into()),
        created: None,
        spec: ObservedSpec::default(),
        expiry: None,
    };
    let mut wanted = json!({
        "sandbox_id": "abc", "sandbox_url": "http://n:31234", "status": "Running",
        "max_shell_sessions": 10, "container_id": "u-1", "lark_cli_broker": false, "ready": true,
    });
    assert_eq!(written(&status), wanted);
    let spec = ObservedSpec { max_shell_sessions: None, lark_cli_broker: None, ..ObservedSpec::default() };
    wanted["max_shell_sessions"] = Value::Null;
    wanted["lark_cli_broker"] = Value::Null;
    assert_eq!(written(&Status { spec, ..status }), wanted);
}

/// Guards that a number of sessions is written exactly, however large it is.
#[test]
fn session_counts_are_exact() {
    let huge = ShellSessions::new(u128::MAX).unwrap();
    assert_eq!(serde_json::to_string(&huge).unwrap(), u128::MAX.to_string());
}

/// Guards that a reason comes with the cluster's message and a hint, and that the creation time is RFC 3339.
#[test]
fn a_reason_has_a_message_and_a_hint() {
    let status = Status {
        cluster: ClusterName::DEFAULT,
        url: "http://n:1".into(),
        phase: Phase::Pending,
        ready: false,
        reason: Some(Reason::new("OOMKilled", Some("killed")).into()),
        pod: Uid("u-1".into()),
        created: Some("2026-01-02T03:04:05Z".parse().unwrap()),
        spec: ObservedSpec::default(),
        expiry: None,
    };
    let wanted = json!({
        "sandbox_id": "abc", "sandbox_url": "http://n:1", "status": "Pending",
        "max_shell_sessions": 10, "container_id": "u-1", "lark_cli_broker": false, "ready": false,
        "reason": "OOMKilled", "message": "killed",
        "hint": "the sandbox needed more memory than its limit", "created_at": "2026-01-02T03:04:05Z",
    });
    assert_eq!(written(&status), wanted);
}

/// Guards that a sandbox with limits has its expiry, the start of its idle time and the reason, in milliseconds.
#[test]
fn limits_have_an_expiry() {
    let at = |text: &str| text.parse().unwrap();
    let expiry = Expiry {
        idle_since: at("2026-01-02T03:04:05Z"),
        expires_at: at("2026-01-02T03:19:05.123456789Z"),
        reason: ReapReason::Idle,
        held: None,
    };
    let status = Status {
        cluster: ClusterName::DEFAULT,
        url: "http://n:1".into(),
        phase: Phase::Running,
        ready: true,
        reason: None,
        pod: Uid("u-1".into()),
        created: None,
        spec: ObservedSpec::default(),
        expiry: Some(expiry),
    };
    let wanted = json!({
        "sandbox_id": "abc", "sandbox_url": "http://n:1", "status": "Running",
        "max_shell_sessions": 10, "container_id": "u-1", "lark_cli_broker": false, "ready": true,
        "expires_at": "2026-01-02T03:19:05.123Z", "idle_since": "2026-01-02T03:04:05Z",
        "reap_reason": "IdleTimeout",
    });
    assert_eq!(written(&status), wanted);

    let held = Held { reason: HoldReason::ProbeUnanswered, until: at("2026-01-02T03:29:05.5Z") };
    let status = Status { expiry: Some(Expiry { held: Some(held), ..expiry }), ..status };
    assert_eq!(
        written(&status)["reap_held"],
        json!({
            "reason": "ProbeUnanswered", "until": "2026-01-02T03:29:05.5Z",
            "message": "the sandbox did not answer its activity probe and may be busy",
        })
    );
}
