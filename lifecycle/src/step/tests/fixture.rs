//! A fixture for one sandbox, whose observed objects and call outcomes are set by the test.

pub(super) use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) use jiff::Timestamp;

pub(super) use super::super::{create::MAX_ATTEMPTS, types::*, *};
pub(super) use crate::{
    budget::POST_PATIENCE,
    error::{ClusterError, ClusterErrorKind, SandboxError},
    ids::{ClusterName, SandboxId},
    lifetime::{LifetimeAnnotations, LifetimePatch, Limits, LimitsPatch, Owner, Policy, ReapReason},
    observed::{Observed, ObservedPod, ObservedService, PodTimes, ResourceVersion, Status, Uid},
    operation::Operation,
    phase::Phase,
    pull::PullTime,
    request::CreateRequest,
    spec::ObservedSpec,
    traits::{Busy, Creation, Foreign, Manifest, Manifests, Outcome, Preconditions},
};

/// A sandbox under test, with its observed objects and its clocks.
pub(super) struct Fixture {
    pub(super) id: SandboxId,
    pub(super) sandbox: Sandbox<u32>,
    pub(super) seen: Observed,
    pub(super) now: Instant,
    pub(super) wall: Timestamp,
    pub(super) policy: Policy,
    pub(super) pull: Option<PullTime>,
    pub(super) fresh: bool,
    /// The timer, if a simulation keeps it.
    pub(super) timer: Option<Instant>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let id = SandboxId::parse("a").unwrap();
        Self {
            id,
            sandbox: Sandbox::default(),
            policy: Policy::default(),
            wall: Timestamp::UNIX_EPOCH,
            seen: Observed::default(),
            now: Instant::now(),
            pull: None,
            fresh: true,
            timer: None,
        }
    }

    pub(super) fn with(pod: Option<ObservedPod>, service: Option<ObservedService>) -> Self {
        Self { seen: Observed { pod, service }, ..Self::new() }
    }

    pub(super) fn feed(&mut self, event: Event<u32>) -> Vec<Action<u32>> {
        let sandbox = std::mem::take(&mut self.sandbox);
        let (sandbox, actions) = step(sandbox, event, self.context());
        self.sandbox = sandbox;
        actions
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context {
            id: &self.id,
            now: self.now,
            wall: self.wall,
            policy: &self.policy,
            seen: &self.seen,
            pull: self.pull,
            fresh: self.fresh,
        }
    }

    pub(super) fn post(&mut self, waiter: u32) -> Vec<Action<u32>> {
        self.request(CreateRequest::new(self.id.clone()), waiter)
    }

    pub(super) fn request(&mut self, request: CreateRequest, waiter: u32) -> Vec<Action<u32>> {
        let event = self.post_event(request, waiter);
        self.feed(event)
    }

    /// Returns a POST of now, whose manifests show the request that they were built from.
    pub(super) fn post_event(&self, request: CreateRequest, waiter: u32) -> Event<u32> {
        let manifests = manifests(&request);
        Event::Post {
            request: Arc::new(request),
            manifests,
            waiter,
            received: self.now,
            until: self.now + POST_PATIENCE,
        }
    }

    /// Returns the create of these objects for a POST of now.
    pub(super) fn create(&self, objects: Objects) -> Action<u32> {
        self.create_for(&CreateRequest::new(self.id.clone()), objects)
    }

    pub(super) fn create_for(&self, request: &CreateRequest, objects: Objects) -> Action<u32> {
        let Manifests { pod, service } = manifests(request);
        Action::Create {
            pod: objects.pod.then(|| pod.unwrap()),
            service: objects.service.then_some(service),
            received: self.now,
            until: self.now + POST_PATIENCE,
        }
    }

    pub(super) fn delete(&mut self, waiter: u32) -> Vec<Action<u32>> {
        self.feed(Event::Delete { waiter, owner: None, only: None })
    }

    pub(super) fn created(
        &mut self,
        pod: Option<Outcome<()>>,
        service: Option<Outcome<()>>,
    ) -> Vec<Action<u32>> {
        self.feed(created(pod, service))
    }

    pub(super) fn after(&mut self, wait: Duration) -> &mut Self {
        self.now += wait;
        self.wall += jiff::SignedDuration::try_from(wait).unwrap();
        self
    }

    pub(super) fn advance_to(&mut self, at: Instant) {
        self.after(at.saturating_duration_since(self.now));
    }
}

/// Returns the outcome of a create whose objects are as they were sent.
pub(super) fn created(pod: Option<Outcome<()>>, service: Option<Outcome<()>>) -> Event<u32> {
    let as_sent = |outcome: Outcome<()>| outcome.map(Creation::AsSent);
    Event::Created { pod: pod.map(as_sent), service: service.map(as_sent) }
}

/// Returns a foreign object.
pub(super) fn foreign(what: &str) -> Foreign {
    Foreign { what: what.to_owned(), is_relabelled: false }
}

pub(super) fn manifests(request: &CreateRequest) -> Manifests {
    let manifest = |kind: &str| Manifest::new(format!("{kind} {request:?}").into_bytes().into());
    Manifests { pod: Ok(manifest("Pod")), service: manifest("Service") }
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
        times: PodTimes::default(),
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
        internal_url: None,
    }
}

pub(super) fn refused<T>(kind: ClusterErrorKind) -> Option<Outcome<T>> {
    Option::from(Outcome::Refused(ClusterError::new(kind, "")))
}

pub(super) fn unknown<T>() -> Option<Outcome<T>> {
    Option::from(Outcome::Unknown(ClusterError::new(ClusterErrorKind::TimedOut, "")))
}

pub(super) const DONE: Option<Outcome<()>> = Some(Outcome::Done(()));

pub(super) fn remove(pod: Option<&str>, service: Option<&str>) -> Action<u32> {
    Action::Delete { pod: pod.map(uid), service: service.map(uid) }
}

pub(super) fn made(waiter: u32) -> Action<u32> {
    let status = Status {
        cluster: ClusterName::DEFAULT,
        url: "http://h:30000".into(),
        phase: Phase::Running,
        ready: true,
        reason: None,
        pod: uid("p"),
        created: None,
        spec: ObservedSpec::default(),
        expiry: None,
    };
    Action::Answer(waiter, Ok(Reply::Made(Box::new(status))))
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
