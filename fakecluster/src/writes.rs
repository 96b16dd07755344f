//! The writes of Pods and Services, and their effects.

use std::sync::Arc;

use futures::future::pending;
use lifecycle::{
    error::{ClusterError, ClusterErrorKind},
    ids::SandboxId,
    lifetime::LifetimeAnnotations,
    observed::{ObservedPod, ObservedService, Uid},
    request::CreateRequest,
    spec::Origin,
    traits::{Creation, Deletion, Manifest, Outcome, Preconditions, WatchEvent, WatchSink as _},
};
use tokio::time::sleep;

use crate::{Death, FakeCluster, Mode, TERMINATION};

impl FakeCluster {
    /// Makes a write with this effect, unless the call fails or the process ends.
    pub(crate) async fn write<T>(
        &self,
        call: String,
        effect: impl FnOnce(&Self) -> Outcome<T>,
    ) -> Outcome<T> {
        match self.call(call).await {
            Outcome::Done(()) => {}
            Outcome::Refused(fault) => return Outcome::Refused(fault),
            Outcome::Unknown(fault) => {
                if self.state().mode == Mode::Mute {
                    let _ = effect(self);
                }
                return Outcome::Unknown(fault);
            }
        }
        match self.writes.next() {
            None => effect(self),
            Some(Death::Before) => pending().await,
            Some(Death::After) => {
                let _ = effect(self);
                pending().await
            }
        }
    }

    pub(crate) fn add_pod(&self, id: &SandboxId, manifest: &Manifest) -> Outcome<Creation<ObservedPod>> {
        let pod = {
            let mut state = self.state();
            let number = usize::from_ne_bytes((*manifest.object).try_into().unwrap());
            let request = state.requests[number].clone();
            let mut pod = state.pod(&self.name, &self.clock);
            pod.spec.resources = Arc::new(request.overrides.resources.clone());
            let CreateRequest { limits, replaces, first_created, .. } = request;
            pod.spec.origin = Arc::new(Origin { replaces, first_created, ..Origin::default() });
            let last_activity = limits.idle_timeout.and(pod.created);
            pod.annotations = LifetimeAnnotations { limits, last_activity, owner: request.owner.clone() };
            let slot = &mut state.objects.entry(id.clone()).or_default().pod;
            if let Some(old) = slot {
                return refused(if old.terminating {
                    ClusterErrorKind::Terminating
                } else {
                    ClusterErrorKind::AlreadyExists
                });
            }
            *slot = Some(pod.clone());
            if state.keeps_requests {
                state.kept.insert(pod.uid.clone(), request);
            }
            pod
        };
        self.tell(|view| view.pods(WatchEvent::Applied(id.clone(), pod.clone())));
        Outcome::Done(Creation::AsSent(pod))
    }

    pub(crate) fn add_service(&self, id: &SandboxId) -> Outcome<Creation<ObservedService>> {
        let service = {
            let mut state = self.state();
            let service = state.service(&self.name);
            let slot = &mut state.objects.entry(id.clone()).or_default().service;
            if slot.is_some() {
                return refused(ClusterErrorKind::AlreadyExists);
            }
            *slot = Some(service.clone());
            service
        };
        self.tell(|view| view.services(WatchEvent::Applied(id.clone(), service.clone())));
        Outcome::Done(Creation::AsSent(service))
    }

    /// Begins to terminate the Pod.
    pub(crate) fn terminate_pod(
        &self,
        id: &SandboxId,
        only: Preconditions,
    ) -> Outcome<Deletion<ObservedPod>> {
        let (pod, termination) = {
            let mut state = self.state();
            let (next, termination) = (state.next(), state.termination.unwrap_or(TERMINATION));
            let Some(pod) = state.pod_mut(id).filter(|pod| pod.uid == only.uid) else {
                return Outcome::Done(Deletion::Gone);
            };
            if only.version.is_some_and(|version| version != pod.version) {
                return refused(ClusterErrorKind::Conflict);
            }
            (pod.terminating, pod.version) = (true, next);
            (pod.clone(), termination)
        };
        let (cluster, id) = (self.this.upgrade().unwrap(), id.clone());
        tokio::spawn(async move {
            sleep(termination).await;
            let version = {
                let mut state = cluster.state();
                state.objects.entry(id.clone()).or_default().pod = None;
                state.next()
            };
            cluster.tell(|view| view.pods(WatchEvent::Deleted(id, only.uid, version)));
        });
        Outcome::Done(Deletion::Terminating(pod))
    }

    pub(crate) fn remove_service(&self, id: &SandboxId, uid: Uid) -> Outcome<Deletion<ObservedService>> {
        let version = {
            let mut state = self.state();
            state.objects.entry(id.clone()).or_default().service = None;
            state.next()
        };
        self.tell(|view| view.services(WatchEvent::Deleted(id.clone(), uid, version)));
        Outcome::Done(Deletion::Gone)
    }

    /// Changes the Pod with this uid. The watch shows it only later, so a test sees whether the answer is used.
    pub(crate) fn change_pod(
        &self,
        id: &SandboxId,
        uid: &Uid,
        change: impl FnOnce(&mut ObservedPod),
    ) -> Outcome<ObservedPod> {
        let mut state = self.state();
        let version = state.next();
        let Some(pod) = state.pod_mut(id).filter(|pod| pod.uid == *uid) else {
            return refused(ClusterErrorKind::NotFound);
        };
        change(pod);
        pod.version = version;
        let pod = pod.clone();
        state.has_missed = true;
        Outcome::Done(pod)
    }
}

fn refused<T>(kind: ClusterErrorKind) -> Outcome<T> {
    Outcome::Refused(ClusterError::new(kind, ""))
}
