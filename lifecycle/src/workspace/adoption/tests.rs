use std::time::Duration;

use super::*;
use crate::{
    observed::{ResourceVersion, Uid},
    workspace::{ScopeIds, Size, WorkspaceId},
};

fn size(gib: u64) -> Size {
    Size { text: format!("{gib}Gi").into(), bytes: gib << 30 }
}

fn ids(scope: Scope, id: &str) -> ScopeIds {
    let id = Some(id.into());
    let none = ScopeIds { scope, sandbox_id: None, thread_id: None, user_id: None };
    match scope {
        Scope::Sandbox => ScopeIds { sandbox_id: id, ..none },
        Scope::Thread => ScopeIds { thread_id: id.clone(), user_id: id, ..none },
        Scope::User => ScopeIds { user_id: id, ..none },
    }
}

fn wanted(scope: Scope) -> Workspace {
    Workspace {
        id: WorkspaceId::parse(&"a".repeat(32)).unwrap(),
        ids: ids(scope, "a"),
        size: size(10),
        storage_class: Some("fast".into()),
        access_mode: "ReadWriteOnce".into(),
        when_deleted: WhenDeleted::Keep,
        keep_for: Duration::from_secs(3600),
        manifest: [].into(),
    }
}

fn found(scope: Scope) -> ObservedClaim {
    ObservedClaim {
        uid: Uid("u".into()),
        version: ResourceVersion(1),
        ids: ids(scope, "a"),
        phase: ClaimPhase::Bound,
        terminating: false,
        size: size(10),
        capacity: None,
        storage_class: Some("fast".into()),
        access_modes: vec!["ReadWriteOnce".into()],
        when_deleted: WhenDeleted::Keep,
        keep_for: Some(Duration::from_secs(3600)),
        profile: None,
        created: None,
        last_used: None,
        unused_since: None,
    }
}

fn reason(adoption: Adoption) -> Option<ClusterErrorKind> {
    match adoption {
        Adoption::Refuse(fault) => Some(fault.kind),
        _ => None,
    }
}

/// Guards which existing claims a create uses, waits for, replaces and refuses, in every scope.
#[test]
fn each_existing_claim_has_its_decision() {
    for scope in Scope::ALL {
        let (wanted, good) = (wanted(scope), found(scope));
        let decide = |claim: ObservedClaim| adopt(&wanted, Some(&claim));
        assert_eq!(decide(good.clone()), Adoption::Use);
        assert_eq!(decide(ObservedClaim { phase: ClaimPhase::Pending, ..good.clone() }), Adoption::Use);
        assert_eq!(decide(ObservedClaim { size: size(11), ..good.clone() }), Adoption::Use);
        let larger = ObservedClaim { size: size(5), capacity: Some(size(10)), ..good.clone() };
        assert_eq!(decide(larger), Adoption::Use, "its volume is as large as needed");
        assert_eq!(decide(ObservedClaim { terminating: true, ..good.clone() }), Adoption::Wait);
        for (claim, kind) in [
            (ObservedClaim { size: size(9), ..good.clone() }, ClusterErrorKind::WorkspaceMismatch),
            (
                ObservedClaim { storage_class: Some("slow".into()), ..good.clone() },
                ClusterErrorKind::WorkspaceMismatch,
            ),
            (ObservedClaim { storage_class: None, ..good.clone() }, ClusterErrorKind::WorkspaceMismatch),
            (
                ObservedClaim { access_modes: vec!["ReadWriteMany".into()], ..good.clone() },
                ClusterErrorKind::WorkspaceMismatch,
            ),
            (ObservedClaim { phase: ClaimPhase::Lost, ..good.clone() }, ClusterErrorKind::WorkspaceLost),
            (ObservedClaim { ids: ids(scope, "b"), ..good.clone() }, ClusterErrorKind::WorkspaceNotOurs),
            (
                ObservedClaim { ids: ids(scope, "b"), terminating: true, ..good.clone() },
                ClusterErrorKind::WorkspaceNotOurs,
            ),
        ] {
            assert_eq!(reason(decide(claim.clone())), Some(kind), "{claim:?}");
        }
        assert_eq!(reason(adopt(&wanted, None)), Some(ClusterErrorKind::WorkspaceNotOurs));
        let any_class = Workspace { storage_class: None, ..wanted.clone() };
        let other = ObservedClaim { storage_class: Some("slow".into()), ..good.clone() };
        assert_eq!(adopt(&any_class, Some(&other)), Adoption::Use);
    }
}

/// Guards that a new sandbox never gets the data of an earlier one that was to go with it, whatever the new one asks
/// for, and that kept data is never replaced.
#[test]
fn only_a_leftover_of_a_sandbox_is_replaced() {
    for scope in Scope::ALL {
        for asked in [WhenDeleted::Keep, WhenDeleted::Delete] {
            for had in [WhenDeleted::Keep, WhenDeleted::Delete] {
                let wanted = Workspace { when_deleted: asked, ..wanted(scope) };
                let adoption = adopt(&wanted, Some(&ObservedClaim { when_deleted: had, ..found(scope) }));
                let replaced = scope == Scope::Sandbox && had == WhenDeleted::Delete;
                let expected = if replaced { Adoption::Replace } else { Adoption::Use };
                assert_eq!(adoption, expected, "{scope:?} {asked:?} {had:?}");
            }
        }
    }
    let lost =
        ObservedClaim { when_deleted: WhenDeleted::Delete, phase: ClaimPhase::Lost, ..found(Scope::Sandbox) };
    assert_eq!(adopt(&wanted(Scope::Sandbox), Some(&lost)), Adoption::Replace);
}

/// Guards that a refusal names the claim, both values and a next step.
#[test]
fn refusals_name_both_values() {
    let small = ObservedClaim { size: size(9), ..found(Scope::User) };
    let Adoption::Refuse(fault) = adopt(&wanted(Scope::User), Some(&small)) else { panic!("it is used") };
    let name = format!("workspace-{}", "a".repeat(32));
    assert_eq!(
        fault.message,
        format!("PersistentVolumeClaim \"{name}\" has 9Gi, and 10Gi is asked for; enlarge the workspace")
    );
}
