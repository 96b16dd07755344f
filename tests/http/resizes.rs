//! `PATCH /api/sandboxes/{id}` with resources.

use lifecycle::{
    error::{ClusterError, ClusterErrorKind, SandboxError},
    lifetime::LimitsPatch,
    operation::Operation,
    request::Change,
    spec::Resources,
};
use sandbox_provisioner::http::{errors::ApiError, request};
use serde_json::json;

/// Guards that one PATCH changes the limits of the lifetime, the resources or both, and something.
#[test]
fn a_patch_changes_something() {
    let change = |body: serde_json::Value| {
        request::change(Some("application/json"), body.to_string().as_bytes()).map_err(|error| error.detail())
    };
    let cpu = |cpu: &str| Change::from(Resources { cpu: Some(cpu.to_owned()), ..Resources::NONE });
    let ttl = Some(Some(std::time::Duration::from_secs(3600)));
    let both = Change { limits: LimitsPatch { ttl, idle_timeout: Some(None) }, ..cpu("2") };
    let body = json!({"resources": {"cpu": "2"}, "ttl": "1h", "idle_timeout": null});
    assert_eq!(change(body), Ok(both));
    assert_eq!(change(json!({"resources": {"cpu": "2"}})), Ok(cpu("2")));
    assert_eq!(change(json!({"resources": {"cpu": 2, "memory": null}})), Ok(cpu("2")));
    for (body, message) in [
        (json!({}), "at least one of ttl, idle_timeout and resources is needed"),
        (json!({"resources": {}}), "at least one of"),
        (json!({"resources": null}), "at least one of"),
        (json!({"resources": {"cpu": null}}), "at least one of"),
        (json!({"resources": {"cpu": "2"}, "ttl": "soon"}), "a duration such as"),
        (json!({"resources": {"cpu": []}, "ttl": "1h"}), "valid string"),
        (json!({"resources": {"disk": "2"}}), "the fields are cpu, memory, ephemeral_storage"),
        (json!({"resources": "2"}), "valid dictionary"),
    ] {
        let detail = change(body.clone()).unwrap_err();
        assert!(detail[0]["msg"].as_str().unwrap().contains(message), "{body}: {detail}");
    }
}

/// Guards the status, the reason and the text of each error that only a resize has, and of a missing right.
#[test]
fn errors_of_resizes_say_what_to_do() {
    let forbidden = SandboxError::Refused {
        operation: Operation::Resize,
        fault: ClusterError::new(
            ClusterErrorKind::Forbidden,
            "User \"x\" cannot patch resource \"pods/resize\"",
        ),
    };
    for (error, status, reason, text) in [
        (
            SandboxError::ResizeNotSupported,
            501,
            "ResizeNotSupported",
            "this cluster cannot resize a sandbox in place",
        ),
        (
            SandboxError::ResizeRefused("why".to_owned()),
            400,
            "ResizeRefused",
            "the cluster refuses the resize: why",
        ),
        (
            SandboxError::AfterResize(Box::new(forbidden.clone())),
            500,
            "Forbidden",
            "the sandbox was resized, but its limits were not changed: Resize failed: Forbidden",
        ),
        (
            forbidden,
            500,
            "Forbidden",
            "Resize failed: Forbidden (User \"x\" cannot patch resource \"pods/resize\")",
        ),
    ] {
        let error = ApiError::from(error);
        assert_eq!(error.status(), status);
        assert!(error.to_string().starts_with(text), "{error}");
        assert!(format!("{error:?}").contains(reason), "{error:?}");
    }
}
