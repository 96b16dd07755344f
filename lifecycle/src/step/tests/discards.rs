//! Deletions of one Pod only, and orphans that a create finds.

use super::fixture::*;

/// Guards that a deletion of one Pod deletes that one regardless of its owner, and leaves any other sandbox alone.
#[test]
fn a_deletion_of_another_pod_does_nothing() {
    let discard = |name: &str| Event::Delete { waiter: 1, owner: None, only: Some(uid(name)) };
    for seen in [
        Observed::default(),
        Observed { pod: None, service: Some(service("s")) },
        Observed { pod: Some(pod("other")), service: Some(service("s")) },
    ] {
        let mut fixture = Fixture::with(seen.pod.clone(), seen.service.clone());
        let before = fixture.sandbox.clone();
        assert_eq!(fixture.feed(discard("p")), [gone(1)], "{seen:?}");
        assert_eq!(fixture.sandbox.stage, before.stage, "{seen:?}");
    }
    let mut fixture = Fixture::with(Some(pod("p")), Some(service("s")));
    assert_eq!(fixture.feed(discard("p")), [remove(Some("p"), Some("s"))]);
}

/// Guards invariant 3: POSTs that fail do not extend the grace of an orphan, or a caller that asks again and again would
/// keep it.
#[test]
fn a_failed_post_does_not_extend_the_grace_of_an_orphan() {
    let mut fixture = Fixture::with(Some(pod("p")), None);
    let _ = fixture.feed(Event::Resync);
    for waiter in 1..=5 {
        let posted = fixture.after(ORPHAN_GRACE / 6).post(waiter);
        assert_eq!(posted, [fixture.create(Objects::SERVICE)]);
        let failed = fixture.created(None, refused(ClusterErrorKind::NodePortsExhausted));
        assert!(matches!(failure(&failed, waiter), SandboxError::Unavailable { .. }));
    }
    let actions = fixture.after(ORPHAN_GRACE / 6).feed(Event::Due);
    assert_eq!(actions, [Action::Read]);
    assert_eq!(fixture.feed(Event::Read(Ok(None))), [remove(Some("p"), None)]);
}
