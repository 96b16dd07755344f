//! Tests of timelines with random histories.

use std::collections::HashSet;

use proptest::{collection::vec, prelude::*};

use super::*;

/// Something that happens to a timeline.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Pass(u64),
    Observe { pod: Option<u8>, second: i64, has_service: bool, reason: Option<u8>, is_listed: bool },
    Pull { image: u8, is_done: bool, second: Option<i64> },
    Touch,
    End(bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    let observe = (any::<Option<u8>>(), 0..100_i64, any::<bool>(), any::<Option<u8>>(), any::<bool>());
    prop_oneof![
        (0..100_000_u64).prop_map(Happening::Pass),
        observe.prop_map(|(pod, second, has_service, reason, is_listed)| Happening::Observe {
            pod,
            second,
            has_service,
            reason,
            is_listed
        }),
        (any::<u8>(), any::<bool>(), any::<Option<u8>>()).prop_map(|(image, is_done, second)| {
            Happening::Pull { image, is_done, second: second.map(i64::from) }
        }),
        Just(Happening::Touch),
        any::<bool>().prop_map(Happening::End),
    ]
}

fn happen(sandbox: &mut Fixture, happening: Happening) {
    match happening {
        Happening::Pass(ms) => sandbox.pass(ms),
        Happening::Observe { pod: state, second, has_service, reason, is_listed } => {
            let observed = |state: u8| {
                let time = |bit: u8| at(second).filter(|_| state & bit != 0);
                let times = PodTimes {
                    scheduled: time(1),
                    started: time(2),
                    restarts: u32::from(state / 16),
                    ready: time(4),
                };
                let (ready, terminating) = (state & 4 != 0, state & 8 != 0);
                ObservedPod { times, ready, terminating, created: at(second), ..pod() }
            };
            sandbox.pod = state.map(observed);
            sandbox.service = has_service.then(service);
            let words = "x".repeat(usize::from(reason.unwrap_or_default()));
            sandbox.reason = reason.map(|n| Reason::new(&format!("Problem{}", n % 50), Some(&words)).into());
            sandbox.look(0, is_listed);
        }
        Happening::Pull { image, is_done, second } => {
            let image = Arc::from(format!("image-{image}"));
            let step =
                if is_done { Step::Pulled { image, was_present: false } } else { Step::Pulling(image) };
            sandbox.timeline.record(step, second.and_then(at), sandbox.clocks, sandbox.text_max);
        }
        Happening::Touch => sandbox.timeline.touch(sandbox.clocks, sandbox.text_max),
        Happening::End(is_reap) => {
            let step =
                if is_reap { Step::Reaped(ReapReason::Ttl) } else { Step::Deleting(DeleteReason::Requested) };
            sandbox.timeline.record(step, None, sandbox.clocks, sandbox.text_max);
        }
    }
}

proptest! {
    /// Guards for any history that entries and texts stay within their limits, that the order is that of time and of the ranks, that no
    /// time is in the future, and that the steps of the start and of the end are there once and for ever.
    #[test]
    fn every_history_is_ordered_and_bounded(history in vec(happening(), 0..200)) {
        let mut sandbox = Fixture::requested(10);
        let mut before: Vec<u8> = Vec::new();
        for step in history {
            happen(&mut sandbox, step);
            let report = sandbox.report();
            prop_assert!(report.steps.len() <= ENTRIES_MAX);
            prop_assert!(sandbox.timeline.text_len() <= TEXT_MAX);
            prop_assert!(report.steps.is_sorted_by_key(|step| step.at), "{report:?}");
            prop_assert!(report.steps.iter().all(|step| step.at <= sandbox.clocks.wall));
            let mut ranks: Vec<_> = report.steps.iter().filter_map(|step| step.step.rank()).collect();
            let mut seen = HashSet::new();
            ranks.retain(|rank| *rank == 5 || seen.insert(*rank));
            prop_assert!(ranks.is_sorted(), "{report:?}");
            ranks.retain(|rank| *rank != 5);
            prop_assert!(before.iter().all(|rank| ranks.contains(rank)), "{report:?}");
            before = ranks;
            let text: usize = report.steps.iter().map(|step| step.step.text_len()).sum();
            prop_assert_eq!(text, sandbox.timeline.text_len());
        }
    }

    /// Guards that the order in which steps of one start become known does not change their order in the timeline.
    #[test]
    fn steps_are_in_their_order_however_they_arrive(order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle()) {
        let mut sandbox = Fixture::requested(10);
        sandbox.service = Some(service());
        sandbox.pod = Some(pod());
        sandbox.look(5, false);
        for step in order {
            match step {
                0 => sandbox.see(5, scheduled),
                1 => sandbox.event(5, "Pulled", "image \"i\""),
                2 => sandbox.see(5, started),
                3 => sandbox.see(5, ready),
                4 => {
                    sandbox.pass(5);
                    sandbox.timeline.record(Step::Reaped(ReapReason::Ttl), None, sandbox.clocks, TEXT_MAX);
                }
                _ => sandbox.event(5, "Pulled", "image \"j\""),
            }
        }
        let names: Vec<_> = sandbox.report().steps.iter().map(|step| step.step.name()).collect();
        let wanted = ["accepted", "creating", "pod_created", "scheduled", "pulled", "pulled", "started", "ready", "reaped"];
        let names: Vec<_> = names.into_iter().filter(|name| *name != "service_created").collect();
        prop_assert_eq!(names, wanted);
    }
}
