//! Random histories in a small simulated cluster: for any outcome of a call, every caller is answered and no object
//! is left behind.

use proptest::prelude::*;

use super::{fixture::*, interpreter::Simulation};

/// The outcome of a call.
#[derive(Debug, Clone, Copy)]
enum CallResult {
    Done,
    /// The call is executed, but its answer is lost.
    LostAnswer,
    /// The call is not executed, and the caller cannot tell.
    LostCall,
    Refused(ClusterErrorKind),
}

/// An external event.
#[derive(Debug, Clone)]
enum Step {
    Post,
    Delete,
    /// The node terminates the Pod.
    Terminated,
    /// An operator deletes an object manually.
    PodDeletedManually,
    ServiceDeletedManually,
    Wait(u64),
}

/// A cluster with one sandbox and an exact view.
struct FlakyCluster {
    fixture: Fixture,
    /// The number of objects created so far.
    created: u32,
    asked: u32,
    answered: Vec<u32>,
    /// The results of the next calls; later calls succeed.
    results: Vec<CallResult>,
}

impl FlakyCluster {
    fn next_result(&mut self) -> CallResult {
        self.results.pop().unwrap_or(CallResult::Done)
    }

    fn write_object(&mut self, effect: impl FnOnce(&mut Self)) -> Outcome<()> {
        let fault = |kind| ClusterError::new(kind, "");
        match self.next_result() {
            CallResult::Done => {
                effect(self);
                Outcome::Done(())
            }
            CallResult::LostAnswer => {
                effect(self);
                Outcome::Unknown(fault(ClusterErrorKind::TimedOut))
            }
            CallResult::LostCall => Outcome::Unknown(fault(ClusterErrorKind::TimedOut)),
            CallResult::Refused(kind) => Outcome::Refused(fault(kind)),
        }
    }

    fn create_pod(&mut self) -> Outcome<()> {
        if let Some(pod) = &self.fixture.seen.pod {
            let kind =
                if pod.terminating { ClusterErrorKind::Terminating } else { ClusterErrorKind::AlreadyExists };
            return Outcome::Refused(ClusterError::new(kind, ""));
        }
        self.write_object(|cluster| {
            cluster.created += 1;
            let new = pod(&format!("p{}", cluster.created));
            cluster.fixture.seen.pod = Some(ObservedPod { phase: Phase::Pending, ready: false, ..new });
        })
    }

    fn create_service(&mut self) -> Outcome<()> {
        if self.fixture.seen.service.is_some() {
            return Outcome::Refused(ClusterError::new(ClusterErrorKind::AlreadyExists, ""));
        }
        self.write_object(|cluster| {
            cluster.created += 1;
            cluster.fixture.seen.service = Some(service(&format!("s{}", cluster.created)));
        })
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Post => {
                self.asked += 1;
                let request = CreateRequest::new(self.fixture.id.clone());
                let event = self.fixture.post_event(request, self.asked);
                self.feed(event);
            }
            Step::Delete => {
                self.asked += 1;
                self.feed(Event::Delete { waiter: self.asked, owner: None, only: None });
            }
            Step::Terminated => {
                self.fixture.seen.pod.take_if(|p| p.terminating);
                self.feed(Event::Resync);
            }
            Step::PodDeletedManually => {
                self.fixture.seen.pod = None;
                self.feed(Event::Resync);
            }
            Step::ServiceDeletedManually => {
                self.fixture.seen.service = None;
                self.feed(Event::Resync);
            }
            Step::Wait(seconds) => self.pass_time(Duration::from_secs(*seconds)),
        }
    }
}

impl Simulation for FlakyCluster {
    fn fixture(&mut self) -> &mut Fixture {
        &mut self.fixture
    }

    fn create(&mut self, objects: Objects) -> Event<u32> {
        let pod = objects.pod.then(|| self.create_pod());
        let service = objects.service.then(|| self.create_service());
        created(pod, service)
    }

    fn delete(&mut self, pod: Option<Uid>, service: Option<Uid>) -> Event<u32> {
        let pod = pod.map(|uid| {
            self.write_object(|cluster| {
                if let Some(pod) = cluster.fixture.seen.pod.as_mut().filter(|p| p.uid == uid) {
                    pod.terminating = true;
                }
            })
        });
        let service = service.map(|uid| {
            self.write_object(|cluster| {
                cluster.fixture.seen.service.take_if(|s| s.uid == uid);
            })
        });
        Event::Deleted { pod, service }
    }

    fn read(&mut self) -> Event<u32> {
        Event::Read(match self.next_result() {
            CallResult::Done | CallResult::LostAnswer => Ok(None),
            CallResult::LostCall | CallResult::Refused(_) => {
                Err(ClusterError::new(ClusterErrorKind::Unreachable, ""))
            }
        })
    }

    fn write(&mut self, _: &Uid, _: LifetimePatch) -> Event<u32> {
        unreachable!("nothing here has a limit")
    }

    fn probe(&mut self) -> Event<u32> {
        unreachable!("nothing here has a limit")
    }

    fn reap(&mut self, _: &Preconditions, _: Option<&Preconditions>, _: ReapReason) -> Event<u32> {
        unreachable!("nothing here has a limit")
    }

    fn answered(&mut self, waiter: u32, reply: &Result<Reply, SandboxError>) {
        if let Ok(Reply::Made(_)) = reply {
            assert!(self.fixture.seen.is_whole(), "invariant 2: a 200 means that both exist");
        }
        self.answered.push(waiter);
    }

    fn reaped(&mut self, _: ReapReason) {
        unreachable!("nothing here has a limit")
    }
}

fn result() -> impl Strategy<Value = CallResult> {
    prop_oneof![
        4 => Just(CallResult::Done),
        1 => Just(CallResult::LostAnswer),
        1 => Just(CallResult::LostCall),
        1 => prop::sample::select(vec![
            ClusterErrorKind::Forbidden,
            ClusterErrorKind::QuotaExceeded,
            ClusterErrorKind::Unreachable,
            ClusterErrorKind::TooManyRequests,
        ])
        .prop_map(CallResult::Refused),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Post),
        3 => Just(Step::Delete),
        3 => Just(Step::Terminated),
        1 => Just(Step::PodDeletedManually),
        1 => Just(Step::ServiceDeletedManually),
        2 => (0u64..90).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Guards invariants 2, 3 and 7: once the cluster and its nodes work again, every waiter has received one answer,
    /// and the sandbox is complete or gone.
    #[test]
    fn converge(
        steps in prop::collection::vec(step(), 1..12),
        results in prop::collection::vec(result(), 0..24),
    ) {
        let mut cluster =
            FlakyCluster { fixture: Fixture::new(), created: 0, asked: 0, answered: vec![], results };
        for step in &steps {
            cluster.apply(step);
        }
        cluster.results.clear();
        for _ in 0..4 {
            cluster.pass_time(Duration::from_secs(120));
            cluster.apply(&Step::Terminated);
        }
        let FlakyCluster { fixture, asked, mut answered, .. } = cluster;
        answered.sort_unstable();
        prop_assert_eq!(answered, (1..=asked).collect::<Vec<_>>());
        prop_assert!(fixture.seen.is_whole() || fixture.seen.is_empty(), "left behind: {:?}", fixture.seen);
        prop_assert_eq!(fixture.sandbox.stage, Stage::default());
    }
}
