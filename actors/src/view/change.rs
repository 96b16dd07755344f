//! Changes of a sandbox that callers can see.

use std::{sync::OnceLock, time::Duration};

use bytes::Bytes;
use lifecycle::{
    error::SandboxError,
    ids::SandboxId,
    observed::{Expiry, Status},
    traits::Kind,
};

use super::freshness::STALE_RETRY;
use crate::reap_log::Reaped;

/// The result of a GET of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "almost all are present")]
pub enum Visible {
    /// It exists.
    Present(Status),
    /// It exists, but its object of this kind is too large to be read.
    Unreadable(Kind),
    /// It does not exist, with the reap that ended it.
    Gone(Option<Reaped>),
}

lifecycle::named! {
    /// The kind of a change. If several things have changed at once, the first of these kinds.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ChangeKind {
        /// The sandbox was created, or was found when the daemon started.
        Added = "added",
        /// The sandbox does not exist any more.
        Deleted = "deleted",
        /// The sandbox was deleted because of a limit.
        Reaped = "reaped",
        /// The state of the sandbox is not known any more.
        Unreadable = "unreadable",
        /// The sandbox has another Pod.
        Replaced = "replaced",
        /// The sandbox became ready.
        Ready = "ready",
        /// The status is another.
        Status = "status",
        /// The sandbox is not ready any more.
        Unready = "unready",
        /// The URL is another.
        Url = "url",
        /// The reason why it does not run is another.
        Reason = "reason",
        /// The expiry is another.
        Limits = "limits",
        /// Anything else is another.
        Changed = "changed",
    }
}

/// A change of one sandbox.
#[derive(Debug)]
pub struct Change {
    /// Counts the changes of all sandboxes, from 1.
    pub(super) number: u64,
    /// The number of the last change of the same sandbox; 0 if it is not known.
    pub(super) previous: u64,
    /// The sandbox.
    pub id: SandboxId,
    /// The kind of the change.
    pub kind: ChangeKind,
    /// The result of a GET since then.
    pub visible: Visible,
    /// See [`Change::text`].
    text: OnceLock<Bytes>,
}

/// The difference of two expiries below which they count as equal. An expiry is computed from two clocks that are read
/// one after the other, so it is never exactly the same. Many touches in a second are one change at most.
const TOLERANCE: Duration = Duration::from_secs(1);

/// Returns the error for a read of a sandbox whose object of this kind is unreadable: an answer would be made of an old
/// state, or would deny that the sandbox exists.
#[must_use]
pub fn unreadable(id: &SandboxId, kind: Kind) -> SandboxError {
    let why = format!("the {kind:?} of sandbox '{id}' is too large to be read; an operator can delete it");
    SandboxError::Stale { why, retry_after: STALE_RETRY }
}

// === impl ChangeKind ===

impl ChangeKind {
    /// Returns what has changed; `None` if a caller sees no difference.
    pub(super) fn between(before: &Visible, now: &Visible) -> Option<Self> {
        use Visible::{Gone, Present, Unreadable};
        match (before, now) {
            (Gone(_), Present(_)) => Some(Self::Added),
            (Present(before), Present(now)) => Self::of_status(before, now),
            (Unreadable(_), Present(_)) => Some(Self::Changed),
            (Unreadable(before), Unreadable(now)) if before == now => None,
            (_, Unreadable(_)) => Some(Self::Unreadable),
            // The reap of a sandbox that is gone already has been confirmed.
            (Gone(None) | Present(_) | Unreadable(_), Gone(Some(_))) => Some(Self::Reaped),
            (Present(_) | Unreadable(_), Gone(None)) => Some(Self::Deleted),
            (Gone(_), Gone(_)) => None,
        }
    }

    fn of_status(before: &Status, now: &Status) -> Option<Self> {
        let is_new = |is: bool, kind| is.then_some(kind);
        is_new(before.pod != now.pod, Self::Replaced)
            .or(is_new(!before.ready && now.ready, Self::Ready))
            .or(is_new(before.phase != now.phase, Self::Status))
            .or(is_new(before.ready && !now.ready, Self::Unready))
            .or(is_new(before.url != now.url, Self::Url))
            .or(is_new(before.reason != now.reason, Self::Reason))
            .or(is_new(!is_same(before.expiry, now.expiry), Self::Limits))
            .or(is_new(before.created != now.created || before.spec != now.spec, Self::Changed))
    }
}

/// Returns whether two expiries are the same for a caller.
fn is_same(before: Option<Expiry>, now: Option<Expiry>) -> bool {
    let (Some(before), Some(now)) = (before, now) else { return before.is_none() && now.is_none() };
    let is_near = |a: jiff::Timestamp, b: jiff::Timestamp| a.duration_since(b).unsigned_abs() < TOLERANCE;
    let is_same_hold = match (before.held, now.held) {
        (Some(before), Some(now)) => before.reason == now.reason && is_near(before.until, now.until),
        (before, now) => before.is_none() && now.is_none(),
    };
    before.reason == now.reason
        && is_near(before.idle_since, now.idle_since)
        && is_near(before.expires_at, now.expires_at)
        && is_same_hold
}

// === impl Visible ===

impl Visible {
    /// Returns whether the sandbox does not exist.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone(_))
    }
}

// === impl Change ===

impl Change {
    pub(super) fn new(number: u64, previous: u64, id: SandboxId, kind: ChangeKind, visible: Visible) -> Self {
        Self { number, previous, id, kind, visible, text: OnceLock::new() }
    }

    /// Returns the number of the change in the log of its cluster.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the same state as a change of the kind [`ChangeKind::Replaced`], for a reader that has read the state of
    /// another Pod with this id.
    #[must_use]
    pub fn as_replaced(&self) -> Self {
        let (id, visible) = (self.id.clone(), self.visible.clone());
        Self::new(self.number, self.previous, id, ChangeKind::Replaced, visible)
    }

    /// Returns the change as all readers send it. Only the first of them writes it.
    pub fn text(&self, write: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.text.get_or_init(|| write(self)).clone()
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use lifecycle::{
        hold::{Held, HoldReason},
        ids::ClusterName,
        lifetime::ReapReason,
        observed::Uid,
        phase::{Phase, Reason},
        spec::ObservedSpec,
    };

    use super::*;

    fn status() -> Status {
        Status {
            cluster: ClusterName::DEFAULT,
            url: "http://h:1".into(),
            phase: Phase::Pending,
            ready: false,
            reason: Some(Reason::new("ContainerCreating", None).into()),
            pod: Uid("p".into()),
            created: None,
            spec: ObservedSpec::default(),
            expiry: None,
        }
    }

    fn expiry(idle_since: i64, expires_at: SignedDuration) -> Expiry {
        Expiry {
            idle_since: Timestamp::from_second(idle_since).unwrap(),
            expires_at: Timestamp::UNIX_EPOCH + expires_at,
            reason: ReapReason::Idle,
            held: None,
        }
    }

    fn between(before: Status, now: Status) -> Option<ChangeKind> {
        ChangeKind::between(&Visible::Present(before), &Visible::Present(now))
    }

    /// Guards that each difference of two statuses has its name, that the first of several counts, and that an expiry
    /// that differs only because two clocks were read is the same.
    #[test]
    fn each_difference_has_a_name() {
        let running = Status { phase: Phase::Running, reason: None, ..status() };
        let ready = Status { ready: true, ..running.clone() };
        let at = SignedDuration::from_secs;
        let limited = |expiry| Status { expiry: Some(expiry), ..ready.clone() };
        let held = |until| Expiry {
            held: Some(Held {
                reason: HoldReason::DryRun,
                until: Timestamp::UNIX_EPOCH + SignedDuration::from_millis(until),
            }),
            ..expiry(5, at(20))
        };
        // A touch moves both times.
        let used_after = |milliseconds| {
            let later = SignedDuration::from_millis(milliseconds);
            let Expiry { idle_since, .. } = expiry(5, at(20));
            Expiry { idle_since: idle_since + later, ..expiry(5, at(20) + later) }
        };
        let gone = ObservedSpec { max_shell_sessions: None, ..ready.spec.clone() };
        let cases = [
            (status(), status(), None),
            (status(), running.clone(), Some("status")),
            (status(), ready.clone(), Some("ready")),
            (running.clone(), ready.clone(), Some("ready")),
            (ready.clone(), running.clone(), Some("unready")),
            (ready.clone(), Status { phase: Phase::Failed, ..running.clone() }, Some("status")),
            (status(), Status { reason: None, ..status() }, Some("reason")),
            (
                ready.clone(),
                Status { cluster: ClusterName::DEFAULT, url: "http://h:2".into(), ..ready.clone() },
                Some("url"),
            ),
            (ready.clone(), Status { pod: Uid("q".into()), ..status() }, Some("replaced")),
            (ready.clone(), Status { spec: gone, ..ready.clone() }, Some("changed")),
            (ready.clone(), limited(expiry(5, at(20))), Some("limits")),
            (limited(expiry(5, at(20))), ready.clone(), Some("limits")),
            (limited(expiry(5, at(20))), limited(expiry(6, at(20))), Some("limits")),
            (limited(expiry(5, at(20))), limited(expiry(5, at(21))), Some("limits")),
            (limited(expiry(5, at(20))), limited(expiry(5, SignedDuration::from_millis(20_900))), None),
            (limited(expiry(5, at(20))), limited(used_after(900)), None),
            (limited(expiry(5, at(20))), limited(used_after(1_000)), Some("limits")),
            (limited(expiry(5, at(20))), limited(held(30_000)), Some("limits")),
            (limited(held(30_000)), limited(held(30_400)), None),
        ];
        for (before, now, wanted) in cases {
            let what = format!("{before:?} {now:?}");
            assert_eq!(between(before, now).map(ChangeKind::name), wanted, "{what}");
        }
    }

    /// Guards which changes of existence there are, and that a sandbox that is unreadable is not taken for gone.
    #[test]
    fn existence_and_its_end() {
        use Visible::{Gone, Present, Unreadable};
        let reap = || Gone(Some(Reaped { reason: ReapReason::Idle, at: Timestamp::UNIX_EPOCH }));
        let present = || Present(status());
        for (before, now, wanted) in [
            (Gone(None), present(), Some("added")),
            (reap(), present(), Some("added")),
            (present(), Gone(None), Some("deleted")),
            (present(), reap(), Some("reaped")),
            (Gone(None), reap(), Some("reaped")),
            (Gone(None), Gone(None), None),
            (reap(), Gone(None), None),
            (reap(), reap(), None),
            (present(), Unreadable(Kind::Pod), Some("unreadable")),
            (Gone(None), Unreadable(Kind::Pod), Some("unreadable")),
            (Unreadable(Kind::Pod), Unreadable(Kind::Pod), None),
            (Unreadable(Kind::Pod), Unreadable(Kind::Service), Some("unreadable")),
            (Unreadable(Kind::Pod), present(), Some("changed")),
            (Unreadable(Kind::Pod), Gone(None), Some("deleted")),
            (Unreadable(Kind::Pod), reap(), Some("reaped")),
        ] {
            assert_eq!(
                ChangeKind::between(&before, &now).map(ChangeKind::name),
                wanted,
                "{before:?} {now:?}"
            );
        }
    }

    /// Guards that a change is written once, however many readers send it.
    #[test]
    fn a_change_is_written_once() {
        let id = SandboxId::parse("a").unwrap();
        let change = Change::new(1, 0, id, ChangeKind::Deleted, Visible::Gone(None));
        assert_eq!(change.text(|_| "one".into()), "one");
        assert_eq!(change.text(|_| "two".into()), "one");
    }
}
