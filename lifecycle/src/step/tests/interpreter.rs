//! The interpreter of actions for tests with a simulated cluster.

use super::fixture::*;

/// A simulated cluster with one sandbox, and its callers.
pub(super) trait Simulation {
    /// Returns the sandbox under test.
    fn fixture(&mut self) -> &mut Fixture;
    fn create(&mut self, objects: Objects) -> Event<u32>;
    fn delete(&mut self, pod: Option<Uid>, service: Option<Uid>) -> Event<u32>;
    fn read(&mut self) -> Event<u32>;
    fn write(&mut self, uid: &Uid, annotations: LifetimePatch) -> Event<u32>;
    fn probe(&mut self) -> Event<u32>;
    fn reap(
        &mut self,
        pod: &Preconditions,
        service: Option<&Preconditions>,
        reason: ReapReason,
    ) -> Event<u32>;
    fn answered(&mut self, waiter: u32, reply: &Result<Reply, SandboxError>);
    fn reaped(&mut self, reason: ReapReason);

    /// Passes in the event, and then the outcome of every call that it leads to.
    fn feed(&mut self, mut event: Event<u32>) {
        for round in 0.. {
            assert!(round < 20, "the step does not come to rest: {:?}", self.fixture().sandbox);
            let mut outcome = None;
            for action in self.fixture().feed(event) {
                let next = match action {
                    Action::Answer(waiter, reply) => {
                        self.answered(waiter, &reply);
                        None
                    }
                    Action::SetTimer(at) => {
                        self.fixture().timer = Some(at);
                        None
                    }
                    Action::Stop => {
                        assert!(self.fixture().seen.is_empty(), "stopped with an object left");
                        None
                    }
                    Action::RecordReap(reason) => {
                        self.reaped(reason);
                        None
                    }
                    Action::Create { pod, service, received: _, until: _ } => {
                        let objects = Objects { pod: pod.is_some(), service: service.is_some() };
                        assert!(objects.any(), "a call about nothing");
                        Some(self.create(objects))
                    }
                    Action::Delete { pod, service } => {
                        assert!(pod.is_some() || service.is_some(), "a call about nothing");
                        Some(self.delete(pod, service))
                    }
                    Action::Read => Some(self.read()),
                    Action::Write { uid, annotations } => Some(self.write(&uid, annotations)),
                    Action::Resize { .. } => panic!("no sandbox of a simulation is resized"),
                    Action::Probe { .. } => Some(self.probe()),
                    Action::Reap { pod, service, reason } => Some(self.reap(&pod, service.as_ref(), reason)),
                };
                assert!(outcome.is_none() || next.is_none(), "two calls in one decision");
                outcome = outcome.or(next);
            }
            match outcome {
                Some(next) => event = next,
                None => return,
            }
        }
    }

    /// Advances the clocks, and sends the timer's events on the way.
    fn pass_time(&mut self, time: Duration) {
        let until = self.fixture().now + time;
        while let Some(at) = self.fixture().timer.take_if(|at| *at <= until) {
            self.fixture().advance_to(at);
            self.feed(Event::Due);
        }
        self.fixture().advance_to(until);
    }
}
