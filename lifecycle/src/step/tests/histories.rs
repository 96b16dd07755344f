//! Random histories in a small simulated cluster: for any outcome of a call, every caller is answered and no object
//! is left behind.

use std::time::Duration;

use proptest::prelude::*;

use super::{super::*, bench::request};
use crate::{
    error::{ClusterError, ClusterErrorKind},
    observed::{ObservedPod, ObservedService, ResourceVersion},
    phase::Phase,
};

/// The outcome of a call.
#[derive(Debug, Clone, Copy)]
enum Luck {
    Fine,
    /// The call is executed, but its answer is lost.
    LostAnswer,
    /// The call is not executed, and the caller cannot tell.
    LostCall,
    Refused(ClusterErrorKind),
}

/// An external event.
#[derive(Debug, Clone)]
enum Deed {
    Post,
    Delete,
    /// The node terminates the Pod.
    Terminated,
    /// An operator deletes an object manually.
    PodByHand,
    ServiceByHand,
    Wait(u64),
}

/// A cluster with one sandbox and an exact view.
struct World {
    sandbox: Sandbox<u32>,
    seen: Observed,
    now: Instant,
    wake: Option<Instant>,
    lives: u32,
    asked: u32,
    answered: Vec<u32>,
    luck: Vec<Luck>,
    writes: u32,
}

impl World {
    fn luck(&mut self) -> Luck {
        self.luck.pop().unwrap_or(Luck::Fine)
    }

    fn outcome(&mut self, effect: impl FnOnce(&mut Self)) -> Outcome<()> {
        self.writes += 1;
        let fault = |kind| ClusterError::new(kind, "");
        match self.luck() {
            Luck::Fine => {
                effect(self);
                Outcome::Done(())
            }
            Luck::LostAnswer => {
                effect(self);
                Outcome::Unknown(fault(ClusterErrorKind::TimedOut))
            }
            Luck::LostCall => Outcome::Unknown(fault(ClusterErrorKind::TimedOut)),
            Luck::Refused(kind) => Outcome::Refused(fault(kind)),
        }
    }

    fn create_pod(&mut self) -> Outcome<()> {
        if let Some(pod) = &self.seen.pod {
            let kind =
                if pod.terminating { ClusterErrorKind::Terminating } else { ClusterErrorKind::AlreadyExists };
            return Outcome::Refused(ClusterError::new(kind, ""));
        }
        self.outcome(|world| {
            world.lives += 1;
            world.seen.pod = Some(ObservedPod {
                uid: Uid(format!("p{}", world.lives).into()),
                version: ResourceVersion(1),
                phase: Phase::Pending,
                ready: false,
                terminating: false,
                reason: None,
                created: None,
                spec: ObservedSpec::default(),
                annotations: LifetimeAnnotations::default(),
            });
        })
    }

    fn create_service(&mut self) -> Outcome<()> {
        if self.seen.service.is_some() {
            return Outcome::Refused(ClusterError::new(ClusterErrorKind::AlreadyExists, ""));
        }
        self.outcome(|world| {
            world.lives += 1;
            world.seen.service = Some(ObservedService {
                uid: Uid(format!("s{}", world.lives).into()),
                version: ResourceVersion(1),
                terminating: false,
                url: Some("http://h:30000".into()),
            });
        })
    }

    fn feed(&mut self, mut event: Event<u32>) {
        let id = SandboxId::parse("a").unwrap();
        for round in 0.. {
            assert!(round < 20, "the step does not come to rest: {:?}", self.sandbox);
            let seen = self.seen.clone();
            let policy = Policy::default();
            let wall = Timestamp::UNIX_EPOCH;
            let ctx = Context { id: &id, now: self.now, wall, policy: &policy, seen: &seen, fresh: true };
            let (sandbox, actions) = step(std::mem::take(&mut self.sandbox), event, ctx);
            self.sandbox = sandbox;
            let mut outcome = None;
            for action in actions {
                let calls = outcome.is_some();
                match action {
                    Action::Answer(waiter, answer) => {
                        if let Ok(Reply::Made(_)) = answer {
                            assert!(self.seen.is_whole(), "invariant 2: a 200 means that both exist");
                        }
                        self.answered.push(waiter);
                    }
                    Action::SetTimer(at) => self.wake = Some(at),
                    Action::Stop => assert!(self.seen.is_empty(), "retired with something left"),
                    Action::Create { halves, .. } => {
                        assert!(!calls, "two calls in one decision");
                        assert!(halves.any(), "a call about nothing");
                        let pod = halves.pod.then(|| self.create_pod());
                        let service = halves.service.then(|| self.create_service());
                        outcome = Some(Event::Created { pod, service });
                    }
                    Action::Delete { pod, service } => {
                        assert!(!calls, "two calls in one decision");
                        assert!(pod.is_some() || service.is_some(), "a call about nothing");
                        let pod = pod.map(|uid| {
                            self.outcome(|world| {
                                if let Some(pod) = world.seen.pod.as_mut().filter(|p| p.uid == uid) {
                                    pod.terminating = true;
                                }
                            })
                        });
                        let service = service.map(|uid| {
                            self.outcome(|world| {
                                world.seen.service.take_if(|s| s.uid == uid);
                            })
                        });
                        outcome = Some(Event::Deleted { pod, service });
                    }
                    Action::Write { .. }
                    | Action::Probe { .. }
                    | Action::Reap { .. }
                    | Action::RecordReap(_) => unreachable!("nothing here has a limit"),
                    Action::Read => {
                        assert!(!calls, "two calls in one decision");
                        let result = match self.luck() {
                            Luck::Fine | Luck::LostAnswer => Ok(None),
                            Luck::LostCall | Luck::Refused(_) => {
                                Err(ClusterError::new(ClusterErrorKind::Unreachable, ""))
                            }
                        };
                        outcome = Some(Event::Read(result));
                    }
                }
            }
            match outcome {
                Some(next) => event = next,
                None => return,
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.wake.filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.wake = None;
            self.feed(Event::Due);
        }
        self.now = until;
    }

    fn apply(&mut self, deed: &Deed) {
        let id = SandboxId::parse("a").unwrap();
        match deed {
            Deed::Post => {
                self.asked += 1;
                self.feed(Event::Post { request: request(&id), waiter: self.asked });
            }
            Deed::Delete => {
                self.asked += 1;
                self.feed(Event::Delete { waiter: self.asked, owner: None });
            }
            Deed::Terminated => {
                self.seen.pod.take_if(|p| p.terminating);
                self.feed(Event::Resync);
            }
            Deed::PodByHand => {
                self.seen.pod = None;
                self.feed(Event::Resync);
            }
            Deed::ServiceByHand => {
                self.seen.service = None;
                self.feed(Event::Resync);
            }
            Deed::Wait(seconds) => self.pass(Duration::from_secs(*seconds)),
        }
    }
}

fn luck() -> impl Strategy<Value = Luck> {
    prop_oneof![
        4 => Just(Luck::Fine),
        1 => Just(Luck::LostAnswer),
        1 => Just(Luck::LostCall),
        1 => prop::sample::select(vec![
            ClusterErrorKind::Forbidden,
            ClusterErrorKind::QuotaExceeded,
            ClusterErrorKind::Unreachable,
            ClusterErrorKind::TooManyRequests,
        ])
        .prop_map(Luck::Refused),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => Just(Deed::Post),
        3 => Just(Deed::Delete),
        3 => Just(Deed::Terminated),
        1 => Just(Deed::PodByHand),
        1 => Just(Deed::ServiceByHand),
        2 => (0u64..90).prop_map(Deed::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Guards invariants 2, 3 and 7: once the cluster and its nodes work again, every waiter has received one answer,
    /// and the sandbox is complete or gone.
    #[test]
    fn come_to_a_good_end(deeds in prop::collection::vec(deed(), 1..12), luck in prop::collection::vec(luck(), 0..24)) {
        let mut world = World {
            sandbox: Sandbox::default(),
            seen: Observed::default(),
            now: *BASE,
            wake: None,
            lives: 0,
            asked: 0,
            answered: vec![],
            luck,
            writes: 0,
        };
        for deed in &deeds {
            world.apply(deed);
        }
        world.luck.clear();
        for _ in 0..4 {
            world.pass(Duration::from_secs(120));
            world.apply(&Deed::Terminated);
        }
        let mut answered = world.answered.clone();
        answered.sort_unstable();
        prop_assert_eq!(answered, (1..=world.asked).collect::<Vec<_>>());
        prop_assert!(world.seen.is_whole() || world.seen.is_empty(), "left behind: {:?}", world.seen);
        prop_assert_eq!(world.sandbox.stage, Stage::default());
    }
}

static BASE: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
