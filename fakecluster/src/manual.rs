//! Changes without a call of the daemon: by a person, the node or another process.

use jiff::SignedDuration;
use lifecycle::{
    ids::SandboxId,
    lifetime::Limits,
    observed::{Observed, ObservedPod},
    phase::Phase,
    traits::{WatchEvent, WatchSink as _},
};

use crate::FakeCluster;

impl FakeCluster {
    /// Adds a sandbox that another process creates so many seconds from now.
    pub fn add(&self, id: &SandboxId, seconds: i64) {
        let mut state = self.state();
        let (mut pod, service) = (state.pod(&self.name, &self.clock), state.service(&self.name));
        pod.created = pod.created.map(|now| now + SignedDuration::from_secs(seconds));
        state.objects.insert(id.clone(), Observed { pod: Some(pod), service: Some(service) });
        state.has_missed = true;
    }

    /// Shows the objects that another cluster has, as if both were one.
    pub fn copy(&self, other: &Self) {
        let (objects, kept) = {
            let other = other.state();
            (other.objects.clone(), other.kept.clone())
        };
        let mut state = self.state();
        (state.objects, state.kept, state.has_missed) = (objects, kept, true);
    }

    /// Sets the Pod's phase.
    pub fn set_phase(&self, id: &SandboxId, phase: Phase, ready: bool) {
        let pod = self.edit(id, |pod| (pod.phase, pod.ready) = (phase, ready));
        self.tell(|view| view.pods(WatchEvent::Applied(id.clone(), pod)));
    }

    /// Changes the limits on the Pod. The watch reports it unless `silent` is set.
    pub fn annotate(&self, id: &SandboxId, limits: Limits, silent: bool) {
        let pod = self.edit(id, |pod| pod.annotations.limits = limits);
        if !silent {
            self.tell(|view| view.pods(WatchEvent::Applied(id.clone(), pod)));
        }
    }

    /// Deletes the Service.
    pub fn lose_service(&self, id: &SandboxId) {
        let (service, version) = {
            let mut state = self.state();
            let service = state.objects.get_mut(id).unwrap().service.take().unwrap();
            (service, state.next())
        };
        self.tell(|view| view.services(WatchEvent::Deleted(id.clone(), service.uid, version)));
    }

    /// Deletes both objects at once.
    pub fn lose(&self, id: &SandboxId) {
        self.lose_service(id);
        let (pod, version) = {
            let mut state = self.state();
            let pod = state.objects.remove(id).and_then(|objects| objects.pod).unwrap();
            (pod, state.next())
        };
        self.tell(|view| view.pods(WatchEvent::Deleted(id.clone(), pod.uid, version)));
    }

    fn edit(&self, id: &SandboxId, edit: impl FnOnce(&mut ObservedPod)) -> ObservedPod {
        let mut state = self.state();
        let version = state.next();
        let pod = state.pod_mut(id).unwrap();
        edit(pod);
        pod.version = version;
        pod.clone()
    }
}
