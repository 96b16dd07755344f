use jiff::SignedDuration;
use proptest::prelude::*;

use super::{PullStep::*, *};

const ALLOWANCE: Duration = Duration::from_secs(900);

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
}

fn pulls(steps: &[(&str, PullStep, i64)]) -> Pulls {
    let mut pulls = Pulls::default();
    for (container, step, second) in steps {
        pulls.record(container, *step, at(*second));
    }
    pulls
}

fn took(seconds: u64) -> PullTime {
    PullTime::Took(Duration::from_secs(seconds))
}

/// Guards the time of each sequence of Events: one that runs, one that has ended, repeated ones, several containers, and
/// clocks that go back.
#[test]
fn each_sequence_of_events_has_its_time() {
    let running = Some(PullTime::Running);
    for (steps, time) in [
        (&[][..], None),
        (&[("a", Began, 100)], running),
        // Times have whole seconds.
        (&[("a", Began, 100), ("a", Ended, 100)], Some(took(1))),
        (&[("a", Began, 100), ("a", Ended, 700)], Some(took(601))),
        (&[("a", Ended, 700), ("a", Began, 100)], Some(took(601))),
        // The image was on the node already.
        (&[("a", Ended, 100)], None),
        // A failed attempt and the waits are part of the pull. The Events of the attempts are merged into one.
        (&[("a", Began, 100), ("a", Began, 130), ("a", Ended, 200)], Some(took(101))),
        // A container that is restarted pulls its image again.
        (&[("a", Began, 100), ("a", Ended, 160), ("a", Began, 500), ("a", Ended, 800)], Some(took(61))),
        (&[("a", Began, 0), ("a", Ended, 60), ("b", Began, 90)], running),
        (&[("a", Began, 0), ("a", Ended, 60), ("b", Began, 90), ("b", Ended, 100)], Some(took(72))),
        (&[("a", Began, 0), ("a", Ended, 60), ("b", Ended, 100)], Some(took(61))),
        // The node's clock was stepped back, so the time is not known.
        (&[("a", Began, 100), ("a", Ended, 40)], running),
    ] {
        assert_eq!(pulls(steps).time(), time, "{steps:?}");
    }
}

/// Guards that no pull takes more than its allowance, and that one whose end is not known takes all of it.
#[test]
fn the_allowance_bounds_the_time() {
    for (time, within) in [(0, 0), (899, 899), (900, 900), (u64::MAX, 900)] {
        assert_eq!(PullTime::Took(Duration::from_secs(time)).within(ALLOWANCE), Duration::from_secs(within));
    }
    assert_eq!(PullTime::Running.within(ALLOWANCE), ALLOWANCE);
    assert_eq!(PullTime::Running.within(Duration::ZERO), Duration::ZERO);
}

/// Guards that a Pod with many containers, or with odd ones, is kept within bounds.
#[test]
fn the_containers_of_a_pod_are_bounded() {
    let mut pulls = Pulls::default();
    for container in 0..1000 {
        pulls.record(&container.to_string(), Began, at(0));
        pulls.record(&container.to_string(), Ended, at(9));
    }
    pulls.record(&"x".repeat(CONTAINER_MAX + 1), Began, at(0));
    assert_eq!(pulls.time(), Some(took(10 * u64::try_from(CONTAINERS_MAX).unwrap())));
    let mut far = Pulls::default();
    far.record("a", Began, Timestamp::MIN);
    far.record("a", Ended, Timestamp::MAX);
    assert_eq!(far.time().unwrap().within(ALLOWANCE), ALLOWANCE);
}

proptest! {
    /// Guards that the time does not depend on the order in which Events arrive or on how often: it is the same for a
    /// process that has watched them one by one and for one that lists them after its start.
    #[test]
    fn order_and_repetition_do_not_matter(
        mut steps in proptest::collection::vec(
            (prop_oneof![Just("a"), Just("b"), Just("c")], prop_oneof![Just(Began), Just(Ended)], 0_i64..1000), 0..12,
        ),
        turn in 0_usize..12,
    ) {
        let expected = pulls(&steps).time();
        let again = steps.clone();
        steps.extend(again);
        let turn = turn.min(steps.len());
        steps.rotate_left(turn);
        prop_assert_eq!(pulls(&steps).time(), expected);
        steps.reverse();
        prop_assert_eq!(pulls(&steps).time(), expected);
    }

    /// Guards that no time is shorter than that of any of its finished pulls (invariant 5), and none is longer than the
    /// allowance.
    #[test]
    fn a_pull_is_never_counted_short(
        begins in 0_i64..1000, lasts in 0_u64..5000, begins_ms in 0_i64..1000, lasts_ms in 0_u64..1000,
    ) {
        let begin = at(begins) + SignedDuration::from_millis(begins_ms);
        let real = Duration::from_secs(lasts) + Duration::from_millis(lasts_ms);
        let end = begin + SignedDuration::try_from(real).unwrap();
        // Kubernetes cuts times to whole seconds.
        let mut told = Pulls::default();
        told.record("a", Began, at(begin.as_second()));
        told.record("a", Ended, at(end.as_second()));
        let within = told.time().unwrap().within(ALLOWANCE);
        prop_assert!(within >= real.min(ALLOWANCE) && within <= ALLOWANCE, "{within:?}");
        prop_assert!(within <= real + Duration::from_secs(2));
    }
}
