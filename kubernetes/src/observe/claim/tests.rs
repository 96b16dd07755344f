use serde_json::{Value, json};

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef";

fn object() -> Value {
    json!({
        "metadata": {
            "name": format!("workspace-{ID}"), "uid": "u", "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {
                "app.kubernetes.io/managed-by": "sandbox-provisioner", "sandbox-provisioner/workspace": ID,
                "sandbox-provisioner/workspace-scope": "thread", "sandbox-provisioner/profile": "p",
            },
            "annotations": {
                "sandbox-provisioner/thread-id": "t", "sandbox-provisioner/user-id": "u",
                "sandbox-provisioner/when-deleted": "delete", "sandbox-provisioner/keep-for": "7days",
                "sandbox-provisioner/last-used": "2026-01-01T00:00:01.5Z",
                "sandbox-provisioner/unused-since": "2026-01-01T00:00:02Z", "other": "dropped",
            },
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
            "resources": {"requests": {"storage": "10Gi"}},
        },
        "status": {"phase": "Bound", "capacity": {"storage": "12Gi"}},
    })
}

fn observed(object: &Value) -> Option<(WorkspaceId, ObservedClaim)> {
    claim(&serde_json::from_value::<Claim>(object.clone()).unwrap())
}

/// Guards that every field is read.
#[test]
fn every_field_of_a_claim_is_read() {
    let (id, claim) = observed(&object()).unwrap();
    assert_eq!(id.as_str(), ID);
    let ids = ScopeIds {
        scope: Scope::Thread,
        sandbox_id: None,
        thread_id: Some("t".into()),
        user_id: Some("u".into()),
    };
    assert_eq!(claim.ids, ids);
    assert_eq!(
        (claim.version, claim.phase, claim.terminating),
        (ResourceVersion(7), ClaimPhase::Bound, false)
    );
    assert_eq!((claim.size.bytes, claim.usable().bytes), (10 << 30, 12 << 30));
    assert_eq!(claim.when_deleted, WhenDeleted::Delete);
    assert_eq!(claim.keep_for, Some(Duration::from_secs(604_800)));
    assert_eq!(claim.last_used, Some("2026-01-01T00:00:01.5Z".parse().unwrap()));
    assert_eq!(claim.unused_since, Some("2026-01-01T00:00:02Z".parse().unwrap()));
    let mut terminating = object();
    terminating["metadata"]["deletionTimestamp"] = "soon".into();
    assert!(observed(&terminating).unwrap().1.terminating);
}

/// Guards that a claim is only taken for a workspace if its labels and its name agree.
#[test]
fn foreign_claims_are_not_taken_for_workspaces() {
    for (path, value) in [
        ("/metadata/name", json!("workspace-other")),
        ("/metadata/name", json!(format!("{ID}"))),
        ("/metadata/uid", json!("")),
        ("/metadata/labels/sandbox-provisioner~1workspace", json!("x")),
        ("/metadata/labels/sandbox-provisioner~1workspace-scope", json!("team")),
        ("/metadata/labels/app.kubernetes.io~1managed-by", json!("Helm")),
        ("/metadata/labels", json!(null)),
        ("/metadata", json!(3)),
    ] {
        let mut object = object();
        *object.pointer_mut(path).unwrap() = value;
        assert_eq!(observed(&object), None, "{path}");
    }
    for odd in [json!(null), json!([]), json!({"spec": 1, "status": "x"})] {
        assert_eq!(observed(&odd), None);
    }
}

/// Guards that a claim whose annotations cannot be read is kept for ever.
#[test]
fn unreadable_annotations_keep_a_claim() {
    for annotations in [
        json!(null),
        json!({"sandbox-provisioner/when-deleted": "Delete", "sandbox-provisioner/keep-for": "a week"}),
        json!({"sandbox-provisioner/when-deleted": 1, "sandbox-provisioner/unused-since": "yesterday"}),
    ] {
        let mut object = object();
        object["metadata"]["annotations"] = annotations;
        let (_, claim) = observed(&object).unwrap();
        assert_eq!((claim.when_deleted, claim.keep_for), (WhenDeleted::Keep, None));
        assert_eq!((claim.last_used, claim.unused_since), (None, None));
    }
}
