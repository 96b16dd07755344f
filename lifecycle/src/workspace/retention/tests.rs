use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::{
    observed::{ResourceVersion, Uid},
    workspace::{Scope, ScopeIds, Size, claim::ClaimPhase},
};

const KEEP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

fn clocks(start: Instant, seconds: u64) -> Clocks {
    let wall = wall(seconds);
    Clocks { monotonic: start + Duration::from_secs(seconds), wall }
}

fn wall(seconds: u64) -> Timestamp {
    // Far from the epoch, so that earlier times exist.
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_secs(seconds.try_into().unwrap())
}

fn claim(when_deleted: WhenDeleted) -> ObservedClaim {
    ObservedClaim {
        uid: Uid("u".into()),
        version: ResourceVersion(1),
        ids: ScopeIds { scope: Scope::User, sandbox_id: None, thread_id: None, user_id: Some("u".into()) },
        phase: ClaimPhase::Bound,
        terminating: false,
        size: Size { text: "1Gi".into(), bytes: 1 << 30 },
        capacity: None,
        storage_class: None,
        access_modes: vec![],
        when_deleted,
        keep_for: Some(KEEP),
        profile: None,
        created: None,
        last_used: None,
        unused_since: None,
    }
}

/// Runs observations of one claim. Returns each decision.
fn run(start: Instant, steps: &[(u64, ObservedClaim, bool)]) -> Vec<Decision> {
    let mut usage = None;
    let step = |(second, claim, in_use): &(u64, ObservedClaim, bool)| {
        let clocks = clocks(start, *second);
        let now = Usage::observe(usage, claim, *in_use, clocks);
        usage = Some(now);
        now.decide(claim, clocks.monotonic)
    };
    steps.iter().map(step).collect()
}

/// Guards that a claim that goes with its sandbox is deleted at once if its last Pod was seen to end, and after the
/// grace otherwise.
#[test]
fn a_claim_goes_with_its_last_pod() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let claim = claim(WhenDeleted::Delete);
    let step = |second, in_use| (second, claim.clone(), in_use);
    let gone = Decision::Delete(DeleteReason::SandboxGone);
    assert_eq!(run(start, &[step(0, true), step(9, false)]), [Decision::Keep(None), gone]);
    assert_eq!(
        run(start, &[step(0, false), step(59, false), step(60, false)]),
        [Decision::Keep(Some(at(60))), Decision::Keep(Some(at(60))), Decision::Delete(DeleteReason::Unused)],
        "a restart, or a create that did not make its Pod"
    );
    let held = run(start, &[step(0, true), step(9, false), step(10, false), step(11, true), step(12, false)]);
    assert_eq!(held[2], gone, "a delete that was held is decided again");
    assert_eq!(held[3], Decision::Keep(None), "a Pod uses it again");
    assert_eq!(held[4], gone);
}

/// Guards that a create that takes a claim again starts the grace again, although its last Pod was seen to end.
#[test]
fn a_claim_that_is_taken_again_is_left_alone() {
    let start = Instant::now();
    let before = claim(WhenDeleted::Delete);
    let taken = ObservedClaim { last_used: Some(wall(9)), ..before.clone() };
    let steps = [
        (0, before.clone(), true),
        (10, taken.clone(), false),
        (69, taken.clone(), false),
        (70, taken, false),
    ];
    let until = Decision::Keep(Some(start + Duration::from_secs(70)));
    assert_eq!(
        run(start, &steps),
        [Decision::Keep(None), until, until, Decision::Delete(DeleteReason::Unused)]
    );
}

/// Guards that a kept claim is marked when it becomes unused, that the time for which it is kept starts then, and that
/// a process that does not know when its last Pod ended counts from now.
#[test]
fn a_kept_claim_is_deleted_after_its_time() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let kept = claim(WhenDeleted::Keep);
    let marked = ObservedClaim { unused_since: Some(wall(9)), ..kept.clone() };
    let end = 9 + KEEP.as_secs();
    let seen = run(
        start,
        &[
            (0, kept.clone(), true),
            (9, kept.clone(), false),
            (9, marked.clone(), false),
            (end, marked.clone(), false),
        ],
    );
    assert_eq!(
        seen,
        [
            Decision::Keep(None),
            Decision::MarkUnused,
            Decision::Keep(Some(at(end))),
            Decision::Delete(DeleteReason::Expired)
        ]
    );
    let restarted = run(start, &[(0, kept.clone(), false), (60, kept.clone(), false)]);
    assert_eq!(restarted, [Decision::Keep(Some(at(60))), Decision::MarkUnused]);
    let ended =
        ObservedClaim { unused_since: Some(wall(0) - SignedDuration::from_hours(24 * 8)), ..kept.clone() };
    let overdue = run(start, &[(0, ended.clone(), false), (60, ended, false)]);
    assert_eq!(overdue, [Decision::Keep(Some(at(60))), Decision::Delete(DeleteReason::Expired)]);
    let for_ever = ObservedClaim { keep_for: None, ..marked };
    assert_eq!(
        run(start, &[(0, for_ever.clone(), false), (end, for_ever, false)]),
        [Decision::Keep(None); 2]
    );
}

/// Guards that a claim in use or terminating is left alone, whatever its annotations say.
#[test]
fn claims_in_use_and_terminating_ones_are_left_alone() {
    let start = Instant::now();
    for when_deleted in [WhenDeleted::Keep, WhenDeleted::Delete] {
        for unused_since in [None, Some(wall(0) - SignedDuration::from_hours(9999))] {
            let claim = ObservedClaim { unused_since, ..claim(when_deleted) };
            let terminating = ObservedClaim { terminating: true, ..claim.clone() };
            let steps = [(0, claim.clone(), true), (99_999, claim, true)];
            assert_eq!(run(start, &steps), [Decision::Keep(None); 2]);
            assert_eq!(
                run(start, &[(0, terminating.clone(), false), (99_999, terminating, false)]),
                [Decision::Keep(None); 2]
            );
        }
    }
}

/// Guards that a Pod that uses a claim in spite of its mark starts the time again when it ends.
#[test]
fn an_outdated_mark_does_not_count() {
    let start = Instant::now();
    let marked = ObservedClaim {
        unused_since: Some(wall(0) - SignedDuration::from_hours(9999)),
        ..claim(WhenDeleted::Keep)
    };
    let again = ObservedClaim { unused_since: Some(wall(9)), ..marked.clone() };
    let steps = [(0, marked.clone(), true), (9, marked, false), (10, again, false)];
    let kept = Decision::Keep(Some(start + Duration::from_secs(9) + KEEP));
    assert_eq!(run(start, &steps), [Decision::Keep(None), Decision::MarkUnused, kept]);
}

/// Guards that a step of the wall clock deletes nothing early.
#[test]
fn a_stepped_clock_deletes_nothing_early() {
    let start = Instant::now();
    let marked = ObservedClaim { unused_since: Some(wall(0)), ..claim(WhenDeleted::Keep) };
    let usage = Usage::observe(None, &marked, false, clocks(start, 0));
    let mut stepped = clocks(start, 100);
    stepped.wall += SignedDuration::from_hours(24 * 365);
    let usage = Usage::observe(Some(usage), &marked, false, stepped);
    let end = start + KEEP;
    assert_eq!(usage.decide(&marked, stepped.monotonic), Decision::Keep(Some(end)));
    assert_eq!(usage.decide(&marked, end), Decision::Delete(DeleteReason::Expired));
}

proptest! {
    /// Guards, for any history of uses, marks and takes, that no claim is deleted while a Pod uses it, within the grace
    /// after a create has taken it, or before the time for which it is kept has passed since its last use.
    #[test]
    fn nothing_is_deleted_early(
        keep in any::<bool>(), steps in prop::collection::vec((1u64..100_000, 0u8..4), 1..40),
    ) {
        let start = Instant::now();
        let when_deleted = if keep { WhenDeleted::Keep } else { WhenDeleted::Delete };
        let mut claim = claim(when_deleted);
        let (mut second, mut in_use, mut usage) = (0, false, None);
        let (mut last_use, mut last_taken) = (0, None);
        for (wait, step) in steps {
            if in_use {
                last_use = second + wait;
            }
            second += wait;
            match step {
                0 => in_use = true,
                1 => in_use = false,
                2 => {
                    claim.last_used = Some(wall(second));
                    claim.unused_since = None;
                    last_taken = Some(second);
                }
                _ => {}
            }
            if in_use {
                last_use = second;
                claim.unused_since = None;
            }
            let now = clocks(start, second);
            let observed = Usage::observe(usage, &claim, in_use, now);
            usage = Some(observed);
            match observed.decide(&claim, now.monotonic) {
                Decision::Keep(at) => prop_assert!(at.is_none_or(|at| at > now.monotonic)),
                Decision::MarkUnused => {
                    prop_assert!(!in_use);
                    claim.unused_since = Some(wall(second));
                }
                Decision::Delete(_) => {
                    prop_assert!(!in_use);
                    let since_taken = last_taken.map(|taken| second - taken);
                    let least = if keep { KEEP.as_secs() } else { 0 };
                    prop_assert!(second - last_use >= least, "{second} {last_use}");
                    prop_assert!(since_taken.is_none_or(|since| since >= GRACE.as_secs() || last_use > second - since));
                }
            }
        }
    }
}
