//! A fixture for one sandbox, whose observed objects and call outcomes are set by the test.

use std::time::Duration;

use super::super::*;
use crate::{
    error::{ClusterError, ClusterErrorKind},
    observed::{ObservedPod, ObservedService, ResourceVersion},
    phase::Phase,
    spec::ObservedSpec,
};

/// A sandbox under test, with its observed objects and its clocks.
pub(super) struct Bench {
    pub(super) id: SandboxId,
    pub(super) sandbox: Sandbox<u32>,
    pub(super) seen: Observed,
    pub(super) now: Instant,
    pub(super) wall: Timestamp,
    pub(super) policy: Policy,
    pub(super) fresh: bool,
}

impl Bench {
    pub(super) fn new() -> Self {
        let id = SandboxId::parse("a").unwrap();
        Self {
            id,
            sandbox: Sandbox::default(),
            policy: Policy::default(),
            wall: Timestamp::UNIX_EPOCH,
            seen: Observed::default(),
            now: Instant::now(),
            fresh: true,
        }
    }

    pub(super) fn with(pod: Option<ObservedPod>, service: Option<ObservedService>) -> Self {
        Self { seen: Observed { pod, service }, ..Self::new() }
    }

    pub(super) fn feed(&mut self, event: Event<u32>) -> Vec<Action<u32>> {
        let ctx = Context {
            id: &self.id,
            now: self.now,
            wall: self.wall,
            policy: &self.policy,
            seen: &self.seen,
            fresh: self.fresh,
        };
        let (sandbox, actions) = step(std::mem::take(&mut self.sandbox), event, ctx);
        self.sandbox = sandbox;
        actions
    }

    pub(super) fn post(&mut self, waiter: u32) -> Vec<Action<u32>> {
        let request = request(&self.id);
        self.feed(Event::Post { request, waiter })
    }

    pub(super) fn delete(&mut self, waiter: u32) -> Vec<Action<u32>> {
        self.feed(Event::Delete { waiter, owner: None })
    }

    pub(super) fn created(
        &mut self,
        pod: Option<Outcome<()>>,
        service: Option<Outcome<()>>,
    ) -> Vec<Action<u32>> {
        self.feed(Event::Created { pod, service })
    }

    pub(super) fn after(&mut self, wait: Duration) -> &mut Self {
        self.now += wait;
        self.wall += jiff::SignedDuration::try_from(wait).unwrap();
        self
    }
}

pub(super) fn request(id: &SandboxId) -> Arc<CreateRequest> {
    Arc::new(CreateRequest::new(id.clone()))
}

pub(super) fn uid(text: &str) -> Uid {
    Uid(text.into())
}

pub(super) fn pod(name: &str) -> ObservedPod {
    ObservedPod {
        uid: uid(name),
        version: ResourceVersion(1),
        phase: Phase::Running,
        ready: true,
        terminating: false,
        reason: None,
        created: None,
        spec: ObservedSpec::default(),
        annotations: LifetimeAnnotations::default(),
    }
}

pub(super) fn dying(name: &str) -> ObservedPod {
    ObservedPod { terminating: true, ..pod(name) }
}

pub(super) fn service(name: &str) -> ObservedService {
    ObservedService {
        uid: uid(name),
        version: ResourceVersion(1),
        terminating: false,
        url: Some("http://h:30000".into()),
    }
}

pub(super) fn refused<T>(kind: ClusterErrorKind) -> Option<Outcome<T>> {
    Option::from(Outcome::Refused(ClusterError::new(kind, "")))
}

pub(super) fn unknown<T>() -> Option<Outcome<T>> {
    Option::from(Outcome::Unknown(ClusterError::new(ClusterErrorKind::TimedOut, "")))
}

pub(super) const DONE: Option<Outcome<()>> = Some(Outcome::Done(()));

pub(super) fn create(halves: Objects) -> Action<u32> {
    Action::Create { request: request(&SandboxId::parse("a").unwrap()), halves }
}

pub(super) fn remove(pod: Option<&str>, service: Option<&str>) -> Action<u32> {
    Action::Delete { pod: pod.map(uid), service: service.map(uid) }
}

pub(super) fn made(waiter: u32) -> Action<u32> {
    let status = Status {
        url: "http://h:30000".into(),
        phase: Phase::Running,
        reason: None,
        pod: uid("p"),
        created: None,
        spec: ObservedSpec::default(),
        expiry: None,
    };
    Action::Answer(waiter, Ok(Reply::Made(status)))
}

pub(super) fn gone(waiter: u32) -> Action<u32> {
    Action::Answer(waiter, Ok(Reply::Gone))
}

pub(super) fn failure(actions: &[Action<u32>], waiter: u32) -> &SandboxError {
    actions
        .iter()
        .find_map(|a| match a {
            Action::Answer(w, Err(failure)) if *w == waiter => Some(failure),
            _ => None,
        })
        .expect("this waiter is told of a failure")
}
